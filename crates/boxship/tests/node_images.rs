//! Images on their way to pods: pull policies, pull secrets, back-off, and what users are told; and the logs that
//! containers leave.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod instance;

use image::{ImageStore, RegistriesConfig};
use instance::{Instance, eventually};
use registry_http::{Access, Account, Accounts, Options};
use std::process::Command;

/// A registry that asks for a name and a password; lives as long as its runtime.
struct Registry {
    port: u16,
    _runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Registry {
    fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store =
            ImageStore::open(&folder.path().join("store"), RegistriesConfig::default()).unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let account = ("ann".to_string(), "secret".to_string(), Account::Writer);
        let options = Options { access: Access::Basic(Accounts::new(vec![account])) };
        runtime.spawn(registry_http::serve(listener, store, options));
        Self { port, _runtime: runtime, _folder: folder }
    }

    fn name(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}", self.port)
    }

    /// `docker push` with credentials as `docker login` leaves them.
    fn push(&self, up: &Instance, image: &str) {
        let folder = tempfile::tempdir().unwrap();
        let host = format!("127.0.0.1:{}", self.port);
        let config = serde_json::json!({ "auths": { host: { "auth": "YW5uOnNlY3JldA==" } } });
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        up.docker(&["tag", "busybox", &self.name(image)]);
        let pushed = Command::new("docker")
            .args(["push", "-q", &self.name(image)])
            .env("DOCKER_HOST", up.docker_host())
            .env("DOCKER_CONFIG", folder.path())
            .output()
            .unwrap();
        assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
        up.docker(&["rmi", &self.name(image)]);
    }
}

fn pod(name: &str, image: &str, policy: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  \
         {more}\n  containers:\n  - {{name: c, image: \"{image}\", imagePullPolicy: {policy}, command: [sleep, \"1000\"]}}\n"
    )
}

fn waiting(up: &Instance, pod: &str) -> String {
    let path = "jsonpath={.status.containerStatuses[0].state.waiting.reason}";
    up.kubectl(&["get", "pod", pod, "-o", path])
}

fn events(up: &Instance, pod: &str) -> String {
    let path = "jsonpath={range .items[*]}{.type} {.reason} {.message}{\"\\n\"}{end}";
    let about = format!("involvedObject.name={pod}");
    up.kubectl(&["get", "events", "--field-selector", &about, "-o", path])
}

fn becomes_ready(up: &Instance, pod: &str) {
    up.kubectl(&["wait", "--for=condition=Ready", &format!("pod/{pod}"), "--timeout=60s"]);
}

#[test]
fn pull_secrets_of_the_pod_and_of_its_account_open_a_registry() {
    let Some(up) = Instance::start("secrets") else { return };
    up.import_busybox();
    let registry = Registry::start();
    for image in ["own:1", "account:1"] {
        registry.push(&up, image);
    }
    let server = format!("--docker-server=127.0.0.1:{}", registry.port);
    let account = ["--docker-username=ann", "--docker-password=secret"];
    up.kubectl(&["create", "secret", "docker-registry", "ann", &server, account[0], account[1]]);
    up.kubectl(&[
        "create",
        "secret",
        "docker-registry",
        "bob",
        &server,
        account[0],
        "--docker-password=no",
    ]);

    up.apply(&pod("none", &registry.name("own:1"), "IfNotPresent", ""));
    eventually("the back-off of a pull without credentials", || {
        waiting(&up, "none") == "ImagePullBackOff"
    });
    let name = registry.name("own:1");
    eventually("the events of the failed pull", || {
        let told = events(&up, "none");
        told.contains(&format!("Normal Pulling Pulling image \"{name}\""))
            && told.contains(&format!("Warning Failed Failed to pull image \"{name}\": "))
            && told.contains("Warning Failed Error: ErrImagePull")
            && told.contains(&format!("Normal BackOff Back-off pulling image \"{name}\""))
            && told.contains("Warning Failed Error: ImagePullBackOff")
    });
    let path = "jsonpath={.status.containerStatuses[0].state.waiting.message}";
    let message = up.kubectl(&["get", "pod", "none", "-o", path]);
    assert!(message.starts_with("Back-off pulling image "), "{message}");
    assert!(message.contains("ErrImagePull: "), "{message}");

    // The wrong secret first: the next one is tried.
    let secrets = "imagePullSecrets: [{name: missing}, {name: bob}, {name: ann}]";
    up.apply(&pod("own", &registry.name("own:1"), "IfNotPresent", secrets));
    becomes_ready(&up, "own");
    let told = events(&up, "own");
    assert!(told.contains("Normal Pulled Successfully pulled image"), "{told}");
    assert!(told.contains("Image size: "), "{told}");

    let patch = r#"{"imagePullSecrets":[{"name":"ann"}]}"#;
    up.kubectl(&["patch", "serviceaccount", "default", "-p", patch]);
    up.apply(&pod("account", &registry.name("account:1"), "Always", ""));
    becomes_ready(&up, "account");
    // What waited in back-off gets the image that is here by now.
    becomes_ready(&up, "none");
    up.kubectl(&["delete", "pod", "--all", "--timeout=60s"]);
}

#[test]
fn pull_policies() {
    let Some(up) = Instance::start("policies") else { return };
    up.import_busybox();
    let registry = Registry::start();
    registry.push(&up, "always:1");
    let secret = "imagePullSecrets: [{name: ann}]";
    let server = format!("--docker-server=127.0.0.1:{}", registry.port);
    let args = ["create", "secret", "docker-registry", "ann", &server, "--docker-username=ann"];
    up.kubectl(&[&args[..], &["--docker-password=secret"]].concat());

    up.apply(&pod("never", "nobody/has:1", "Never", ""));
    eventually("ErrImageNeverPull", || waiting(&up, "never") == "ErrImageNeverPull");
    let told = events(&up, "never");
    let text = "Container image \"nobody/has:1\" is not present with pull policy of Never";
    assert!(told.contains(&format!("Warning ErrImageNeverPull {text}")), "{told}");

    up.apply(&pod("here", "busybox", "Never", ""));
    becomes_ready(&up, "here");
    let text = "Container image \"busybox\" already present on machine";
    assert!(events(&up, "here").contains(&format!("Normal Pulled {text}")));

    for name in ["first", "second"] {
        up.apply(&pod(name, &registry.name("always:1"), "Always", secret));
        becomes_ready(&up, name);
        // Pulled each time, though it is here.
        assert!(events(&up, name).contains("Normal Pulling "), "{name}");
    }
    up.apply(&pod("wrong", "UPPER//case", "IfNotPresent", ""));
    eventually("InvalidImageName", || waiting(&up, "wrong") == "InvalidImageName");
    up.kubectl(&["delete", "pod", "--all", "--timeout=60s"]);
}

/// 40 MiB of numbered lines pass through five files of 10 MiB; whoever follows sees each of them once.
#[test]
fn logs_are_kept_in_five_files_and_followed_without_loss() {
    let Some(up) = Instance::start("logs") else { return };
    up.import_busybox();
    up.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: chatty}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox
    imagePullPolicy: IfNotPresent
    command: [/bin/busybox, awk, 'BEGIN { for (i = 1; i <= 500000; i++) printf "%09d and some more text, so that it is as long as lines are\n", i }']
"#,
    );
    eventually("the container to start", || {
        let path = "jsonpath={.status.containerStatuses[0].state}";
        let state = up.kubectl(&["get", "pod", "chatty", "-o", path]);
        state.contains("running") || state.contains("terminated")
    });
    let all = up.kubectl(&["logs", "-f", "chatty"]);
    let numbers: Vec<u32> = all.lines().map(|l| l[..9].parse().unwrap()).collect();
    let first = numbers[0];
    assert_eq!(*numbers.last().unwrap(), 500_000);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "a line was lost");
    println!("followed from line {first} on");
    let uid = up.kubectl(&["get", "pod", "chatty", "-o", "jsonpath={.metadata.uid}"]);
    let dir = up.dir().join("data/pods").join(uid).join("logs/c");
    let mut files: Vec<(String, u64)> = std::fs::read_dir(dir)
        .unwrap()
        .flatten()
        .map(|e| (e.file_name().into_string().unwrap(), e.metadata().unwrap().len()))
        .collect();
    files.sort();
    assert_eq!(files.len(), 5, "{files:?}");
    assert!(files.iter().all(|(_, size)| *size <= 10 << 20), "{files:?}");
    let tail = up.kubectl(&["logs", "chatty", "--tail=1"]);
    assert!(tail.starts_with("000500000"), "{tail}");
    up.kubectl(&["delete", "pod", "chatty", "--timeout=60s"]);
}
