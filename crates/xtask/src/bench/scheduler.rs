//! `cargo xtask bench scheduler [--only basic,affinity,...] [--scale 1] [--load PATH]`.
//!
//! Upstream's scheduler_perf cases by their published parameters (test/integration/scheduler_perf), on a real
//! server with persistence on: pods are created over HTTPS and scheduled at the same time, and the rate counts from
//! the first request to the last binding. Upstream's thresholds are what its CI machines must reach; ours comes
//! from this machine, so the ratio is a hint and no comparison.

use super::instance::Instance;
use super::report::{Figure, Report};
use super::{Scratch, Setup, built, process};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// One case.
struct Case {
    name: &'static str,
    nodes: usize,
    /// What zone the n-th node is in.
    zones: &'static [&'static str],
    init: usize,
    init_pod: fn() -> Value,
    measured: usize,
    pod: fn() -> Value,
    /// Pods a second that upstream's CI demands; `None` where it publishes none.
    threshold: Option<f64>,
    /// One pod in so many fits nowhere.
    hopeless_one_in: usize,
}

const BASE: Case = Case {
    name: "",
    nodes: 5000,
    zones: &["zone1"],
    init: 1000,
    init_pod: plain,
    measured: 10_000,
    pod: plain,
    threshold: None,
    hopeless_one_in: 0,
};

const CASES: &[Case] = &[
    Case { name: "small", nodes: 1000, init: 0, measured: 5000, threshold: Some(114.0), ..BASE },
    Case { name: "basic", threshold: Some(680.0), ..BASE },
    Case { name: "basic-50000", init: 5000, measured: 50_000, threshold: Some(810.0), ..BASE },
    Case { name: "node-affinity", init: 5000, pod: zoned, threshold: Some(220.0), ..BASE },
    Case {
        name: "anti-affinity",
        init_pod: apart,
        measured: 2000,
        pod: apart,
        threshold: Some(60.0),
        ..BASE
    },
    Case {
        name: "affinity",
        init: 5000,
        init_pod: together,
        measured: 5000,
        pod: together,
        threshold: Some(35.0),
        ..BASE
    },
    Case {
        name: "preferred-affinity",
        init: 5000,
        init_pod: liking,
        measured: 5000,
        pod: liking,
        threshold: Some(90.0),
        ..BASE
    },
    Case {
        name: "preferred-anti-affinity",
        init: 5000,
        init_pod: disliking,
        measured: 5000,
        pod: disliking,
        threshold: Some(90.0),
        ..BASE
    },
    Case {
        name: "spreading",
        zones: MOONS,
        init: 5000,
        measured: 5000,
        pod: spread,
        threshold: Some(460.0),
        ..BASE
    },
    Case {
        name: "preferred-spreading",
        zones: MOONS,
        init: 5000,
        measured: 5000,
        pod: spread_softly,
        threshold: Some(340.0),
        ..BASE
    },
    Case {
        name: "preemption",
        nodes: 1000,
        init: 4000,
        init_pod: low,
        measured: 1000,
        pod: high,
        ..BASE
    },
    Case { name: "unschedulable", init: 100, hopeless_one_in: 100, threshold: Some(590.0), ..BASE },
    Case {
        name: "daemonset",
        nodes: 15_000,
        init: 0,
        measured: 30_000,
        pod: pinned,
        threshold: Some(1100.0),
        ..BASE
    },
];
const MOONS: &[&str] = &["moon-1", "moon-2", "moon-3"];

/// What runs without `--only`: the rest takes minutes.
const USUAL: &str = "small,basic,node-affinity,anti-affinity,affinity,preferred-affinity,preferred-anti-affinity,\
                     spreading,preferred-spreading,preemption,unschedulable,daemonset";
const PATIENCE_SECS: &str = "600";

struct Bench<'a> {
    setup: &'a Setup,
    scratch: Scratch,
    load: PathBuf,
}

pub fn run(setup: &Setup, report: &mut Report) -> Result<(), String> {
    let load = match setup.option("load") {
        Some(path) => PathBuf::from(path),
        None => built("load", &["--package", "kube-http", "--example", "load"])?,
    };
    let bench = Bench { setup, scratch: Scratch::new("scheduler")?, load };
    let only: Vec<&str> = setup.option("only").unwrap_or(USUAL).split(',').collect();
    for case in CASES.iter().filter(|case| only.contains(&case.name)) {
        bench.case(case, report)?;
    }
    if only.contains(&"memory") {
        bench.memory(report)?;
    }
    Ok(())
}

impl Bench<'_> {
    fn case(&self, case: &Case, report: &mut Report) -> Result<(), String> {
        let dir = self.scratch.path().join(case.name);
        std::fs::create_dir_all(&dir).map_err(|e| format!("make `{}`: {e}", dir.display()))?;
        let server =
            Instance::start(&self.setup.binary, "server", &dir, &["--listen", "127.0.0.1:0"])?;
        self.replay(&server, &dir, &nodes(case))?;
        self.replay(&server, &dir, &pods("init", case.init, case.init_pod, 0))?;
        self.wait(&server, "init")?;
        let lines = pods("measured", case.measured, case.pod, case.hopeless_one_in);
        let (used, began) = (process::processor(server.pid())?, Instant::now());
        let made = self.replay(&server, &dir, &lines)?;
        self.wait(&server, "measured")?;
        let took = began.elapsed();
        let used = process::processor(server.pid())?.saturating_sub(used);
        let rate = Figure::Rate(case.measured as f64 / took.as_secs_f64());
        let what =
            format!("{}: {} nodes, {} + {} pods", case.name, case.nodes, case.init, case.measured);
        match case.threshold {
            Some(threshold) => {
                report.against(&what, rate, "upstream's bar", Figure::Rate(threshold))
            }
            None => report.figure(&what, rate),
        }
        report.figure("  created alone", Figure::Rate(case.measured as f64 / made.max(1e-9)));
        report.figure(
            "  server's processor time per pod",
            Figure::Time(used.div_f64(case.measured as f64)),
        );
        report.memory("  resident afterwards", server.memory()?);
        drop(server);
        let _ = std::fs::remove_dir_all(&dir);
        Ok(())
    }

    /// 5 000 simulated nodes and as many pods as `--pods` says, running.
    fn memory(&self, report: &mut Report) -> Result<(), String> {
        let pods = self.setup.number("pods", 150_000)?;
        let nodes = self.setup.number("nodes", 5000)?.to_string();
        let dir = self.scratch.path().join("memory");
        std::fs::create_dir_all(&dir).map_err(|e| format!("make `{}`: {e}", dir.display()))?;
        let args = ["--listen", "127.0.0.1:0", "--simulated-nodes", &nodes];
        let server = Instance::start(&self.setup.binary, "server", &dir, &args)?;
        report.memory(&format!("{nodes} simulated nodes, no pods"), server.memory()?);
        let began = Instant::now();
        let sets: Vec<Value> =
            (0..pods.div_ceil(3000)).map(|at| deployment(at, pods.min(3000))).collect();
        let line =
            |set: &Value| format!("POST /apis/apps/v1/namespaces/default/deployments {set}\n");
        self.replay(&server, &dir, &sets.iter().map(line).collect::<String>())?;
        loop {
            std::thread::sleep(std::time::Duration::from_secs(2));
            if self.running(&server)? >= pods {
                break;
            }
            if began.elapsed().as_secs() > 1800 {
                return Err("not all pods run after half an hour".into());
            }
        }
        report.figure(
            &format!("{pods} pods from nothing to running"),
            Figure::Rate(pods as f64 / began.elapsed().as_secs_f64()),
        );
        report.memory(&format!("{nodes} simulated nodes, {pods} pods running"), server.memory()?);
        Ok(())
    }

    /// Pods that run, by the deployments' own count.
    fn running(&self, server: &Instance) -> Result<usize, String> {
        let output = Command::new("kubectl")
            .args(["get", "deployments", "-o", "jsonpath={.items[*].status.readyReplicas}"])
            .env("KUBECONFIG", &server.kubeconfig)
            .output()
            .map_err(|e| format!("kubectl: {e}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.split_whitespace().filter_map(|n| n.parse::<usize>().ok()).sum())
    }

    /// Seconds it took.
    fn replay(&self, server: &Instance, dir: &Path, lines: &str) -> Result<f64, String> {
        let file = dir.join("requests");
        std::fs::write(&file, lines).map_err(|e| format!("write `{}`: {e}", file.display()))?;
        let told =
            self.load(server, &["replay", "--file", &file.to_string_lossy(), "--clients", "32"])?;
        Ok(told["seconds"].as_f64().unwrap_or(0.0))
    }

    /// Until every pod of the role that can have a node has one.
    fn wait(&self, server: &Instance, role: &str) -> Result<(), String> {
        let path =
            format!("/api/v1/pods?labelSelector=role={role}&fieldSelector=spec.nodeName=&limit=1");
        self.drained(server, &path)
    }

    fn drained(&self, server: &Instance, path: &str) -> Result<(), String> {
        let told = self.load(server, &["drained", "--path", path, "--seconds", PATIENCE_SECS])?;
        if told["left"] == 0 { Ok(()) } else { Err(format!("{path}: still not empty")) }
    }

    fn load(&self, server: &Instance, args: &[&str]) -> Result<Value, String> {
        let output = Command::new(&self.load)
            .args(args)
            .arg("--kubeconfig")
            .arg(&server.kubeconfig)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| format!("{}: {e}", self.load.display()))?;
        serde_json::from_slice(&output.stdout)
            .map_err(|_| format!("load {} failed", args.join(" ")))
    }
}

// === objects ===

/// Nodes of upstream's size that nobody keeps; their heartbeat lies far in the future.
fn nodes(case: &Case) -> String {
    let mut lines = String::new();
    for at in 0..case.nodes {
        let name = format!("node-{at:05}");
        let zone = case.zones[at % case.zones.len()];
        let labels = json!({ "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone });
        let range = format!("10.{}.{}.0/24", 128 + at / 256, at % 256);
        let node = json!({ "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": name, "labels": labels },
            "spec": { "podCIDR": range, "podCIDRs": [range] } });
        // Written at once; failing writes to a string is impossible.
        let _ = writeln!(lines, "POST /api/v1/nodes {node}");
    }
    let room = json!({ "cpu": "4", "memory": "32Gi", "pods": "110" });
    for at in 0..case.nodes {
        let name = format!("node-{at:05}");
        // All measured pods of the daemon case go to the first node.
        let room = if case.name == "daemonset" && at == 0 {
            json!({ "cpu": "90000", "memory": "90000Gi", "pods": "90000" })
        } else {
            room.clone()
        };
        let ready = json!({ "type": "Ready", "status": "True", "reason": "KubeletReady",
            "lastHeartbeatTime": "2100-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z" });
        let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name },
            "status": { "capacity": room, "allocatable": room, "conditions": [ready] } });
        let _ = writeln!(lines, "PUT /api/v1/nodes/{name}/status {node}");
    }
    lines
}

fn pods(role: &str, count: usize, pod: fn() -> Value, hopeless_one_in: usize) -> String {
    let mut lines = String::new();
    for at in 0..count {
        let mut object = pod();
        object["metadata"]["name"] = format!("{role}-{at:06}").into();
        object["metadata"]["labels"]["role"] = role.into();
        let _ = writeln!(lines, "POST /api/v1/namespaces/default/pods {object}");
        if hopeless_one_in > 0 && at % hopeless_one_in == 0 {
            let mut large = high();
            large["metadata"]["name"] = format!("large-{at:06}").into();
            large["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "9".into();
            let _ = writeln!(lines, "POST /api/v1/namespaces/default/pods {large}");
        }
    }
    lines
}

fn plain() -> Value {
    asking("100m", "500Mi")
}

fn asking(cpu: &str, memory: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "labels": {} }, "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{ "name": "pause", "image": "registry.k8s.io/pause:3.10.1",
            "ports": [{ "containerPort": 80 }],
            "resources": { "limits": { "cpu": cpu, "memory": memory },
                "requests": { "cpu": cpu, "memory": memory } } }] } })
}

fn with(label: Option<&str>, part: &str, value: Value) -> Value {
    let mut pod = plain();
    if let Some(color) = label {
        pod["metadata"]["labels"]["color"] = color.into();
    }
    pod["spec"][part] = value;
    pod
}

fn zoned() -> Value {
    let term = json!({ "matchExpressions": [{ "key": "topology.kubernetes.io/zone", "operator": "In",
        "values": ["zone1", "zone2"] }] });
    with(
        None,
        "affinity",
        json!({ "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [term] } } }),
    )
}

fn pinned() -> Value {
    let term = json!({ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["node-00000"] }] });
    with(
        None,
        "affinity",
        json!({ "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [term] } } }),
    )
}

fn term(color: &str, topology: &str) -> Value {
    json!({ "labelSelector": { "matchLabels": { "color": color } }, "topologyKey": topology })
}

const HOST: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

fn apart() -> Value {
    let terms = json!({ "requiredDuringSchedulingIgnoredDuringExecution": [term("green", HOST)] });
    with(Some("green"), "affinity", json!({ "podAntiAffinity": terms }))
}

fn together() -> Value {
    let terms = json!({ "requiredDuringSchedulingIgnoredDuringExecution": [term("blue", ZONE)] });
    with(Some("blue"), "affinity", json!({ "podAffinity": terms }))
}

fn preferring(kind: &str, color: &str) -> Value {
    let weighted = json!({ "weight": 1, "podAffinityTerm": term(color, HOST) });
    let terms = json!({ "preferredDuringSchedulingIgnoredDuringExecution": [weighted] });
    with(Some(color), "affinity", json!({ kind: terms }))
}

fn liking() -> Value {
    preferring("podAffinity", "red")
}

fn disliking() -> Value {
    preferring("podAntiAffinity", "yellow")
}

fn spreading(when: &str) -> Value {
    let constraint = json!({ "maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": when,
        "labelSelector": { "matchLabels": { "color": "blue" } } });
    with(Some("blue"), "topologySpreadConstraints", json!([constraint]))
}

fn spread() -> Value {
    spreading("DoNotSchedule")
}

fn spread_softly() -> Value {
    spreading("ScheduleAnyway")
}

fn low() -> Value {
    asking("900m", "500Mi")
}

fn high() -> Value {
    let mut pod = asking("3000m", "500Mi");
    pod["spec"]["priorityClassName"] = "system-cluster-critical".into();
    pod
}

fn deployment(at: usize, replicas: usize) -> Value {
    let name = format!("web-{at:03}");
    let mut pod = asking("10m", "10Mi");
    pod["metadata"]["labels"]["app"] = name.as_str().into();
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name }, "spec": {
        "replicas": replicas, "selector": { "matchLabels": { "app": name } },
        "template": { "metadata": pod["metadata"], "spec": pod["spec"] } } })
}
