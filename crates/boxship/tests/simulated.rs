//! `boxship server --simulated-nodes`: what people do with kubectl to a large cluster, without a container.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Server {
    dir: PathBuf,
    child: Child,
}

/// A slow machine makes a thousand pods in this time.
const PATIENCE: Duration = Duration::from_secs(180);

impl Server {
    /// `None`, with the reason printed, where there is no kubectl.
    fn start(name: &str, nodes: &str) -> Option<Self> {
        if Command::new("kubectl").arg("version").arg("--client").output().is_err() {
            println!("skipped: this test needs kubectl");
            return None;
        }
        let dir = std::env::temp_dir().join(format!("boxship-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_boxship"))
            .args(["server", "--listen", "127.0.0.1:0", "--simulated-nodes", nodes])
            .arg("--data-dir")
            .arg(dir.join("data"))
            .arg("--write-kubeconfig")
            .arg(dir.join("kubeconfig"))
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("ready in "), "{line:?}; its log is in {}", dir.display());
        Some(Self { dir, child })
    }

    fn try_kubectl(&self, args: &[&str]) -> Result<String, String> {
        let output = Command::new("kubectl")
            .args(args)
            .env("KUBECONFIG", self.dir.join("kubeconfig"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(text) } else { Err(text + &errors) }
    }

    fn kubectl(&self, line: &str) -> String {
        let args: Vec<&str> = line.split(' ').collect();
        self.try_kubectl(&args).unwrap_or_else(|said| panic!("kubectl {line}:\n{said}"))
    }

    fn eventually(&self, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn rolled_out(&self, deployment: &str) {
        let line = format!("rollout status deployment/{deployment} --timeout=180s");
        assert!(self.kubectl(&line).contains("successfully rolled out"));
    }

    fn count(&self, what: &str) -> usize {
        self.kubectl(&format!("get {what} -o name")).lines().count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("the log is in {}", self.dir.display());
        } else {
            std::fs::remove_dir_all(&self.dir).unwrap();
        }
    }
}

#[test]
fn a_thousand_replicas_roll_out_and_back() {
    let Some(server) = Server::start("rollout", "20") else { return };
    server.kubectl("create deployment web --image=web:1 --replicas=1000");
    server.rolled_out("web");
    assert_eq!(server.count("pods --field-selector=status.phase=Running"), 1000);
    server.kubectl("scale deployment/web --replicas=40");
    server.rolled_out("web");
    server.kubectl("rollout pause deployment/web");
    server.kubectl("set image deployment/web web=web:2");
    assert_eq!(server.count("replicasets"), 1, "a paused deployment makes no new set");
    server.kubectl("rollout resume deployment/web");
    server.rolled_out("web");
    assert_eq!(server.count("replicasets"), 2);
    let history = server.kubectl("rollout history deployment/web");
    assert!(history.contains("\n1 ") && history.contains("\n2 "), "{history}");
    server.kubectl("rollout undo deployment/web");
    server.rolled_out("web");
    let image = "get deployment web -o jsonpath={.spec.template.spec.containers[0].image}";
    assert_eq!(server.kubectl(image), "web:1");
    let before = server.kubectl("get pods -o name");
    server.kubectl("rollout restart deployment/web");
    server.rolled_out("web");
    server.eventually("old pods to go", || server.count("pods") == 40);
    let after = server.kubectl("get pods -o name");
    assert!(before.lines().all(|pod| !after.contains(pod)));
    server.kubectl("autoscale deployment/web --min=2 --max=50 --cpu-percent=80");
    assert!(server.kubectl("get hpa web").contains("Deployment/web"));
    let scaled = server.kubectl("get events --field-selector=reason=ScalingReplicaSet");
    assert!(scaled.contains("Scaled up replica set"), "{scaled}");
}

#[test]
fn nodes_are_cordoned_drained_and_tainted() {
    let Some(server) = Server::start("nodes", "3") else { return };
    server.kubectl("wait --for=condition=Ready node --all --timeout=60s");
    server.kubectl("create deployment web --image=web:1 --replicas=30");
    server.rolled_out("web");
    let on = |node: &str| server.count(&format!("pods --field-selector=spec.nodeName={node}"));
    server.kubectl("cordon simulated-0");
    assert!(server.kubectl("get node simulated-0").contains("SchedulingDisabled"));
    server.kubectl("create poddisruptionbudget web --selector=app=web --min-available=25");
    server.eventually("the budget to be counted", || {
        server.kubectl("get pdb web -o jsonpath={.status.disruptionsAllowed}") == "5"
    });
    server.kubectl("drain simulated-0 --timeout=120s");
    assert_eq!(on("simulated-0"), 0);
    server.rolled_out("web");
    server.kubectl("uncordon simulated-0");
    server.kubectl("taint nodes simulated-1 broken=yes:NoExecute");
    server.eventually("the tainted node to be empty", || on("simulated-1") == 0);
    server.rolled_out("web");
    let told = server.kubectl("get events --field-selector=reason=TaintManagerEviction");
    assert!(told.contains("Marking for deletion Pod"), "{told}");
    server.kubectl("taint nodes simulated-1 broken-");
    server.kubectl("delete node simulated-2");
    server.eventually("pods of the deleted node to go", || on("simulated-2") == 0);
}

#[test]
fn every_cascade_takes_what_it_should() {
    let Some(server) = Server::start("cascade", "2") else { return };
    for name in ["background", "foreground", "orphan"] {
        server.kubectl(&format!("create deployment {name} --image=web:1 --replicas=3"));
        server.rolled_out(name);
    }
    server.kubectl("delete deployment foreground --cascade=foreground --timeout=120s");
    assert_eq!(server.count("pods -l app=foreground"), 0, "dependents go first");
    server.kubectl("delete deployment background --cascade=background");
    server.eventually("dependents to follow", || server.count("pods -l app=background") == 0);
    server.kubectl("delete deployment orphan --cascade=orphan");
    server.eventually("the set to be released", || {
        let owners =
            "get replicasets -l app=orphan -o jsonpath={.items[*].metadata.ownerReferences}";
        server.kubectl(owners).is_empty()
    });
    assert_eq!(server.count("pods -l app=orphan"), 3);
    server.kubectl("create job done --image=web:1 -- true");
    server.kubectl("wait --for=condition=complete job/done --timeout=120s");
    let streams = server.try_kubectl(&["logs", "job/done"]).unwrap_err();
    assert!(streams.contains("no node is attached"), "nothing runs here: {streams}");
}
