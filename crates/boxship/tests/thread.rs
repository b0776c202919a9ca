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
    // The pods' network is not the users' to clean away, even when no pod is on it.
    assert!(!up.docker(&["network", "prune", "-f"]).contains("pods"));
    up.docker(&["system", "prune", "-f"]);
    up.apply(WEB);
    up.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
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

#[test]
fn kubectl_rolls_out_and_back_reads_logs_and_runs_commands() {
    let Some(up) = Instance::start("journey") else { return };
    up.import_busybox();
    up.apply(WEB);
    up.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);

    up.kubectl(&["set", "env", "deployment/web", "COLOUR=green"]);
    up.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    let said = up.kubectl(&["exec", "deployment/web", "--", "sh", "-c", "echo $COLOUR"]);
    assert_eq!(said.trim(), "green");
    up.kubectl(&["rollout", "undo", "deployment/web"]);
    up.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    let said = up.kubectl(&["exec", "deployment/web", "--", "sh", "-c", "echo [$COLOUR]"]);
    assert_eq!(said.trim(), "[]");
    let history = up.kubectl(&["rollout", "history", "deployment/web"]);
    assert!(history.contains("\n2 ") && history.contains("\n3 "), "{history}");

    up.apply(
        r#"
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  completions: 2
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: once, image: busybox, imagePullPolicy: IfNotPresent, command: [sh, -c, "echo done once"]}
"#,
    );
    up.kubectl(&["wait", "--for=condition=complete", "job/once", "--timeout=60s"]);
    assert_eq!(up.kubectl(&["logs", "job/once"]).trim(), "done once");

    up.apply(
        r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {greeting: hello}
---
apiVersion: v1
kind: Pod
metadata: {name: reader}
spec:
  terminationGracePeriodSeconds: 0
  volumes:
  - {name: settings, configMap: {name: settings}}
  initContainers:
  - {name: first, image: busybox, imagePullPolicy: IfNotPresent, command: [sh, -c, "cat /settings/greeting"], volumeMounts: [{name: settings, mountPath: /settings}]}
  containers:
  - name: reader
    image: busybox
    imagePullPolicy: IfNotPresent
    command: [sleep, "1000"]
    env:
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    volumeMounts: [{name: settings, mountPath: /settings}]
"#,
    );
    up.kubectl(&["wait", "--for=condition=Ready", "pod/reader", "--timeout=60s"]);
    assert_eq!(up.kubectl(&["logs", "reader", "-c", "first"]), "hello");
    up.kubectl(&["patch", "configmap", "settings", "-p", r#"{"data":{"greeting":"changed"}}"#]);
    eventually("the mounted file to change", || {
        up.kubectl(&["exec", "reader", "-c", "reader", "--", "cat", "/settings/greeting"])
            == "changed"
    });
    let node = up.kubectl(&["exec", "reader", "-c", "reader", "--", "sh", "-c", "echo $NODE"]);
    assert_eq!(
        node.trim(),
        up.kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"])
    );
}

#[test]
fn what_docker_builds_answers_through_a_service() {
    let Some(up) = Instance::start("service") else { return };
    up.import_busybox();
    up.build(
        "shop:1",
        "FROM busybox AS made\nRUN mkdir -p /www && echo open > /www/index.html\n\
         FROM busybox\nCOPY --from=made /www /www\nEXPOSE 8080\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n",
    );
    up.kubectl(&["create", "deployment", "shop", "--image=shop:1", "--replicas=2"]);
    up.kubectl(&[
        "expose",
        "deployment",
        "shop",
        "--port=80",
        "--target-port=8080",
        "--type=LoadBalancer",
    ]);
    up.kubectl(&["rollout", "status", "deployment/shop", "--timeout=60s"]);

    let address = up.kubectl(&["get", "service", "shop", "-o", "jsonpath={.spec.clusterIP}"]);
    eventually("the Service to answer", || {
        instance::try_http_get(&format!("{address}:80"), "/") == "open\n"
    });
    let path = "jsonpath={.status.loadBalancer.ingress[0].ip}";
    eventually("the load balancer's address", || {
        !up.kubectl(&["get", "service", "shop", "-o", path]).is_empty()
    });
    let address = up.kubectl(&["get", "service", "shop", "-o", path]);
    assert_eq!(instance::http_get(&format!("{address}:80"), "/"), "open\n");
    let port = up.kubectl(&["get", "service", "shop", "-o", "jsonpath={.spec.ports[0].nodePort}"]);
    assert_eq!(instance::http_get(&format!("127.0.0.1:{port}"), "/"), "open\n");

    let name = "shop.default.svc.cluster.local";
    let found = up.kubectl(&["exec", "deployment/shop", "--", "busybox", "nslookup", name]);
    let cluster = up.kubectl(&["get", "service", "shop", "-o", "jsonpath={.spec.clusterIP}"]);
    assert!(found.contains(&cluster), "{found}");

    up.kubectl(&["delete", "service/shop", "deployment/shop", "--timeout=60s"]);
}
