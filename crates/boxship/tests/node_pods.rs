//! What a node does for its pods beside running them: probes over TLS, names, seccomp profiles, debug
//! containers, attached terminals, every protocol of exec.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod instance;

use instance::{Instance, eventually};
use remote::{Kube, Message, WebSocket};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

fn pod(name: &str, spec: &str, container: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  \
         {spec}\n  containers:\n  - {{name: c, image: busybox, imagePullPolicy: IfNotPresent, {container}}}\n"
    )
}

fn becomes_ready(up: &Instance, pod: &str) {
    up.kubectl(&["wait", "--for=condition=Ready", &format!("pod/{pod}"), "--timeout=60s"]);
}

fn field(up: &Instance, pod: &str, path: &str) -> String {
    up.kubectl(&["get", "pod", pod, "-o", &format!("jsonpath={{{path}}}")])
}

fn kubectl(up: &Instance) -> Command {
    let mut command = Command::new("kubectl");
    command.env("KUBECONFIG", up.dir().join("kubeconfig"));
    command
}

fn logs_say(up: &Instance, pod: &str, text: &str) {
    eventually(&format!("{pod} to log {text:?}"), || up.kubectl(&["logs", pod]).contains(text));
}

/// The API server itself is the TLS server at hand.
#[test]
fn probes_over_tls_names_and_seccomp_profiles() {
    let Some(up) = Instance::start("tls") else { return };
    up.import_busybox();
    let config = std::fs::read_to_string(up.dir().join("kubeconfig")).unwrap();
    let server = config.lines().find_map(|l| l.trim().strip_prefix("server: ")).unwrap();
    let port = server.trim_matches('"').rsplit(':').next().unwrap();
    let probe = |scheme: &str| {
        format!(
            "command: [sleep, \"1000\"], readinessProbe: {{periodSeconds: 1, httpGet: {{scheme: {scheme}, \
             host: 127.0.0.1, port: {port}, path: /readyz}}}}"
        )
    };
    up.apply(&pod("https", "", &probe("HTTPS")));
    up.apply(&pod("plain", "", &probe("HTTP")));
    becomes_ready(&up, "https");
    eventually("the plain probe to fail", || {
        up.kubectl(&["get", "events"]).contains("Readiness probe failed: ")
    });
    assert_eq!(field(&up, "plain", ".status.containerStatuses[0].ready"), "false");

    let whole = "{hostname: web, subdomain: all, setHostnameAsFQDN: true}";
    let spec = whole.trim_matches(['{', '}']).replace(", ", "\n  ");
    up.apply(&pod("whole", &spec, "command: [sh, -c, \"hostname; sleep 1000\"]"));
    logs_say(&up, "whole", "web.all.default.svc.cluster.local");

    let dir = up.dir().join("data/seccomp/team");
    std::fs::create_dir_all(&dir).unwrap();
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}"#;
    std::fs::write(dir.join("no-mkdir.json"), profile).unwrap();
    let seccomp = |file: &str| {
        format!(
            "securityContext: {{seccompProfile: {{type: Localhost, localhostProfile: {file}}}}}"
        )
    };
    let script = "command: [sh, -c, \"mkdir /tmp/x || echo refused; sleep 1000\"]";
    up.apply(&pod("strict", &seccomp("team/no-mkdir.json"), script));
    logs_say(&up, "strict", "refused");
    up.apply(&pod("missing", &seccomp("team/other.json"), script));
    eventually("the missing profile to be told", || {
        field(&up, "missing", ".status.containerStatuses[0].state.waiting.message")
            .contains("cannot load seccomp profile")
    });
    up.kubectl(&["delete", "pod", "--all", "--timeout=60s"]);
}

#[test]
fn debug_containers_attached_streams_and_terminals() {
    let Some(up) = Instance::start("attach") else { return };
    up.import_busybox();
    up.docker(&["tag", "busybox", "busybox:1"]);
    up.apply(&pod("talks", "", "command: [sh, -c, \"while true; do echo tick; sleep 0.2; done\"]"));
    up.apply(&pod("reads", "", "stdin: true, command: [cat]"));
    for name in ["talks", "reads"] {
        becomes_ready(&up, name);
    }
    let mut attached =
        kubectl(&up).args(["attach", "talks"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(attached.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        assert_eq!(lines.next().unwrap().unwrap(), "tick");
    }
    attached.kill().unwrap();
    attached.wait().unwrap();

    let mut attached = kubectl(&up)
        .args(["attach", "-i", "reads"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    attached.stdin.as_mut().unwrap().write_all(b"hello there\n").unwrap();
    let mut lines = BufReader::new(attached.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "hello there");
    attached.kill().unwrap();
    attached.wait().unwrap();

    up.kubectl(&[
        "debug",
        "talks",
        "--image=busybox:1",
        "-c",
        "dbg",
        "--attach=false",
        "--",
        "/bin/busybox",
        "echo",
        "from the debug container",
    ]);
    eventually("the debug container to end", || {
        field(&up, "talks", ".status.ephemeralContainerStatuses[0].state.terminated.reason")
            == "Completed"
    });
    assert_eq!(up.kubectl(&["logs", "talks", "-c", "dbg"]).trim(), "from the debug container");

    let Ok(which) = Command::new("script").arg("--version").output() else {
        println!("skipped: `script` is not installed, so there is no terminal to resize");
        return;
    };
    assert!(which.status.success());
    let inside = "stty rows 33 cols 77; exec kubectl exec -it talks -- sh -c 'sleep 1; /bin/busybox stty size'";
    let said = Command::new("script")
        .args(["-qec", inside, "/dev/null"])
        .env("KUBECONFIG", up.dir().join("kubeconfig"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("33 77"), "{said:?}");
    up.kubectl(&["delete", "pod", "--all", "--timeout=60s"]);
}

/// Channel and content of what came, in either encoding.
fn decode(protocol: &str, message: &[u8]) -> (u8, Vec<u8>) {
    use base64::Engine as _;
    let Some((first, rest)) = message.split_first() else { return (0, Vec::new()) };
    if protocol.contains("base64") {
        let content = base64::engine::general_purpose::STANDARD.decode(rest).unwrap();
        return (first - b'0', content);
    }
    (*first, rest.to_vec())
}

#[test]
fn exec_speaks_every_protocol_of_its_channels() {
    let Some(up) = Instance::start("channels") else { return };
    up.import_busybox();
    up.apply(&pod("c", "", "command: [sleep, \"1000\"]"));
    becomes_ready(&up, "c");
    let kube = Kube::from_file(&up.dir().join("kubeconfig")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let path = "/api/v1/namespaces/default/pods/c/exec?stdout=1&stderr=1&command=sh&command=-c&command=echo%20out%3B%20echo%20err%20%3E%262%3B%20exit%203";
    for protocol in [
        "v5.channel.k8s.io",
        "v4.channel.k8s.io",
        "v4.base64.channel.k8s.io",
        "channel.k8s.io",
        "base64.channel.k8s.io",
    ] {
        let mut said = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        runtime.block_on(async {
            let mut socket = WebSocket::open(&kube, path, &[protocol]).await.unwrap();
            assert_eq!(socket.protocol, protocol);
            while let Ok(Some(message)) = socket.receiver.next().await {
                if let Message::Data(bytes) = message {
                    let (channel, content) = decode(protocol, &bytes);
                    said[usize::from(channel)].extend(content);
                }
            }
        });
        let text = |channel: usize| String::from_utf8_lossy(&said[channel]).into_owned();
        assert_eq!((text(1).as_str(), text(2).as_str()), ("out\n", "err\n"), "{protocol}");
        let end = text(3);
        if protocol.starts_with('v') {
            let status: serde_json::Value = serde_json::from_str(&end).unwrap();
            assert_eq!(status["reason"], "NonZeroExitCode", "{protocol}: {end}");
            assert_eq!(status["details"]["causes"][0]["message"], "3", "{protocol}");
        } else {
            assert!(end.contains("exit"), "{protocol}: {end:?}");
        }
    }
    up.kubectl(&["delete", "pod", "c", "--timeout=60s"]);
}
