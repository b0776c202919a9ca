//! What the node measures: `kubectl top` of every version at hand, the autoscaler, the kubelet's own pages.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod instance;

use instance::{Instance, eventually};
use std::process::Command;

const BURN: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: burn}
spec:
  replicas: 1
  selector: {matchLabels: {app: burn}}
  template:
    metadata: {labels: {app: burn}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: burn
        image: busybox
        imagePullPolicy: IfNotPresent
        command: [sh, -c, "while [ ! -e /quiet/yes ]; do :; done; sleep 1000"]
        resources: {requests: {cpu: 20m}, limits: {cpu: 100m}}
        volumeMounts: [{name: quiet, mountPath: /quiet}]
      - name: calm
        image: busybox
        imagePullPolicy: IfNotPresent
        command: [sleep, "1000"]
        resources: {requests: {cpu: 20m}}
      volumes: [{name: quiet, hostPath: {path: DIR, type: DirectoryOrCreate}}]
"#;

fn burn(up: &Instance) -> std::path::PathBuf {
    let dir = up.dir().join("quiet");
    up.apply(&BURN.replace("DIR", dir.to_str().unwrap()));
    up.kubectl(&["rollout", "status", "deployment/burn", "--timeout=60s"]);
    dir
}

/// The kubectl on PATH and those named in `KUBECTL` (`:` between them).
fn kubectls() -> Vec<String> {
    let named = std::env::var("KUBECTL").unwrap_or_default();
    let mut all: Vec<String> = named.split(':').filter(|p| !p.is_empty()).map(Into::into).collect();
    if all.is_empty() {
        println!("skipped: other versions than the kubectl on PATH (KUBECTL names none)");
    }
    all.push("kubectl".into());
    all
}

fn with(up: &Instance, kubectl: &str, args: &[&str]) -> String {
    let kubeconfig = up.dir().join("kubeconfig");
    let output = Command::new(kubectl).args(args).env("KUBECONFIG", kubeconfig).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{kubectl} {args:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `123m` of the second column.
fn millis(line: &str, column: usize) -> i64 {
    let cell = line.split_whitespace().nth(column).unwrap_or_default();
    cell.trim_end_matches('m').parse().unwrap_or_else(|_| panic!("{line:?}"))
}

#[test]
fn kubectl_top_shows_what_is_used() {
    let Some(up) = Instance::start("top") else { return };
    up.import_busybox();
    burn(&up);
    for kubectl in kubectls() {
        let pods = with(&up, &kubectl, &["top", "pod", "-l", "app=burn"]);
        let line = pods.lines().nth(1).unwrap();
        assert!(line.starts_with("burn-"), "{pods}");
        assert!((20..=300).contains(&millis(line, 1)), "{kubectl}: {pods}");
        let containers = with(&up, &kubectl, &["top", "pod", "--containers", "-A"]);
        let calm = containers.lines().find(|l| l.contains(" calm ")).unwrap();
        assert!(millis(calm, 3) < 20, "{containers}");
        let nodes = with(&up, &kubectl, &["top", "node"]);
        assert!(nodes.lines().nth(1).unwrap().contains('%'), "{nodes}");
    }
    assert!(up.kubectl(&["get", "pods.metrics.k8s.io", "-o", "wide"]).contains("WINDOW"));
    let other = up.kubectl(&["get", "pods.metrics.k8s.io", "-l", "app=other", "-o", "name"]);
    assert_eq!(other, "");
    let groups = up.kubectl(&["api-resources", "--api-group=metrics.k8s.io", "-o", "name"]);
    assert_eq!(groups, "nodes.metrics.k8s.io\npods.metrics.k8s.io\n");
    assert!(up.kubectl(&["explain", "podmetrics.containers"]).contains("usage"));
    up.kubectl(&["delete", "deployment/burn", "--timeout=60s"]);
}

#[test]
fn the_autoscaler_follows_what_is_used_up_and_down() {
    let Some(up) = Instance::start("scale") else { return };
    up.import_busybox();
    let quiet = burn(&up);
    up.kubectl(&["autoscale", "deployment/burn", "--cpu-percent=100", "--min=1", "--max=3"]);
    // Down at once instead of after five minutes.
    let fast = r#"{"spec":{"behavior":{"scaleDown":{"stabilizationWindowSeconds":0}}}}"#;
    up.kubectl(&["patch", "hpa", "burn", "--type=merge", "-p", fast]);
    let replicas = || up.kubectl(&["get", "deployment/burn", "-o", "jsonpath={.spec.replicas}"]);
    eventually("the autoscaler to add pods", || replicas() == "3");
    std::fs::write(quiet.join("yes"), "").unwrap();
    eventually("the autoscaler to take pods away", || replicas() == "1");
    let stored = up.kubectl(&["get", "hpa", "burn", "-o", "yaml"]);
    assert!(stored.contains("ValidMetricFound"), "{stored}");
    up.kubectl(&["delete", "deployment/burn", "hpa/burn", "--timeout=60s"]);
}

#[test]
fn the_kubelets_pages_answer_through_the_node_proxy() {
    let Some(up) = Instance::start("pages") else { return };
    up.import_busybox();
    burn(&up);
    let node = up.kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]);
    let page =
        |path: &str| up.kubectl(&["get", "--raw", &format!("/api/v1/nodes/{node}/proxy/{path}")]);
    assert_eq!(page("healthz"), "ok");
    let pods: serde_json::Value = serde_json::from_str(&page("pods")).unwrap();
    assert_eq!(pods["kind"], "PodList");
    assert_eq!(pods["items"].as_array().unwrap().len(), 1);
    let summary: serde_json::Value = serde_json::from_str(&page("stats/summary")).unwrap();
    let pod = &summary["pods"][0];
    assert!(pod["podRef"]["name"].as_str().unwrap().starts_with("burn-"), "{summary}");
    assert!(pod["cpu"]["usageNanoCores"].as_u64().unwrap() > 10_000_000, "{pod}");
    assert!(pod["memory"]["workingSetBytes"].as_u64().unwrap() > 100_000, "{pod}");
    assert!(pod["network"]["rxBytes"].is_u64(), "{pod}");
    assert_eq!(pod["containers"].as_array().unwrap().len(), 2, "{pod}");
    assert!(summary["node"]["fs"]["capacityBytes"].as_u64().unwrap() > 0);
    let resource = page("metrics/resource");
    let line = resource.lines().find(|l| {
        l.starts_with("container_cpu_usage_seconds_total{container=\"burn\",namespace=\"default\"")
    });
    assert!(line.is_some(), "{resource}");
    assert!(resource.contains("\nnode_memory_working_set_bytes "), "{resource}");
    assert!(page("metrics/cadvisor").contains("container_memory_rss{container=\"calm\""));
    assert!(page("configz").contains("KubeletConfiguration"));
    assert!(page("metrics").contains("kubelet_running_pods 1"));
    up.kubectl(&["delete", "deployment/burn", "--timeout=60s"]);
}
