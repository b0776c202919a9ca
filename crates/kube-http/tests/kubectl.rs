//! Real kubectl against the face and the pipeline.
//!
//! Uses the programs that `KUBECTL` names (a list separated by colons), else `kubectl.1.27`, `kubectl.1.30`,
//! `kubectl.1.33` next to the `kubectl` on the path, else that one; says so when one is missing.

mod cluster;

use cluster::Cluster;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// kubectl with its own kubeconfig and cache.
struct Kubectl {
    program: PathBuf,
    dir: PathBuf,
}

/// What a command printed.
struct Output {
    ok: bool,
    text: String,
}

/// The versions everything is promised to work with: the oldest, the middle and the newest at hand.
const VERSIONS: [&str; 3] = ["kubectl.1.27", "kubectl.1.30", "kubectl.1.33"];

fn programs() -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os("KUBECTL") {
        return std::env::split_paths(&named).collect();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let beside = |name: &str| {
        let on_path = std::env::split_paths(&path).map(|dir| dir.join(name));
        // Distributions link `kubectl` to where its versions are.
        let linked = std::env::split_paths(&path)
            .filter_map(|dir| std::fs::canonicalize(dir.join("kubectl")).ok())
            .filter_map(|file| Some(file.parent()?.join(name)));
        on_path.chain(linked).find(|file| file.is_file())
    };
    let mut found = Vec::new();
    for version in VERSIONS {
        match beside(version) {
            Some(program) => found.push(program),
            None => eprintln!("not driven: {version} is not on the path"),
        }
    }
    if found.is_empty() {
        found.extend(beside("kubectl"));
    }
    found
}

impl Kubectl {
    fn run(&self, args: &str, input: &str) -> Output {
        let mut command = Command::new(&self.program);
        command
            .args(args.split(' '))
            .env("KUBECONFIG", self.dir.join("config"))
            .env("HOME", &self.dir)
            .env_remove("HTTPS_PROXY")
            .env_remove("https_proxy")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("kubectl starts");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(input.as_bytes()).expect("kubectl reads");
        drop(stdin);
        let output = child.wait_with_output().expect("kubectl ends");
        let text = [output.stdout, output.stderr].concat();
        Output { ok: output.status.success(), text: String::from_utf8_lossy(&text).into_owned() }
    }

    fn expect(&self, args: &str, input: &str, wanted: &str) {
        let output = self.run(args, input);
        assert!(output.ok && output.text.contains(wanted), "kubectl {args}\n{}", output.text);
    }

    fn refuse(&self, args: &str, wanted: &str) {
        self.refuse_input(args, "", wanted);
    }

    fn refuse_input(&self, args: &str, input: &str, wanted: &str) {
        let output = self.run(args, input);
        assert!(!output.ok && output.text.contains(wanted), "kubectl {args}\n{}", output.text);
    }
}

/// Runs `test` with every kubectl, each on a fresh cluster, or says why not.
fn with_kubectl(test: fn(&Kubectl)) {
    let programs = programs();
    if programs.is_empty() {
        eprintln!("skipped: no kubectl on the path, and KUBECTL names none");
    }
    for program in programs {
        println!("with {}", program.display());
        let dir = tempfile::tempdir().expect("a directory");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let listen = ([127, 0, 0, 1], 0).into();
        let cluster =
            runtime.block_on(Cluster::start(&dir.path().join("data"), listen)).expect("started");
        cluster.write_kubeconfig(&dir.path().join("config")).expect("written");
        test(&Kubectl { program, dir: Path::to_path_buf(dir.path()) });
        runtime.block_on(cluster.stop());
    }
}

const MAP: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, labels: {app: x}}\ndata: {a: '1'}\n";

#[test]
fn objects_are_created_changed_and_deleted() {
    with_kubectl(|kubectl| {
        kubectl.expect("create -f -", MAP, "configmap/m created");
        kubectl.expect("get cm m -o jsonpath={.data.a}", "", "1");
        kubectl.expect("get cm -l app=x -o name", "", "configmap/m");
        kubectl.expect("get cm m", "", "NAME   DATA   AGE\nm      1");
        kubectl.expect("label cm m tier=back", "", "configmap/m labeled");
        kubectl.expect(
            "patch cm m --type=merge -p {\"data\":{\"b\":\"2\"}}",
            "",
            "configmap/m patched",
        );
        kubectl.expect("get cm m -o jsonpath={.data}", "", r#"{"a":"1","b":"2"}"#);
        kubectl.expect(
            "apply --server-side --force-conflicts -f -",
            MAP,
            "configmap/m serverside-applied",
        );
        kubectl.expect("diff -f -", MAP, "");
        kubectl.refuse_input(
            "apply -f -",
            "kind: ConfigMap\napiVersion: v1\nmetadata: {name: z}\nspec: {}\n",
            "unknown field \"spec\"",
        );
        kubectl.expect("delete cm m", "", "configmap \"m\" deleted");
        kubectl.refuse("get cm m", "configmaps \"m\" not found");
    });
}

#[test]
fn discovery_and_documentation_are_there() {
    with_kubectl(|kubectl| {
        kubectl.expect("api-resources", "", "deployments");
        kubectl.expect("api-versions", "", "apps/v1");
        kubectl.expect("explain pod.spec.nodeName", "", "nodeName <string>");
        kubectl.expect("version", "", "Server Version");
        kubectl.expect("get --raw /readyz", "", "ok");
    });
}

#[test]
fn rights_follow_the_roles() {
    with_kubectl(|kubectl| {
        kubectl.expect(
            "get clusterrole admin -o jsonpath={.rules[*].resources}",
            "",
            "deployments/scale",
        );
        kubectl.expect("auth can-i create pods", "", "yes");
        let no = kubectl.run("auth can-i list secrets --as jane", "");
        assert!(!no.ok && no.text.starts_with("no"), "{}", no.text);
        kubectl.refuse(
            "get pods --as jane -n default",
            "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"",
        );
        kubectl.expect(
            "create rolebinding view-jane --clusterrole=view --user=jane -n default",
            "",
            "created",
        );
        kubectl.expect("auth can-i list pods --as jane -n default", "", "yes");
        kubectl.expect("get pods --as jane -n default", "", "No resources found");
        kubectl.expect("auth can-i --list --as jane -n default", "", "configmaps");
    });
}

#[test]
fn tokens_are_minted_and_work() {
    with_kubectl(|kubectl| {
        kubectl.expect(
            "create serviceaccount robot -n default",
            "",
            "serviceaccount/robot created",
        );
        let token = kubectl.run("create token robot -n default", "");
        assert!(token.ok, "{}", token.text);
        let config = std::fs::read_to_string(kubectl.dir.join("config")).expect("a kubeconfig");
        let mut config: serde_json::Value = serde_saphyr::from_str(&config).expect("YAML");
        config["users"][0]["user"] = serde_json::json!({ "token": token.text.trim() });
        std::fs::write(kubectl.dir.join("config"), config.to_string()).expect("written");
        kubectl.refuse(
            "get pods -n default",
            "User \"system:serviceaccount:default:robot\" cannot list resource",
        );
        kubectl.expect(
            "auth can-i create selfsubjectaccessreviews.authorization.k8s.io",
            "",
            "yes",
        );
    });
}

const APP: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 2\n  \
selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: \
{containers: [{name: c, image: 'img:1'}]}\n";

#[test]
fn a_day_with_kubectl() {
    with_kubectl(|kubectl| {
        kubectl.expect("create -f -", APP, "deployment.apps/web created");
        kubectl.expect("get deploy web -o yaml", "", "image: img:1");
        kubectl.expect("get deploy web -o json", "", "\"replicas\": 2");
        kubectl.expect("get deploy -o wide", "", "IMAGES");
        kubectl.expect("get deploy -o name", "", "deployment.apps/web");
        kubectl.expect("get deploy -o custom-columns=N:.metadata.name", "", "N\nweb");
        kubectl.expect("get deploy web -o go-template={{.spec.replicas}}", "", "2");
        kubectl.expect("get deploy,cm -A --show-labels", "", "LABELS");
        kubectl.expect("describe deploy web", "", "Pod Template:");
        kubectl.expect("describe ns default", "", "Active");
        kubectl.expect("explain deployment.spec.strategy --recursive", "", "maxSurge");
        kubectl.expect("explain deployment.spec.replicas", "", "Number of desired pods");
        kubectl.expect("annotate deploy web note=x", "", "deployment.apps/web annotate");
        kubectl.expect("scale deploy web --replicas=3", "", "scaled");
        kubectl.expect("scale deploy web --replicas=4 --current-replicas=3", "", "scaled");
        kubectl.expect("set image deploy/web c=img:2", "", "image updated");
        kubectl.expect(
            "get deploy web -o jsonpath={.spec.replicas}{.metadata.generation}",
            "",
            "45",
        );
        let json_patch = "patch deploy web --type=json -p [{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":1}]";
        kubectl.expect(json_patch, "", "patched");
        let strategic = "patch deploy web -p {\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"d\",\"image\":\"i\"}]}}}}";
        kubectl.expect(strategic, "", "patched");
        kubectl.expect("get deploy web -o jsonpath={..containers[*].name}", "", "d c");
        kubectl.expect("rollout history deploy web", "", "No rollout history found");
        let seen = kubectl.run("get deploy web -w --request-timeout=2s", "");
        assert!(seen.text.contains("web"), "{}", seen.text);
        kubectl.expect("wait --for=jsonpath={.spec.replicas}=1 deploy/web", "", "condition met");
        kubectl.expect("config view --minify", "", "server: https://127.0.0.1");
        kubectl.expect("auth can-i --list", "", "*.*");
        // Nobody collects garbage here, so nobody takes the finalizer away that this leaves.
        kubectl.expect("delete deploy web --cascade=orphan --wait=false", "", "deleted");
        let finalizers = "get deploy web -o jsonpath={.metadata.finalizers}";
        kubectl.expect(finalizers, "", "[\"orphan\"]");
        kubectl.refuse("get deploy none", "deployments.apps \"none\" not found");
        kubectl.refuse("get nonsense", "the server doesn't have a resource type \"nonsense\"");
    });
}
