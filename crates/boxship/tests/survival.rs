//! What an instance lives through: the death of its daemon while a node fills up, and a disk without space.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod instance;

use instance::{Instance, eventually};
use std::collections::BTreeMap;
use std::process::Command;

/// As many as a node takes.
const FULL: usize = 110;

/// Container ids of running pods and how often they were started again, by pod.
fn running(up: &Instance) -> BTreeMap<String, (String, String)> {
    let path = "jsonpath={range .items[?(@.status.phase=='Running')]}{.metadata.name} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}{'\\n'}{end}";
    let said = up.kubectl(&["get", "pods", "-o", path]);
    let row = |line: &str| {
        let mut words = line.split(' ').map(str::to_string);
        Some((words.next()?, (words.next().filter(|id| !id.is_empty())?, words.next()?)))
    };
    said.lines().filter_map(row).collect()
}

#[test]
fn a_node_that_fills_up_survives_the_death_of_its_daemon() {
    let Some(mut up) = Instance::start("full") else { return };
    up.import_busybox();
    up.apply(&format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: many}}
spec:
  replicas: {FULL}
  selector: {{matchLabels: {{app: many}}}}
  template:
    metadata: {{labels: {{app: many}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {{name: one, image: busybox, imagePullPolicy: IfNotPresent, command: [sleep, "100000"]}}
"#
    ));
    eventually("a third of the pods", || running(&up).len() >= FULL / 3);
    up.kill();
    up.restart();
    let before = running(&up);
    assert!(before.len() >= FULL / 3, "{} run", before.len());
    up.kubectl(&["rollout", "status", "deployment/many", "--timeout=180s"]);
    let after = running(&up);
    assert_eq!(after.len(), FULL);
    for (pod, was) in &before {
        let why = || up.kubectl(&["get", "pod", pod, "-o", "jsonpath={.status}"]);
        assert!(after.get(pod) == Some(was), "{pod} was started again: {was:?}, now {}", why());
    }
    // A creation that the kill cut short counts as an attempt; nothing is started a third time.
    let more = after.iter().filter(|(_, (_, restarts))| !matches!(restarts.as_str(), "0" | "1"));
    assert_eq!(more.count(), 0, "{after:?}");
    up.kubectl(&["delete", "deployment/many", "--timeout=60s"]);
    eventually("every pod to go", || running(&up).is_empty());
}

#[test]
fn a_full_disk_refuses_cleanly_and_recovers() {
    let Some(mut up) = Instance::start_on_small_disk("disk", "192m") else { return };
    up.import_busybox();
    up.kubectl(&["create", "configmap", "before", "--from-literal=a=b"]);
    let filler = up.data_dir().join("filler");
    fill(&filler);

    let big = format!("--from-literal=a={}", "x".repeat(100_000));
    let refused = up.try_kubectl(&["create", "configmap", "during", &big]);
    let refused = refused.expect_err("a write on a full disk is refused");
    assert!(refused.to_lowercase().contains("no space"), "{refused}");
    // What is there can be read, and a start is refused rather than half done.
    assert!(up.kubectl(&["get", "configmap", "before", "-o", "name"]).contains("before"));
    let started = up.try_docker(&["run", "--rm", "busybox", "true"]);
    assert!(started.is_err(), "a container started without space");

    std::fs::remove_file(&filler).unwrap();
    eventually("writes to work again", || {
        up.try_kubectl(&["create", "configmap", "after", "--from-literal=a=b"]).is_ok()
    });
    assert_eq!(up.docker(&["run", "--rm", "busybox", "echo", "hi"]).trim(), "hi");
    up.kill();
    up.restart();
    let names = up.kubectl(&["get", "configmaps", "-o", "name"]);
    assert!(names.contains("/before") && names.contains("/after"), "{names}");
    assert!(!names.contains("/during"), "a refused write came back: {names}");
}

/// Takes all space that is left.
fn fill(path: &std::path::Path) {
    let of = format!("of={}", path.display());
    let filled = Command::new("dd").args(["if=/dev/zero", &of, "bs=1M"]).output().unwrap();
    assert!(!filled.status.success(), "the disk is larger than it should be");
    let rest = Command::new("dd")
        .args(["if=/dev/zero", &of, "bs=512", "oflag=append", "conv=notrunc"])
        .output();
    assert!(!rest.unwrap().status.success());
}
