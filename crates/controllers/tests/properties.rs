//! Whatever users do in whatever order: it comes to rest, at rest nothing is left to do, and bounds hold on the way.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::Cluster;
use proptest::prelude::*;
use serde_json::json;

/// What users, kubelets and crashes do.
#[derive(Debug, Clone)]
enum Act {
    Scale(u8),
    Image(u8),
    Pause,
    Resume,
    Run,
    Reap,
    Fail(u8),
    DeletePod(u8),
    Relabel(u8),
    DeleteSet(u8),
    Pass(u8),
    /// The loop forgets everything.
    Amnesia,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..6_u8).prop_map(Act::Scale),
        3 => (0..4_u8).prop_map(Act::Image),
        1 => Just(Act::Pause),
        1 => Just(Act::Resume),
        4 => Just(Act::Run),
        3 => Just(Act::Reap),
        1 => any::<u8>().prop_map(Act::Fail),
        2 => any::<u8>().prop_map(Act::DeletePod),
        1 => any::<u8>().prop_map(Act::Relabel),
        1 => any::<u8>().prop_map(Act::DeleteSet),
        1 => (1..40_u8).prop_map(Act::Pass),
        1 => Just(Act::Amnesia),
    ]
}

fn pick(cluster: &Cluster, resource: &str, at: u8) -> Option<String> {
    let names = cluster.names(resource, "default");
    let name = names.get(usize::from(at) % names.len().max(1))?;
    Some(format!("{resource}/default/{name}"))
}

fn perform(cluster: &mut Cluster, owner: &str, act: &Act) {
    match act {
        Act::Scale(to) => cluster.patch(owner, json!({ "spec": { "replicas": to } })),
        Act::Image(n) => {
            let containers = json!([{ "name": "c", "image": format!("i:{n}") }]);
            let spec = json!({ "containers": containers });
            cluster.patch(owner, json!({ "spec": { "template": { "spec": spec } } }));
        }
        Act::Pause if owner.starts_with("deployments") => {
            cluster.patch(owner, json!({ "spec": { "paused": true } }));
        }
        Act::Resume if owner.starts_with("deployments") => {
            cluster.patch(owner, json!({ "spec": { "paused": false } }));
        }
        Act::Pause | Act::Resume => {}
        Act::Run => cluster.run_pods("default", "n1"),
        Act::Reap => cluster.reap_pods("default"),
        Act::Fail(at) => {
            if let Some(pod) = pick(cluster, "pods", *at) {
                cluster.patch_status(&pod, json!({ "phase": "Failed" }));
            }
        }
        Act::DeletePod(at) => {
            if let Some(pod) = pick(cluster, "pods", *at) {
                cluster.delete(&pod);
            }
        }
        Act::Relabel(at) => {
            if let Some(pod) = pick(cluster, "pods", *at) {
                cluster.patch(&pod, json!({ "metadata": { "labels": { "app": "other" } } }));
            }
        }
        Act::DeleteSet(at) => {
            if let Some(set) = pick(cluster, "replicasets.apps", *at) {
                cluster.delete(&set);
            }
        }
        Act::Pass(secs) => cluster.pass(i64::from(*secs)),
        Act::Amnesia => cluster.forget(),
    }
}

fn owned_pods(cluster: &Cluster) -> Vec<meta::Value> {
    let all = cluster.list("pods", "default").into_iter();
    all.filter(|p| p["metadata"]["labels"]["app"] == "web").collect()
}

/// Pods that still count: neither ended nor on their way out.
fn active(cluster: &Cluster) -> usize {
    let ended =
        |p: &meta::Value| matches!(p["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
    let all = owned_pods(cluster);
    all.iter().filter(|p| p["metadata"]["deletionTimestamp"].is_null() && !ended(p)).count()
}

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: \"i:0\"}]}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: default}, spec: {selector: {app: web}, ports: [{port: 80}]}}
";

const STATEFUL_SET: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web, namespace: default}
spec:
  replicas: 3
  serviceName: web
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: \"i:0\"}]}
";

/// Lets everything heal, then looks at what is there.
fn heal(cluster: &mut Cluster, owner: &str) {
    if owner.starts_with("deployments") {
        cluster.patch(owner, json!({ "spec": { "paused": false } }));
    }
    cluster.live("default", "n1");
    cluster.pass(60);
    cluster.live("default", "n1");
    cluster.assert_fixpoint();
    let object = cluster.get(owner);
    let wanted = object["spec"]["replicas"].as_u64().unwrap_or(1) as usize;
    assert_eq!(active(cluster), wanted, "{object}");
    let image = &object["spec"]["template"]["spec"]["containers"][0]["image"];
    for pod in owned_pods(cluster).iter().filter(|p| p["status"]["phase"] == "Running") {
        assert_eq!(&pod["spec"]["containers"][0]["image"], image, "{pod}");
    }
    let counted = object["status"]["replicas"].as_u64().unwrap_or(0) as usize;
    assert_eq!(counted, wanted, "{object}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn deployments_converge(acts in proptest::collection::vec(act(), 1..25)) {
        let mut cluster = Cluster::new();
        cluster.add_node("n1");
        cluster.apply(DEPLOYMENT);
        cluster.live("default", "n1");
        let owner = "deployments.apps/default/web";
        let mut largest = 3;
        for act in &acts {
            if let Act::Scale(to) = act {
                largest = largest.max(usize::from(*to));
            }
            perform(&mut cluster, owner, act);
            cluster.settle();
            // 25% surge, rounded up, of whatever was ever wanted.
            prop_assert!(active(&cluster) <= largest + largest.div_ceil(4));
        }
        heal(&mut cluster, owner);
    }

    #[test]
    fn stateful_sets_converge(acts in proptest::collection::vec(act(), 1..25)) {
        let mut cluster = Cluster::new();
        cluster.add_node("n1");
        cluster.apply(STATEFUL_SET);
        cluster.live("default", "n1");
        let owner = "statefulsets.apps/default/web";
        for act in acts.iter().filter(|act| !matches!(act, Act::Relabel(_))) {
            perform(&mut cluster, owner, act);
            cluster.settle();
        }
        heal(&mut cluster, owner);
        let names = cluster.names("pods", "default");
        let wanted: Vec<_> = (0..names.len()).map(|at| format!("web-{at}")).collect();
        prop_assert_eq!(names, wanted);
    }
}
