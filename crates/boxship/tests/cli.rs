//! Boxship's own commands against a running instance: the journeys of users, and the same words as the real docker and
//! kubectl where those are on the machine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod instance;

use instance::Instance;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};

const BOXSHIP: &str = env!("CARGO_BIN_EXE_boxship");

/// The binary under another name, as a link to it is.
fn named(instance: &Instance, name: &str) -> Command {
    let link = instance.dir().join("links").join(name);
    if !link.exists() {
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(BOXSHIP, &link).unwrap();
    }
    with_instance(Command::new(link), instance)
}

fn with_instance(mut command: Command, instance: &Instance) -> Command {
    command
        .env("DOCKER_HOST", instance.docker_host())
        .env("KUBECONFIG", instance.dir().join("kubeconfig"))
        .env("DOCKER_CONFIG", instance.dir().join("docker"));
    command
}

fn ours(instance: &Instance, words: &[&str]) -> Output {
    with_instance(Command::new(BOXSHIP), instance).args(words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command of ours that must succeed: what it printed.
fn good(instance: &Instance, words: &[&str]) -> String {
    let done = ours(instance, words);
    assert!(done.status.success(), "boxship {words:?}: {}", text(&done.stderr));
    text(&done.stdout)
}

fn kubectl(instance: &Instance, line: &str) -> String {
    let words: Vec<&str> = ["kubectl"].into_iter().chain(line.split_whitespace()).collect();
    good(instance, &words)
}

fn piped(instance: &Instance, words: &[&str], input: &str) -> Output {
    let mut child = with_instance(Command::new(BOXSHIP), instance)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Asks the real program and ours the same until they answer the same: words and exit code. Times pass between the
/// two, so a few tries may be needed. `~` stands for a space inside a word.
fn same(instance: &Instance, program: &str, line: &str) {
    let words: Vec<String> = line.split_whitespace().map(|w| w.replace('~', " ")).collect();
    let mut last = (String::new(), String::new());
    for _ in 0..6 {
        let real = with_instance(Command::new(program), instance).args(&words).output().unwrap();
        let mine = named(instance, program).args(&words).output().unwrap();
        let all = |o: &Output| format!("{}{}", o.status, text(&o.stdout));
        last = (all(&real), all(&mine));
        if last.0 == last.1 {
            return;
        }
    }
    assert_eq!(last.1, last.0, "{program} {line}: ours first");
}

fn is_here(program: &str, word: &str) -> bool {
    let found = Command::new(program).arg(word).output().is_ok();
    if !found {
        println!("skipped: there is no {program} on this machine to compare with");
    }
    found
}

const DOCKERFILE: &str = "FROM busybox:latest\nRUN echo built > /made\nCMD [\"cat\", \"/made\"]\n";

#[test]
fn docker_words() {
    let Some(instance) = Instance::start("cli-docker") else { return };
    let instance = &instance;
    import(instance);
    assert_eq!(good(instance, &["run", "--rm", "busybox", "echo", "hi"]), "hi\n");
    let code = |words: &[&str]| ours(instance, words).status.code();
    assert_eq!(code(&["run", "--rm", "busybox", "sh", "-c", "exit 9"]), Some(9));
    assert_eq!(code(&["run", "--rm", "busybox", "nosuch"]), Some(127));
    assert_eq!(code(&["run", "--rm", "busybox", "/bin"]), Some(126));
    assert_eq!(code(&["run", "--rm", "--nosuch", "busybox"]), Some(125));
    let echoed = piped(instance, &["run", "-i", "--rm", "busybox", "cat"], "through\n");
    assert_eq!(text(&echoed.stdout), "through\n");

    let script = "echo one; echo two >&2; exec sleep 1000";
    let id = good(
        instance,
        &[
            "run",
            "-d",
            "--name",
            "web",
            "-p",
            "127.0.0.1::80",
            "-l",
            "a=b",
            "busybox",
            "sh",
            "-c",
            script,
        ],
    );
    assert_eq!(id.trim().len(), 64);
    let log = ours(instance, &["logs", "web"]);
    assert_eq!((text(&log.stdout), text(&log.stderr)), ("one\n".into(), "two\n".into()));
    assert_eq!(code(&["exec", "web", "sh", "-c", "exit 4"]), Some(4));
    assert_eq!(text(&piped(instance, &["exec", "-i", "web", "cat"], "in\n").stdout), "in\n");
    assert_eq!(
        good(instance, &["inspect", "-f", "{{.State.Running}} {{.Name}}", "web"]),
        "true /web\n"
    );
    copy(instance);
    build(instance);
    if is_here("docker", "--version") {
        for line in COMPARED_DOCKER {
            same(instance, "docker", line);
        }
    }
    assert_eq!(good(instance, &["stop", "-t", "0", "web"]), "web\n");
    assert_eq!(good(instance, &["rm", "web"]), "web\n");
    let gone = ours(instance, &["rm", "web"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(
        text(&gone.stderr)
            .starts_with("error: remove the container `web`\ncause: No such container: web\n")
    );
}

/// Asked of both programs while `web` runs.
const COMPARED_DOCKER: &[&str] = &[
    "ps",
    "ps -a --no-trunc",
    "ps -q",
    "ps --format {{.ID}}|{{.Image}}|{{.Command}}|{{.Ports}}|{{.Names}}|{{.Labels}}|{{.Networks}}",
    "images",
    "images --format {{.Repository}}:{{.Tag}}",
    "network ls --format {{.Name}}|{{.Driver}}|{{.Scope}}",
    "volume ls",
    "logs web",
    "port web",
    "inspect -f {{json~.Config.Labels}}{{range~.Mounts}}{{.Type}}{{end}}{{len~.Name}} web",
    "inspect nosuch",
    "history busybox --format {{.Size}}",
    "exec web nosuch",
    "rm nosuch",
    "version --format {{.Server.Version}}",
];

fn import(instance: &Instance) {
    let root = instance.dir().join("root");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for applet in ["sh", "echo", "cat", "sleep", "httpd", "tar", "true", "test", "mkdir"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    let tar = instance.dir().join("root.tar");
    let made = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".").status();
    assert!(made.unwrap().success());
    let id = good(instance, &["import", tar.to_str().unwrap(), "busybox:latest"]);
    assert!(id.starts_with("sha256:"), "{id}");
    // What is not called `latest` is not pulled anew.
    good(instance, &["tag", "busybox:latest", "busybox:1"]);
}

fn copy(instance: &Instance) {
    let file = instance.dir().join("note");
    std::fs::write(&file, "noted").unwrap();
    good(instance, &["cp", "-q", file.to_str().unwrap(), "web:/note"]);
    assert_eq!(good(instance, &["exec", "web", "cat", "/note"]), "noted");
    let back = instance.dir().join("back");
    good(instance, &["cp", "web:/note", back.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(back).unwrap(), "noted");
}

fn build(instance: &Instance) {
    let context = instance.dir().join("build");
    std::fs::create_dir_all(&context).unwrap();
    std::fs::write(context.join("Dockerfile"), DOCKERFILE).unwrap();
    let context = context.to_str().unwrap();
    good(instance, &["build", "-t", "made:1", context]);
    assert_eq!(good(instance, &["run", "--rm", "made:1"]), "built\n");
    let checked = good(instance, &["build", "--check", context]);
    assert_eq!(checked, "Check complete, no warnings found.\n");
}

const MANIFESTS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: busybox
        imagePullPolicy: Never
        command: [sh, -c, "mkdir /www; echo hello > /www/index.html; echo up; exec httpd -f -p 8080 -h /www"]
        ports: [{name: http, containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
"#;

#[test]
fn kubectl_words() {
    let Some(instance) = Instance::start("cli-kubectl") else { return };
    let instance = &instance;
    import(instance);
    let file = instance.dir().join("web.yaml");
    std::fs::write(&file, MANIFESTS).unwrap();
    let apply = format!("apply -f {}", file.display());
    assert_eq!(kubectl(instance, &apply), "deployment.apps/web created\nservice/web created\n");
    assert_eq!(kubectl(instance, &apply), "deployment.apps/web unchanged\nservice/web unchanged\n");
    std::fs::write(&file, MANIFESTS.replace("replicas: 2", "replicas: 3")).unwrap();
    assert_eq!(
        kubectl(instance, &apply),
        "deployment.apps/web configured\nservice/web unchanged\n"
    );
    let status = kubectl(instance, "rollout status deploy/web --timeout=90s");
    assert!(status.ends_with("deployment \"web\" successfully rolled out\n"), "{status}");
    kubectl(instance, "wait pod -l app=web --for=condition=Ready --timeout=60s");

    assert!(kubectl(instance, "logs deploy/web").starts_with("up\n"));
    let said =
        ours(instance, &["kubectl", "exec", "deploy/web", "--", "sh", "-c", "echo in; exit 3"]);
    assert_eq!((text(&said.stdout), said.status.code()), ("in\n".into(), Some(3)));
    let piped = piped(instance, &["kubectl", "exec", "-i", "deploy/web", "--", "cat"], "abc");
    assert_eq!(text(&piped.stdout), "abc");
    forward(instance);
    generated(instance);
    changed(instance);
    if is_here("kubectl", "version") {
        for line in COMPARED_KUBECTL {
            same(instance, "kubectl", line);
        }
    }
    let gone = kubectl(instance, "delete deploy web");
    assert_eq!(gone, "deployment.apps \"web\" deleted from default namespace\n");
    kubectl(instance, "wait pod -l app=web --for=delete --timeout=60s");
    let nothing = ours(instance, &["kubectl", "get", "deploy"]);
    assert_eq!(text(&nothing.stderr), "No resources found in default namespace.\n");
}

/// Asked of both programs while the Deployment runs.
const COMPARED_KUBECTL: &[&str] = &[
    "get deploy,svc",
    "get pods -o wide",
    "get pods --show-labels",
    "get pods -A --no-headers",
    "get nodes",
    "get deploy web -o yaml",
    "get deploy web -o json",
    "get deploy,svc -o name",
    "get pods -o jsonpath={.items[*].metadata.name}",
    "get pods -o jsonpath={range~.items[*]}{.status.podIP};{end}",
    "get pods -o custom-columns=NAME:.metadata.name,IMAGE:.spec.containers[*].image,NO:.spec.nothing",
    "get svc web -o go-template={{.spec.clusterIP}}",
    "get pods --sort-by=.metadata.name",
    "get cm settings -o yaml",
    "get secret pull -o jsonpath={.data}",
    "get events --field-selector involvedObject.name=web",
    "rollout history deploy/web",
    "rollout status deploy/web",
    "get nosuch",
    "get pod nosuch",
    "api-resources --namespaced=false",
    "api-versions",
    "config get-contexts",
    "config current-context",
    "auth can-i create pods",
    "explain deployment.spec.replicas",
    "describe configmap settings",
];

fn forward(instance: &Instance) {
    let mut child = with_instance(Command::new(BOXSHIP), instance)
        .args(["kubectl", "port-forward", "svc/web", ":80", "--address", "127.0.0.1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut told = BufReader::new(child.stdout.take().unwrap());
    told.read_line(&mut line).unwrap();
    let address = line.trim_start_matches("Forwarding from ").split(' ').next().unwrap().to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(answer.ends_with("hello\n"), "{line}{answer}");
}

fn generated(instance: &Instance) {
    for (line, said) in [
        ("create configmap settings --from-literal=level=info", "configmap/settings created\n"),
        (
            "create secret docker-registry pull --docker-server=r.example --docker-username=u --docker-password=p",
            "secret/pull created\n",
        ),
        ("create namespace shop", "namespace/shop created\n"),
        (
            "-n shop create deployment idle --image=busybox --replicas=0",
            "deployment.apps/idle created\n",
        ),
        ("create job once --image=busybox:1 -- true", "job.batch/once created\n"),
        (
            "create cronjob daily --image=busybox --schedule=@daily -- true",
            "cronjob.batch/daily created\n",
        ),
        ("create serviceaccount robot", "serviceaccount/robot created\n"),
        ("expose deploy web --name=more --port=81 --target-port=8080", "service/more exposed\n"),
        ("delete namespace shop", "namespace \"shop\" deleted\n"),
    ] {
        let told = kubectl(instance, line);
        assert!(told == said || line.starts_with("delete"), "{line}: {told}");
    }
    assert_eq!(kubectl(instance, "create token robot").matches('.').count(), 2);
    let again = ours(instance, &["kubectl", "create", "namespace", "default"]);
    assert!(
        text(&again.stderr).contains("namespaces \"default\" already exists"),
        "{}",
        text(&again.stderr)
    );
}

fn changed(instance: &Instance) {
    for (line, said) in [
        ("label deploy web tier=front", "deployment.apps/web labeled\n"),
        ("label deploy web tier=front", "deployment.apps/web not labeled\n"),
        ("annotate deploy web kubernetes.io/change-cause=first", "deployment.apps/web annotated\n"),
        ("set env deploy/web LEVEL=debug", "deployment.apps/web env updated\n"),
        ("rollout undo deploy/web", "deployment.apps/web rolled back\n"),
        ("rollout restart deploy/web", "deployment.apps/web restarted\n"),
        ("scale deploy web --replicas=2", "deployment.apps/web scaled\n"),
        ("rollout pause deploy/web", "deployment.apps/web paused\n"),
        ("rollout resume deploy/web", "deployment.apps/web resumed\n"),
    ] {
        assert_eq!(kubectl(instance, line), said, "{line}");
    }
    let patch =
        ["kubectl", "patch", "svc", "web", "-p", "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}"];
    assert_eq!(good(instance, &patch), "service/web patched\n");
    kubectl(instance, "rollout status deploy/web --timeout=90s");
    kubectl(instance, "wait job/once --for=condition=Complete --timeout=60s");
    let page = kubectl(instance, "describe deploy web");
    assert!(page.contains("StrategyType:") && page.contains("ScalingReplicaSet"), "{page}");
}

#[test]
fn completions_are_scripts_and_help_is_there() {
    let script = Command::new(BOXSHIP).args(["completion", "bash"]).output().unwrap();
    assert!(script.status.success());
    let ask = "COMP_WORDS=(boxship network \"\"); COMP_CWORD=2; _boxship; echo \"${COMPREPLY[*]}\"";
    let full = format!("{}\n{ask}", text(&script.stdout));
    let told = Command::new("bash").args(["-c", &full]).output().unwrap();
    let told = text(&told.stdout);
    assert!(told.contains("connect") && told.contains("prune"), "{told}");
    let help = Command::new(BOXSHIP).args(["run", "--help"]).output().unwrap();
    assert!(text(&help.stdout).contains("boxship run --rm -it debian:12 bash"));
    let wrong = Command::new(BOXSHIP).args(["kubectl", "gte", "pods"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("did you mean `boxship kubectl get`?"));
}
