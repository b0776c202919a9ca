//! The whole tour of `boxship demo`, with the real binary: every step succeeds, and no request is lost in a rollout.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

/// What the line of a step says, when all went well.
static STEPS: [(&str, &[&str]); 16] = [
    ("start the cluster", &["Kubernetes v1.35", "ready in"]),
    ("compile the model server", &["static binary"]),
    ("build the image of model v1", &["trained v1 on 100 rows"]),
    ("build the image of model v2", &["trained v2 on 100 rows"]),
    ("deploy 3 replicas behind a Service", &["http://10.", "answers after"]),
    ("predict 150 real rows", &["143 of 150 right", "pods"]),
    ("scale to 5", &["5 of 5 ready"]),
    ("lose a pod under load", &["replaced in", " 0 failed"]),
    ("lose a container", &["started again and ready"]),
    ("roll out model v2 under load", &[" 0 failed", "by v1", "by v2"]),
    ("roll back to v1 under load", &[" 0 failed", "by v1", "by v2"]),
    ("score everything in a Job", &["143 of 150 rows right through http://iris/predict"]),
    ("schedule a check every minute", &[]),
    ("autoscale up under load, then down", &["after it"]),
    ("see the scheduled check (CronJob)", &["model v1 accuracy 0.920 on 50 rows"]),
    ("clean up", &["nothing of it is left"]),
];

#[test]
fn every_step_succeeds_and_no_request_is_lost() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !status.lines().any(|line| line.starts_with("Uid:\t0\t")) {
        println!("skipped: this test needs root");
        return;
    }
    let name = format!("t{}-demo", std::process::id());
    let dir = std::env::temp_dir().join(&name);
    let output = Command::new(env!("CARGO_BIN_EXE_boxship"))
        .args(["demo", "--name", &name, "--data-dir"])
        .arg(&dir)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    println!("{said}{errors}");
    assert!(output.status.success());
    for (title, parts) in STEPS {
        let line = said.lines().find(|line| line.contains(title)).unwrap_or_default();
        assert!(line.starts_with("ok "), "{title}: {line:?}");
        for part in parts {
            assert!(line.contains(part), "{line:?} does not say {part:?}");
        }
    }
    assert!(!dir.exists(), "{} is still there", dir.display());
}
