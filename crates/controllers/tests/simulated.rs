//! Simulated nodes and small node controllers in the real loop.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::Cluster;
use controllers::simulated::{LABEL, Pace, plan};
use meta::Time;
use serde_json::json;
use store::Key;

const NODE: &str =
    "{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {boxship.io/simulated: 'true'}}}";

fn key(cluster: &Cluster) -> Key {
    let view = cluster.view();
    let nodes = meta::Resource::new("", "nodes");
    view.list(&nodes, None).next().unwrap().key.clone()
}

/// What the node's kubelet says it would do, one line per call, without bodies.
fn would_do(cluster: &Cluster, now: Time, pace: &Pace) -> Vec<String> {
    let plan = plan(&cluster.view(), &key(cluster), now, pace).to_string();
    let short = |line: &str| line.split(" {").next().unwrap().trim_end().to_string();
    plan.lines().map(short).collect()
}

/// Does it.
fn act(cluster: &mut Cluster, pace: &Pace) {
    for call in plan(&cluster.view(), &key(cluster), cluster.now, pace).calls {
        cluster.call(call).unwrap();
    }
    cluster.settle();
}

fn with_pod(spec: &str) -> Cluster {
    let mut cluster = Cluster::new();
    cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: kube-node-lease}}");
    cluster.apply(NODE);
    cluster.settle();
    act(&mut cluster, &Pace::AT_ONCE);
    cluster.apply(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: default}}, spec: {{nodeName: n1, \
         containers: [{{name: c, image: i}}]{spec}}}}}"
    ));
    cluster.settle();
    cluster
}

#[test]
fn a_node_registers_itself_and_is_ready() {
    let cluster = with_pod("");
    let node = cluster.get("nodes/n1");
    assert_eq!(node["metadata"]["labels"][LABEL], "true");
    assert_eq!(node["status"]["allocatable"]["pods"], "110");
    assert!(node["spec"]["taints"].is_null(), "{node}");
    assert_eq!(node["metadata"]["annotations"]["node.alpha.kubernetes.io/ttl"], "0");
    let lease = cluster.get("leases.coordination.k8s.io/kube-node-lease/n1");
    assert_eq!(lease["spec"]["holderIdentity"], "n1");
}

#[test]
fn a_pod_starts_becomes_ready_and_goes() {
    let mut cluster = with_pod("");
    let slow = Pace { start: (5, 5), ready: (3, 3), stop: (2, 2), ..Pace::AT_ONCE };
    assert_eq!(would_do(&cluster, cluster.now, &slow)[0], "patch pods/status default/p");
    act(&mut cluster, &slow);
    let waiting = &cluster.get("pods/default/p")["status"]["containerStatuses"][0]["state"];
    assert_eq!(waiting["waiting"]["reason"], "ContainerCreating");
    cluster.now = cluster.now.plus_secs(5);
    act(&mut cluster, &slow);
    let status = cluster.get("pods/default/p")["status"].clone();
    assert_eq!((&status["phase"], &status["podIP"]), (&json!("Running"), &json!("10.244.0.2")));
    cluster.now = cluster.now.plus_secs(3);
    act(&mut cluster, &slow);
    assert_eq!(cluster.get("pods/default/p")["status"]["containerStatuses"][0]["ready"], true);
    cluster.delete("pods/default/p");
    let asked = would_do(&cluster, cluster.now, &slow);
    assert!(asked.iter().all(|line| line.starts_with("wake")), "{asked:?}");
    cluster.now = cluster.now.plus_secs(2);
    act(&mut cluster, &slow);
    assert!(cluster.get("pods/default/p").is_null());
}

#[test]
fn a_pod_that_may_end_ends_as_it_is_told() {
    let mut cluster = with_pod(", restartPolicy: Never");
    let notes = json!({ "simulated.boxship.io/run-seconds": "7",
        "simulated.boxship.io/exit-code": "3" });
    cluster.patch("pods/default/p", json!({ "metadata": { "annotations": notes } }));
    act(&mut cluster, &Pace::AT_ONCE);
    cluster.now = cluster.now.plus_secs(7);
    act(&mut cluster, &Pace::AT_ONCE);
    let status = cluster.get("pods/default/p")["status"].clone();
    assert_eq!(status["phase"], "Failed");
    assert_eq!(status["containerStatuses"][0]["state"]["terminated"]["exitCode"], 3);
}

#[test]
fn a_service_range_goes_when_nobody_uses_it() {
    let mut cluster = Cluster::new();
    let path = "servicecidrs.networking.k8s.io/more";
    cluster.apply(
        "{apiVersion: networking.k8s.io/v1, kind: ServiceCIDR, metadata: {name: more}, \
         spec: {cidrs: [10.200.0.0/24]}}\n---\n\
         {apiVersion: networking.k8s.io/v1, kind: IPAddress, metadata: {name: 10.200.0.7}, \
         spec: {parentRef: {resource: services, namespace: default, name: web}}}",
    );
    cluster.settle();
    let range = cluster.get(path);
    assert_eq!(range["status"]["conditions"][0]["message"], "Kubernetes Service CIDR is ready");
    cluster.delete(path);
    cluster.settle();
    assert_eq!(cluster.get(path)["status"]["conditions"][0]["reason"], "Terminating");
    cluster.delete("ipaddresses.networking.k8s.io/10.200.0.7");
    cluster.settle();
    assert!(cluster.get(path).is_null());
}

#[test]
fn a_policy_is_told_that_it_was_seen() {
    let mut cluster = Cluster::new();
    cluster.apply(
        "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, \
         metadata: {name: p}, spec: {validations: [{expression: 'true'}], matchConstraints: \
         {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}}}",
    );
    cluster.settle();
    let policy = cluster.get("validatingadmissionpolicies.admissionregistration.k8s.io/p");
    assert_eq!(policy["status"]["observedGeneration"], 1);
}
