//! The autoscaler in the real loop, with measurements put into the store as an agent of metrics would.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::Cluster;
use serde_json::json;
use store::{Draft, Expect, Head, Key, Op, Txn};

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: i, resources: {requests: {cpu: 100m}}}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: default}
spec:
  minReplicas: 1
  maxReplicas: 8
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}
";

/// Every pod uses this much.
fn use_cpu(cluster: &mut Cluster, milli: i64) {
    let resource = meta::Resource::new("metrics.k8s.io", "pods");
    for name in cluster.names("pods", "default") {
        let value = json!({
            "apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics",
            "metadata": { "name": name, "namespace": "default" },
            "containers": [{ "name": "c", "usage": { "cpu": format!("{milli}m") } }],
        });
        let key = Key::new(&resource, "default", &name);
        let draft = Draft::new(key, Head::default(), value);
        let ops = vec![Op::Put { draft, expect: Expect::Any }];
        cluster.store.commit(Txn { ops }).unwrap();
    }
}

fn replicas(cluster: &Cluster) -> i64 {
    cluster.get("deployments.apps/default/web")["spec"]["replicas"].as_i64().unwrap()
}

#[test]
fn it_follows_the_load_up_at_once_and_down_after_five_minutes() {
    let mut cluster = Cluster::new();
    cluster.add_node("n1");
    cluster.apply(WEB);
    cluster.live("default", "n1");
    let hpa = "horizontalpodautoscalers.autoscaling/default/web";
    assert_eq!(
        cluster.get(hpa)["status"]["conditions"][1]["reason"],
        "FailedGetResourceMetric",
        "{}",
        cluster.get(hpa)
    );
    use_cpu(&mut cluster, 100);
    cluster.pass(16);
    assert_eq!(replicas(&cluster), 4);
    assert_eq!(cluster.get(hpa)["status"]["lastScaleTime"], "2026-01-01T00:00:15Z");
    cluster.live("default", "n1");
    use_cpu(&mut cluster, 52);
    cluster.pass(30);
    assert_eq!(replicas(&cluster), 4, "within tolerance");
    let status = cluster.get(hpa)["status"].clone();
    assert_eq!(status["currentMetrics"][0]["resource"]["current"]["averageUtilization"], 52);
    let before = cluster.get(hpa);
    cluster.pass(60);
    let after = cluster.get(hpa);
    assert_eq!(after["metadata"]["annotations"], before["metadata"]["annotations"]);
    assert_eq!(after["status"], before["status"], "at rest nothing is written");
    use_cpu(&mut cluster, 10);
    cluster.pass(280);
    assert_eq!(replicas(&cluster), 4, "stabilised");
    cluster.pass(60);
    assert_eq!(replicas(&cluster), 1);
}
