//! The thread through everything, with unmodified clients against the real binary: docker brings an image in,
//! kubectl creates a Deployment, its containers answer, survive the daemon, scale and go without a trace.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod instance;

use instance::{Instance, eventually};

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: busybox
        imagePullPolicy: IfNotPresent
        command: [sh, -c, "mkdir -p /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www"]
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /index.html, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
"#;

#[test]
fn a_deployment_answers_scales_and_survives_the_daemon() {
    let Some(mut up) = Instance::start("thread") else { return };
    up.import_busybox();
    assert_eq!(up.docker(&["run", "--rm", "busybox", "echo", "hi"]).trim(), "hi");

    up.apply(WEB);
    up.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    let pods =
        up.kubectl(&["get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.podIP}"]);
    assert_eq!(pods.split_whitespace().count(), 3, "{pods}");
    for ip in pods.split_whitespace() {
        let body = instance::http_get(&format!("{ip}:8080"), "/index.html");
        assert!(body.contains("web-"), "{ip} answered {body:?}");
    }

    up.kubectl(&["scale", "deployment/web", "--replicas=1"]);
    eventually("two pods to go", || {
        up.kubectl(&["get", "pods", "-l", "app=web", "-o", "name"]).lines().count() == 1
    });

    let before = up.kubectl(&[
        "get",
        "pods",
        "-o",
        "jsonpath={.items[0].status.containerStatuses[0].containerID}",
    ]);
    up.kill();
    up.restart();
    up.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    let after = up.kubectl(&[
        "get",
        "pods",
        "-o",
        "jsonpath={.items[0].status.containerStatuses[0].containerID}",
    ]);
    assert_eq!(before, after, "a container was restarted because the daemon was");

    up.kubectl(&["delete", "deployment/web", "service/web", "--timeout=60s"]);
    eventually("every pod to go", || up.kubectl(&["get", "pods", "-o", "name"]).trim().is_empty());
}

#[test]
fn a_failing_container_backs_off_and_says_so() {
    let Some(up) = Instance::start("backoff") else { return };
    up.import_busybox();
    up.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: sad}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: sad, image: busybox, imagePullPolicy: IfNotPresent, command: [sh, -c, "exit 3"]}
"#,
    );
    eventually("CrashLoopBackOff", || {
        let path = "jsonpath={.status.containerStatuses[0].state.waiting.reason}";
        up.kubectl(&["get", "pod", "sad", "-o", path]) == "CrashLoopBackOff"
    });
    let path = "jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].lastState.terminated.exitCode}";
    assert_eq!(up.kubectl(&["get", "pod", "sad", "-o", path]), "1 3");
    up.kubectl(&["delete", "pod", "sad", "--timeout=30s"]);
}
