//! Two instances at once on one machine, started, looked at and ended with Boxship's own commands.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod instance;

use instance::{eventually, http_get, try_http_get};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};

/// One of several instances.
struct Ship {
    name: String,
    dir: PathBuf,
    listen: String,
}

impl Ship {
    fn new(what: &str) -> Self {
        let name = format!("t{}-{what}", std::process::id());
        let dir = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&dir).unwrap();
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        Self { name, dir, listen }
    }

    fn boxship(&self, command: &str, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_boxship"))
            .arg(command)
            .arg("--data-dir")
            .arg(self.dir.join("data"))
            .args(words)
            .env("KUBECONFIG", kubeconfig())
            .env_remove("SUDO_UID")
            .output()
            .unwrap()
    }

    fn up(&self, words: &[&str]) -> Output {
        let host = format!("unix://{}", self.dir.join("docker.sock").display());
        let own =
            ["--detach", "--name", &self.name, "--listen", &self.listen, "--docker-host", &host];
        self.boxship("up", &[&own, words].concat())
    }

    fn kubectl(&self, words: &[&str]) -> String {
        let mut kubectl = Command::new("kubectl");
        kubectl
            .env("KUBECONFIG", kubeconfig())
            .args(["--context", &format!("boxship-{}", self.name)]);
        text(kubectl.args(words).output().unwrap())
    }

    /// A Deployment that answers with `what`, behind a LoadBalancer; its address.
    fn serve(&self, what: &str) -> String {
        let root = self.dir.join("rootfs/bin");
        std::fs::create_dir_all(&root).unwrap();
        std::fs::copy("/bin/busybox", root.join("busybox")).unwrap();
        let tar = self.dir.join("rootfs.tar");
        let pack = Command::new("tar")
            .arg("-C")
            .arg(self.dir.join("rootfs"))
            .arg("-cf")
            .arg(&tar)
            .arg(".")
            .status();
        assert!(pack.unwrap().success());
        let host = format!("unix://{}", self.dir.join("docker.sock").display());
        text(
            Command::new("docker")
                .args(["-H", &host, "import"])
                .arg(&tar)
                .arg("busybox:latest")
                .output()
                .unwrap(),
        );
        let script = format!(
            "busybox mkdir /www; echo {what} > /www/index.html; exec busybox httpd -f -p 8080 -h /www"
        );
        self.kubectl(&[
            "create",
            "deployment",
            "web",
            "--image=busybox",
            "--replicas=2",
            "--",
            "/bin/busybox",
            "sh",
            "-c",
            &script,
        ]);
        self.kubectl(&["patch", "deployment", "web", "--type=json", "-p", r#"[{"op":"replace","path":"/spec/template/spec/containers/0/imagePullPolicy","value":"IfNotPresent"}]"#]);
        self.kubectl(&[
            "expose",
            "deployment",
            "web",
            "--port=80",
            "--target-port=8080",
            "--type=LoadBalancer",
        ]);
        self.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
        let path = "jsonpath={.status.loadBalancer.ingress[0].ip}";
        eventually("the load balancer's address", || {
            !self.kubectl(&["get", "service", "web", "-o", path]).is_empty()
        });
        format!("{}:80", self.kubectl(&["get", "service", "web", "-o", path]))
    }
}

/// Shared by both, as a user's is.
fn kubeconfig() -> PathBuf {
    std::env::temp_dir().join(format!("t{}-kubeconfig", std::process::id()))
}

fn text(output: Output) -> String {
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    said.into_owned()
}

fn error(output: Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const OTHER: &str = "apiVersion: v1
kind: Config
current-context: work
contexts: [{name: work, context: {cluster: work, user: me}}]
clusters: [{name: work, cluster: {server: 'https://work.example'}}]
users: [{name: me, user: {token: secret}}]
";

#[test]
fn two_instances_live_side_by_side() {
    if !instance::can_run() {
        return;
    }
    std::fs::write(kubeconfig(), OTHER).unwrap();
    let (first, second) = (Ship::new("one"), Ship::new("two"));
    assert!(text(first.up(&[])).starts_with("ready in "));
    assert!(text(second.up(&[])).starts_with("ready in "));

    let (one, two) = (first.serve("one"), second.serve("two"));
    assert_ne!(one, two);
    eventually("the first Service", || try_http_get(&one, "/") == "one\n");
    eventually("the second Service", || try_http_get(&two, "/") == "two\n");
    for _ in 0..20 {
        assert_eq!((http_get(&one, "/"), http_get(&two, "/")), ("one\n".into(), "two\n".into()));
    }

    let status = text(second.boxship("status", &[]));
    for part in [&second.name, "v1.35", "Ready", "2 Running", &two, "networks", "keeper"] {
        assert!(status.contains(part), "{status} lacks {part}");
    }
    refusals(&first);

    // One goes, the other goes on; and what went comes back with the addresses it had.
    text(first.boxship("down", &[]));
    assert_eq!(first.boxship("status", &[]).status.code(), Some(3));
    assert_eq!(http_get(&two, "/"), "two\n");
    assert_eq!(http_get(&one, "/"), "one\n", "containers and Services outlive the daemon");
    text(first.up(&[]));
    assert_eq!(http_get(&one, "/"), "one\n");
    assert!(String::from_utf8_lossy(&first.boxship("logs", &[]).stdout).len() < 1 << 20);

    end([first, second]);
}

fn refusals(first: &Ship) {
    let again = error(first.up(&[]));
    assert!(again.contains("an instance runs there already") && again.contains("hint:"), "{again}");
    let third = Ship::new("three");
    let networks = std::fs::read_to_string(first.dir.join("data/networks.json")).unwrap();
    let networks: serde_json::Value = serde_json::from_str(&networks).unwrap();
    let taken = error(third.up(&["--pod-cidr", networks["pods"].as_str().unwrap()]));
    assert!(taken.contains("which is in use") && taken.contains("hint:"), "{taken}");
    text(third.boxship("reset", &["--name", &third.name]));
    std::fs::remove_dir_all(&third.dir).unwrap();
}

fn end(ships: [Ship; 2]) {
    for ship in &ships {
        ship.kubectl(&["delete", "deployment/web", "service/web", "--timeout=60s"]);
        text(ship.boxship("down", &["--containers"]));
        text(ship.boxship("reset", &["--name", &ship.name]));
        std::fs::remove_dir_all(&ship.dir).unwrap();
    }
    let left = std::fs::read_to_string(kubeconfig()).unwrap();
    assert!(left.contains("work.example") && !left.contains("boxship"), "{left}");
    std::fs::remove_file(kubeconfig()).unwrap();
}

#[test]
fn the_doctor_looks_at_everything_and_the_unit_is_printed() {
    if !instance::can_run() {
        return;
    }
    let ship = Ship::new("doctor");
    let said = text(ship.boxship(
        "doctor",
        &["--listen", &ship.listen, "--docker-host", "unix:///tmp/nobody.sock"],
    ));
    for check in [
        "cgroups",
        "overlayfs",
        "nf_tables",
        "br_netfilter",
        "ip_forward",
        "capabilities",
        "disk",
        "clock",
        "CA bundle",
    ] {
        assert!(said.lines().any(|line| line[6..].starts_with(check)), "{said} lacks {check}");
    }
    let unit = text(ship.boxship("up", &["--print-unit", "--name", "edge"]));
    assert!(unit.contains("Type=notify") && unit.contains("--name edge"), "{unit}");
    assert!(!unit.contains("--print-unit"), "{unit}");
    std::fs::remove_dir_all(&ship.dir).unwrap();
}
