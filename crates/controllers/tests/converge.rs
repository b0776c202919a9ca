//! The controllers in the real loop, over the real API pipeline and store.

#![allow(clippy::unwrap_used)]

mod cluster;

use api::{DeleteOptions, Propagation};
use cluster::Cluster;
use meta::Value;
use serde_json::json;

const NODE: &str = "{apiVersion: v1, kind: Node, metadata: {name: n1}}";

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: nginx, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
";

fn ready_in_slices(cluster: &Cluster) -> usize {
    let slices = cluster.list("endpointslices.discovery.k8s.io", "default");
    let web =
        slices.iter().filter(|s| s["metadata"]["labels"]["kubernetes.io/service-name"] == "web");
    let endpoints = web.flat_map(|s| s["endpoints"].as_array().cloned().unwrap_or_default());
    endpoints.filter(|e| e["conditions"]["ready"] == true).count()
}

#[test]
fn namespaces_get_an_account_and_the_ca() {
    let cluster = Cluster::new();
    assert!(cluster.get("serviceaccounts/default/default").is_object());
    assert_eq!(cluster.get("configmaps/default/kube-root-ca.crt")["data"]["ca.crt"], "PEM");
    cluster.assert_fixpoint();
}

#[test]
fn a_deployment_behind_a_service() {
    let mut cluster = Cluster::new();
    cluster.apply(NODE);
    cluster.apply(WEB);
    cluster.settle();
    assert_eq!(cluster.list("pods", "default").len(), 3);
    assert_eq!(ready_in_slices(&cluster), 0);
    cluster.live("default", "n1");
    let deployment = cluster.get("deployments.apps/default/web");
    assert_eq!(deployment["status"]["availableReplicas"], 3, "{deployment}");
    assert_eq!(ready_in_slices(&cluster), 3);
    let endpoints = cluster.get("endpoints/default/web");
    assert_eq!(endpoints["subsets"][0]["addresses"].as_array().unwrap().len(), 3);
    assert_eq!(endpoints["subsets"][0]["ports"][0]["port"], 8080);
    cluster.assert_fixpoint();
    roll(&mut cluster);
    scale(&mut cluster);
}

fn roll(cluster: &mut Cluster) {
    let image = json!([{ "name": "c", "image": "nginx:2",
        "ports": [{ "name": "http", "containerPort": 8080 }] }]);
    cluster.patch(
        "deployments.apps/default/web",
        json!({ "spec": { "template": { "spec": { "containers": image } } } }),
    );
    cluster.live("default", "n1");
    let deployment = cluster.get("deployments.apps/default/web");
    assert_eq!(deployment["status"]["updatedReplicas"], 3);
    assert_eq!(deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
    assert_eq!(cluster.list("pods", "default").len(), 3);
    assert_eq!(ready_in_slices(cluster), 3);
    cluster.assert_fixpoint();
}

fn scale(cluster: &mut Cluster) {
    cluster.patch("deployments.apps/default/web", json!({ "spec": { "replicas": 1 } }));
    cluster.live("default", "n1");
    assert_eq!(cluster.list("pods", "default").len(), 1);
    assert_eq!(ready_in_slices(cluster), 1);
    cluster.delete("deployments.apps/default/web");
    cluster.delete("services/default/web");
    cluster.live("default", "n1");
    for resource in ["pods", "replicasets.apps", "endpointslices.discovery.k8s.io", "endpoints"] {
        assert_eq!(cluster.names(resource, "default"), Vec::<String>::new(), "{resource}");
    }
}

fn delete_web(propagation: Propagation) -> Cluster {
    let mut cluster = Cluster::new();
    cluster.apply(NODE);
    cluster.apply(WEB);
    cluster.live("default", "n1");
    let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
    cluster.delete_with("deployments.apps/default/web", options);
    cluster
}

#[test]
fn foreground_deletion_waits_for_the_pods() {
    let mut cluster = delete_web(Propagation::Foreground);
    cluster.settle();
    assert!(cluster.get("deployments.apps/default/web").is_object());
    cluster.live("default", "n1");
    assert!(cluster.get("deployments.apps/default/web").is_null());
    assert!(cluster.list("pods", "default").is_empty());
}

#[test]
fn orphans_stay() {
    let mut cluster = delete_web(Propagation::Orphan);
    cluster.live("default", "n1");
    assert!(cluster.get("deployments.apps/default/web").is_null());
    let sets = cluster.list("replicasets.apps", "default");
    assert_eq!(sets.len(), 1);
    assert!(sets[0]["metadata"]["ownerReferences"].is_null(), "{}", sets[0]);
    assert_eq!(cluster.list("pods", "default").len(), 3);
    // The same deployment again adopts them.
    let deployment = cluster::documents(WEB).remove(0);
    cluster.apply(&deployment.to_string());
    cluster.live("default", "n1");
    assert_eq!(cluster.list("replicasets.apps", "default").len(), 1);
    assert_eq!(cluster.list("pods", "default").len(), 3);
    cluster.assert_fixpoint();
}

#[test]
fn circles_of_owners_go_together() {
    let mut cluster = Cluster::new();
    for name in ["a", "b", "c"] {
        cluster.apply(&format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: default}}}}"
        ));
    }
    for (name, owner) in [("a", "c"), ("b", "a"), ("c", "b")] {
        let uid = cluster.get(&format!("configmaps/default/{owner}"))["metadata"]["uid"].clone();
        let owner = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid,
            "controller": true, "blockOwnerDeletion": true });
        cluster.patch(
            &format!("configmaps/default/{name}"),
            json!({ "metadata": { "ownerReferences": [owner] } }),
        );
    }
    cluster.settle();
    assert_eq!(cluster.list("configmaps", "default").len(), 4);
    let options =
        DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::default() };
    cluster.delete_with("configmaps/default/a", options);
    cluster.settle();
    assert_eq!(cluster.names("configmaps", "default"), ["kube-root-ca.crt"]);
}

#[test]
fn a_namespace_goes_pods_first() {
    let mut cluster = Cluster::new();
    cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: x}}");
    cluster.settle();
    cluster.apply(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: m, namespace: x}}\n---\n\
         {apiVersion: v1, kind: Pod, metadata: {name: p, namespace: x, finalizers: [example.com/f]}, \
          spec: {containers: [{name: c, image: i}]}}",
    );
    cluster.settle();
    cluster.delete("namespaces/x");
    cluster.settle();
    cluster.reap_pods("x");
    cluster.settle();
    let namespace = cluster.get("namespaces/x");
    assert_eq!(namespace["status"]["phase"], "Terminating");
    let conditions = namespace["status"]["conditions"].as_array().unwrap();
    let of = |kind: &str| conditions.iter().find(|c| c["type"] == kind).unwrap().clone();
    assert_eq!(
        of("NamespaceFinalizersRemaining")["message"],
        "Some content in the namespace has finalizers remaining: example.com/f in 1 resource \
         instances"
    );
    assert_eq!(
        of("NamespaceContentRemaining")["message"],
        "Some resources are remaining: pods. has 1 resource instances"
    );
    assert!(cluster.get("configmaps/x/m").is_object());
    cluster.patch("pods/x/p", json!({ "metadata": { "finalizers": null } }));
    cluster.settle();
    cluster.reap_pods("x");
    cluster.settle();
    assert_eq!(cluster.get("namespaces/x"), Value::Null);
}
