//! Decisions per second: `cargo run --release -p scheduler --example throughput`.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use meta::{Resource, Time, Value};
use scheduler::{Decision, Scheduler};
use serde_json::json;
use std::time::Instant;
use store::{Change, Draft, Head, Heads, Key, Options, Store, Volatile};

fn main() {
    run("plain, 5000 nodes", 5000, 10_000, &json!({}));
    let apart = json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{
        "labelSelector": { "matchLabels": { "app": "web" } },
        "topologyKey": "kubernetes.io/hostname",
    }] } });
    run("anti-affinity, 1000 nodes", 1000, 1000, &json!({ "affinity": apart }));
    let spread = json!([{ "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": { "matchLabels": { "app": "web" } } }]);
    run("spread, 5000 nodes", 5000, 10_000, &json!({ "topologySpreadConstraints": spread }));
}

fn run(name: &str, nodes: usize, pods: usize, spec: &Value) {
    let heads = Heads { version: 1, parse: |_, _| Head::default() };
    let store = Store::inline(Box::new(Volatile), Options::new(heads)).unwrap();
    let view = store.view();
    let mut scheduler = Scheduler::new(&["default-scheduler"], &view, 1);
    for i in 0..nodes {
        scheduler.take_in(&appeared("nodes", "", node(i)));
    }
    for i in 0..pods {
        scheduler.take_in(&appeared("pods", "default", pod(i, spec)));
    }
    let (start, cpu) = (Instant::now(), cpu_secs());
    let decided = std::iter::from_fn(|| scheduler.next(&view, Time::from_secs(1)));
    let bound = decided.filter(|d| matches!(d, Decision::Bind { .. })).count();
    let secs = start.elapsed().as_secs_f64();
    let per_second = |secs: f64| bound as f64 / secs;
    println!(
        "{name}: {bound} of {pods} pods in {secs:.3} s: {:.0} pods/s, {:.0} per second of CPU",
        per_second(secs),
        per_second(cpu_secs() - cpu),
    );
}

/// What this thread has had of a processor, so that a busy machine does not blur the comparison.
fn cpu_secs() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn node(i: usize) -> Value {
    let name = format!("node-{i}");
    json!({
        "metadata": { "name": name,
            "labels": { "kubernetes.io/hostname": name, "zone": format!("zone-{}", i % 5) } },
        "status": { "allocatable": { "cpu": "4", "memory": "32Gi", "pods": "110" } },
    })
}

fn pod(i: usize, spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["containers"] = json!([{ "name": "c", "image": "pause:3",
        "resources": { "requests": { "cpu": "100m", "memory": "500Mi" } } }]);
    json!({ "metadata": { "name": format!("pod-{i}"), "namespace": "default",
        "labels": { "app": "web" } }, "spec": spec })
}

fn appeared(plural: &str, namespace: &str, value: Value) -> Change {
    let name = value["metadata"]["name"].as_str().unwrap().to_string();
    let key = Key::new(&Resource::new("", plural), namespace, &name);
    let after = Draft::new(key, Head::default(), value).object(1);
    Change { revision: 1, before: None, after: after.into(), deletion: false }
}
