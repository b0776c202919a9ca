//! Nodes that fall silent, budgets, quotas and addresses in the real loop.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::Cluster;
use meta::Value;
use serde_json::json;

fn beat(cluster: &mut Cluster, node: &str) {
    let now = cluster.now.rfc3339();
    let ready = json!({ "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
        "lastHeartbeatTime": now, "lastTransitionTime": now });
    cluster.patch_status(&format!("nodes/{node}"), json!({ "conditions": [ready] }));
}

fn ready(cluster: &Cluster, node: &str) -> Value {
    let node = cluster.get(&format!("nodes/{node}"));
    let conditions = node["status"]["conditions"].as_array().unwrap().clone();
    conditions.into_iter().find(|c| c["type"] == "Ready").unwrap()["status"].clone()
}

#[test]
fn pods_leave_a_node_that_falls_silent() {
    let mut cluster = Cluster::new();
    for node in ["n1", "n2"] {
        cluster.apply(&format!("{{apiVersion: v1, kind: Node, metadata: {{name: {node}}}}}"));
        beat(&mut cluster, node);
    }
    cluster.apply(
        "
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: default}
spec:
  containers: [{name: c, image: i}]
  tolerations:
  - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 300}
",
    );
    cluster.live("default", "n1");
    let cidrs = ["n1", "n2"].map(|n| cluster.get(&format!("nodes/{n}"))["spec"]["podCIDR"].clone());
    assert_eq!(cidrs, ["10.244.0.0/24", "10.244.1.0/24"]);
    cluster.assert_fixpoint();
    for _ in 0..4 {
        cluster.pass(15);
        beat(&mut cluster, "n2");
    }
    assert_eq!(ready(&cluster, "n1"), "Unknown");
    let taints = cluster.get("nodes/n1")["spec"]["taints"].clone();
    let effects: Vec<_> = taints.as_array().unwrap().iter().map(|t| t["effect"].clone()).collect();
    assert_eq!(effects, ["NoSchedule", "NoExecute"], "{taints}");
    let pod = cluster.get("pods/default/p");
    assert_eq!(pod["status"]["conditions"][0]["status"], "False", "{pod}");
    for _ in 0..18 {
        cluster.pass(15);
        beat(&mut cluster, "n2");
    }
    assert!(cluster.get("pods/default/p")["metadata"]["deletionTimestamp"].is_null());
    cluster.pass(40);
    let pod = cluster.get("pods/default/p");
    assert!(pod["metadata"]["deletionTimestamp"].is_string());
    let told = pod["status"]["conditions"].as_array().unwrap();
    assert!(told.iter().any(|c| c["reason"] == "DeletionByTaintManager"), "{pod}");
    beat(&mut cluster, "n1");
    cluster.settle();
    assert!(cluster.get("nodes/n1")["spec"]["taints"].is_null());
}

#[test]
fn the_only_node_is_not_emptied() {
    let mut cluster = Cluster::new();
    cluster.apply("{apiVersion: v1, kind: Node, metadata: {name: n1}}");
    beat(&mut cluster, "n1");
    cluster.pass(600);
    assert_eq!(ready(&cluster, "n1"), "Unknown");
    let taints = cluster.get("nodes/n1")["spec"]["taints"].clone();
    assert_eq!(taints.as_array().unwrap().len(), 1, "{taints}");
    assert_eq!(taints[0]["effect"], "NoSchedule");
}

#[test]
fn pods_of_a_node_that_is_gone_are_removed() {
    let mut cluster = Cluster::new();
    cluster.apply("{apiVersion: v1, kind: Node, metadata: {name: n1}}");
    cluster.apply(
        "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default}, spec: {containers: \
         [{name: c, image: i}]}}",
    );
    cluster.live("default", "n1");
    cluster.delete("nodes/n1");
    cluster.settle();
    assert!(cluster.get("pods/default/p").is_object());
    cluster.pass(41);
    assert!(cluster.get("pods/default/p").is_null());
}

#[test]
fn a_budget_counts_healthy_pods() {
    let mut cluster = Cluster::new();
    cluster.apply("{apiVersion: v1, kind: Node, metadata: {name: n1}}");
    cluster.apply(
        "
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web, namespace: default}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: i}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: default}
spec: {maxUnavailable: 25%, selector: {matchLabels: {app: web}}}
",
    );
    cluster.live("default", "n1");
    let status = cluster.get("poddisruptionbudgets.policy/default/web")["status"].clone();
    let counts = ["expectedPods", "currentHealthy", "desiredHealthy", "disruptionsAllowed"]
        .map(|k| &status[k]);
    assert_eq!(counts, [4, 4, 3, 1], "{status}");
    assert_eq!(status["conditions"][0]["reason"], "SufficientPods");
    cluster.assert_fixpoint();
    cluster.patch("replicasets.apps/default/web", json!({ "spec": { "replicas": 0 } }));
    cluster.live("default", "n1");
    let status = cluster.get("poddisruptionbudgets.policy/default/web")["status"].clone();
    assert_eq!(status["conditions"][0]["reason"], "InsufficientPods", "{status}");
}

#[test]
fn a_quota_counts_what_is_there() {
    let mut cluster = Cluster::new();
    cluster.apply(
        "
apiVersion: v1
kind: ResourceQuota
metadata: {name: q, namespace: default}
spec:
  hard: {pods: \"5\", requests.cpu: \"2\", configmaps: \"9\", services.nodeports: \"1\", \
         count/replicasets.apps: \"3\"}
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: default}
spec:
  containers:
  - {name: a, image: i, resources: {requests: {cpu: 100m}}}
  - {name: b, image: i, resources: {requests: {cpu: 200m}}}
  initContainers: [{name: c, image: i, resources: {requests: {cpu: 250m}}}]
",
    );
    cluster.settle();
    let used = cluster.get("resourcequotas/default/q")["status"]["used"].clone();
    let wanted = json!({ "pods": "1", "requests.cpu": "300m", "configmaps": "1",
        "services.nodeports": "0", "count/replicasets.apps": "0" });
    assert_eq!(used, wanted);
    cluster.assert_fixpoint();
    cluster.patch_status("pods/default/p", json!({ "phase": "Failed" }));
    cluster.settle();
    let used = cluster.get("resourcequotas/default/q")["status"]["used"].clone();
    assert_eq!(used["pods"], "0");
}

#[test]
fn load_balancers_get_addresses_of_the_pool() {
    let mut cluster = Cluster::new();
    let service = |name: &str| {
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: default}}, \
             spec: {{type: LoadBalancer, ports: [{{port: 80}}]}}}}"
        )
    };
    cluster.apply(&service("a"));
    cluster.settle();
    assert!(cluster.get("services/default/a")["status"]["loadBalancer"]["ingress"].is_null());
    cluster.apply(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: load-balancer, namespace: kube-system}, \
         data: {pool: 10.112.0.0/24}}",
    );
    cluster.apply(&service("b"));
    cluster.settle();
    let ip = |cluster: &Cluster, name: &str| {
        let service = cluster.get(&format!("services/default/{name}"));
        service["status"]["loadBalancer"]["ingress"][0]["ip"].clone()
    };
    assert_eq!([ip(&cluster, "a"), ip(&cluster, "b")], ["10.112.0.1", "10.112.0.2"]);
    let spec = json!({ "type": "ClusterIP", "allocateLoadBalancerNodePorts": null,
        "externalTrafficPolicy": null });
    cluster.patch("services/default/a", json!({ "spec": spec }));
    cluster.settle();
    assert!(ip(&cluster, "a").is_null());
    cluster.assert_fixpoint();
}

#[test]
fn roles_gather_the_rules_of_others() {
    let mut cluster = Cluster::new();
    cluster.apply(
        "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: all}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: all}}]}
rules: []
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: one, labels: {to: all}}
rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]
",
    );
    cluster.settle();
    let rules = cluster.get("clusterroles.rbac.authorization.k8s.io/all")["rules"].clone();
    assert_eq!(rules[0]["resources"], json!(["pods"]));
    cluster.assert_fixpoint();
}
