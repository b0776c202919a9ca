//! Real kubectl and real helm over one server: client-side and server-side apply, edit, diff, conflicts, a chart's
//! life, and what upstream's admission says to people.
//!
//! Uses the programs that `KUBECTL` (a list separated by colons) and `HELM` name, else those on the path; says so
//! when one is missing.

mod cluster;

use cluster::Cluster;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A client program with its own configuration and cache.
struct Tool {
    program: PathBuf,
    dir: PathBuf,
}

struct Output {
    ok: bool,
    text: String,
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn programs(variable: &str, name: &str) -> Vec<PathBuf> {
    let named = std::env::var_os(variable);
    let found: Vec<_> = match &named {
        Some(list) => std::env::split_paths(list).filter(|p| p.is_file()).collect(),
        None => on_path(name).into_iter().collect(),
    };
    if found.is_empty() {
        eprintln!("skipped: no {name} on the path, and {variable} names none");
    }
    found
}

impl Tool {
    fn run(&self, args: &[&str], input: &str) -> Output {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .env("KUBECONFIG", self.dir.join("config"))
            .env("HOME", &self.dir)
            .env("TMPDIR", &self.dir)
            .env("KUBE_EDITOR", self.dir.join("editor"))
            .env_remove("HTTPS_PROXY")
            .env_remove("https_proxy")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("piped");
        // A program that does not read its input may be gone by now.
        drop(stdin.write_all(input.as_bytes()));
        drop(stdin);
        let output = child.wait_with_output().expect("the program ends");
        let text = [output.stdout, output.stderr].concat();
        Output { ok: output.status.success(), text: String::from_utf8_lossy(&text).into_owned() }
    }

    #[track_caller]
    fn expect(&self, args: &str, input: &str, wanted: &str) -> String {
        let output = self.run(&args.split(' ').collect::<Vec<_>>(), input);
        assert!(output.ok && output.text.contains(wanted), "{args}\n{}", output.text);
        output.text
    }

    #[track_caller]
    fn refuse(&self, args: &str, input: &str, wanted: &str) -> String {
        let output = self.run(&args.split(' ').collect::<Vec<_>>(), input);
        assert!(!output.ok && output.text.contains(wanted), "{args}\n{}", output.text);
        output.text
    }
}

/// Runs `test` with each of the programs on a fresh cluster.
fn with_each(programs: Vec<PathBuf>, test: fn(&Tool)) {
    for program in programs {
        let dir = tempfile::tempdir().expect("a directory");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let listen = ([127, 0, 0, 1], 0).into();
        let cluster =
            runtime.block_on(Cluster::start(&dir.path().join("data"), listen)).expect("started");
        cluster.write_kubeconfig(&dir.path().join("config")).expect("written");
        test(&Tool { program, dir: Path::to_path_buf(dir.path()) });
        runtime.block_on(cluster.stop());
    }
}

fn deployment(image: &str, replicas: u32) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, labels: {{app: web}}}}\nspec:\n  \
         replicas: {replicas}\n  selector: {{matchLabels: {{app: web}}}}\n  template:\n    \
         metadata: {{labels: {{app: web}}}}\n    spec:\n      containers:\n      - name: web\n        \
         image: {image}\n        ports: [{{containerPort: 80}}]\n        env: [{{name: A, value: '1'}}]\n"
    )
}

#[test]
fn client_side_apply_keeps_what_others_set_and_drops_what_it_set() {
    with_each(programs("KUBECTL", "kubectl"), |kubectl| {
        kubectl.expect("apply -f -", &deployment("img:1", 1), "deployment.apps/web created");
        kubectl.expect("apply -f -", &deployment("img:1", 1), "deployment.apps/web unchanged");
        kubectl.expect("label deployment web tier=front", "", "labeled");
        let more = deployment("img:2", 1)
            .replace("env: [{name: A, value: '1'}]", "env: [{name: B, value: '2'}]");
        let changed = kubectl.refuse("diff -f -", &more, "image: img:2");
        assert!(changed.contains("-        image: img:1"), "{changed}");
        kubectl.expect("apply -f -", &more, "deployment.apps/web configured");
        kubectl.expect("get deployment web -o jsonpath={.metadata.labels.tier}", "", "front");
        let env = "get deployment web -o jsonpath={.spec.template.spec.containers[0].env}";
        kubectl.expect(env, "", r#"[{"name":"B","value":"2"}]"#);
        kubectl.expect("get deployment web -o jsonpath={.metadata.generation}", "", "2");
        kubectl.expect("diff -f -", &more, "");
        kubectl.expect("apply view-last-applied deployment web", "", "img:2");
        kubectl.expect("replace -f -", &deployment("img:4", 3), "deployment.apps/web replaced");
        kubectl.expect("scale deployment web --replicas=5", "", "scaled");
        kubectl.expect("set image deployment/web web=img:5", "", "image updated");
        kubectl.expect("annotate deployment web note=x", "", "annotate");
        kubectl.expect("delete deployment web --wait=true", "", "deleted");
    });
}

#[cfg(unix)]
fn editor(kubectl: &Tool, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = kubectl.dir.join("editor");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
        .expect("made executable");
}

#[test]
fn edits_are_patches_and_bad_ones_are_told() {
    with_each(programs("KUBECTL", "kubectl"), |kubectl| {
        kubectl.expect("apply -f -", &deployment("img:1", 1), "created");
        editor(kubectl, "sed -i 's/replicas: 1$/replicas: 4/' \"$1\"");
        kubectl.expect("edit deployment web", "", "deployment.apps/web edited");
        kubectl.expect("get deployment web -o jsonpath={.spec.replicas}", "", "4");
        editor(kubectl, "sed -i 's/app: web/app: other/' \"$1\"");
        kubectl.refuse("edit deployment web", "", "deployments.apps \"web\" is invalid");
        editor(kubectl, "true");
        kubectl.expect("edit deployment web", "", "Edit cancelled, no changes made.");
    });
}

#[test]
fn server_side_apply_tells_conflicts_and_shares_what_is_equal() {
    with_each(programs("KUBECTL", "kubectl"), |kubectl| {
        let apply = "apply --server-side -f -";
        kubectl.expect(apply, &deployment("img:1", 1), "deployment.apps/web serverside-applied");
        let refused = kubectl.refuse(
            "apply --server-side --field-manager=other -f -",
            &deployment("img:2", 1),
            "Apply failed with 1 conflict: conflict with \"kubectl\": .spec.template.spec.containers[name=\"web\"].image",
        );
        assert!(refused.contains("--force-conflicts"), "{refused}");
        kubectl.expect(
            "apply --server-side --field-manager=other --force-conflicts -f -",
            &deployment("img:2", 1),
            "serverside-applied",
        );
        kubectl.refuse(apply, &deployment("img:1", 1), "conflict with \"other\"");
        // What it no longer names goes only where nobody else owns it.
        let fewer = deployment("img:2", 1).replace("        env: [{name: A, value: '1'}]\n", "");
        kubectl.expect(apply, &fewer, "serverside-applied");
        let env = "get deployment web -o jsonpath={.spec.template.spec.containers[0].env[0].name}";
        kubectl.expect(env, "", "A");
        kubectl.expect(
            "apply --server-side --field-manager=other -f -",
            &fewer,
            "serverside-applied",
        );
        let gone = kubectl.expect(env, "", "");
        assert_eq!(gone.trim(), "", "{gone}");
        kubectl.refuse(
            apply,
            &deployment("img:2", 1).replace("replicas", "replicaz"),
            ".spec.replicaz: field not declared in schema",
        );
        kubectl.expect("diff --server-side -f -", &fewer, "");
        let shown = kubectl.expect(
            "get deployment web -o yaml --show-managed-fields",
            "",
            "manager: kubectl",
        );
        assert!(shown.contains("operation: Apply") && shown.contains("f:replicas: {}"), "{shown}");
    });
}

#[test]
fn moving_from_client_side_to_server_side_apply_needs_no_force() {
    with_each(programs("KUBECTL", "kubectl"), |kubectl| {
        kubectl.expect("apply -f -", &deployment("img:1", 1), "created");
        let apply = "apply --server-side -f -";
        kubectl.expect(apply, &deployment("img:2", 2), "serverside-applied");
        let fewer = deployment("img:2", 2).replace("        env: [{name: A, value: '1'}]\n", "");
        kubectl.expect(apply, &fewer, "serverside-applied");
    });
}

#[test]
fn pod_security_speaks_to_people() {
    with_each(programs("KUBECTL", "kubectl"), |kubectl| {
        kubectl.expect("create namespace tight", "", "created");
        kubectl.expect(
            "label namespace tight pod-security.kubernetes.io/enforce=restricted",
            "",
            "labeled",
        );
        kubectl.expect("create serviceaccount default -n tight", "", "created");
        kubectl.refuse(
            "run p -n tight --image=i",
            "",
            "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"p\" must set",
        );
        kubectl.expect(
            "create deployment d -n tight --image=i",
            "",
            "Warning: would violate PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false",
        );
        kubectl.refuse(
            "label namespace tight --overwrite pod-security.kubernetes.io/enforce=odd",
            "",
            "must be one of privileged, baseline, restricted",
        );
    });
}

const CRD: &str = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: cups.example.com}\n\
spec:\n  group: example.com\n  scope: Namespaced\n  names: {plural: cups, kind: Cup}\n  versions:\n  - name: v1\n    \
served: true\n    storage: true\n    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, \
properties: {size: {type: integer, maximum: 9}}}}}}\n";

#[test]
fn definitions_go_with_their_instances() {
    with_each(programs("KUBECTL", "kubectl"), |kubectl| {
        kubectl.expect("apply -f -", CRD, "created");
        kubectl.expect(
            "wait --for=condition=Established crd/cups.example.com",
            "",
            "condition met",
        );
        let cup = "apiVersion: example.com/v1\nkind: Cup\nmetadata: {name: c}\nspec: {size: 3}\n";
        kubectl.expect("apply -f -", cup, "cup.example.com/c created");
        kubectl.expect("apply --server-side --force-conflicts -f -", cup, "serverside-applied");
        kubectl.refuse("apply -f -", &cup.replace('3', "10"), "should be less than or equal to 9");
        kubectl.expect("delete crd cups.example.com --timeout=20s", "", "deleted");
        kubectl.refuse("get --raw /apis/example.com/v1/cups", "", "could not find");
    });
}

const CHART: &[(&str, &str)] = &[
    ("Chart.yaml", "apiVersion: v2\nname: shop\nversion: 0.1.0\n"),
    ("values.yaml", "image: img:1\nreplicas: 1\n"),
    (
        "templates/all.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-conf}\ndata: {image: {{ .Values.image }}}\n\
         ---\napiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}}\nspec: {selector: {app: shop}, ports: [{port: 80}]}\n\
         ---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: {{ .Release.Name }}}\nspec:\n  replicas: {{ .Values.replicas }}\n  \
         selector: {matchLabels: {app: shop}}\n  template:\n    metadata: {labels: {app: shop}}\n    spec:\n      \
         containers: [{name: c, image: {{ .Values.image }}}]\n",
    ),
    (
        "templates/hook.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-hook\n  annotations: {helm.sh/hook: pre-upgrade}\ndata: {}\n",
    ),
];

#[test]
fn a_chart_is_installed_upgraded_rolled_back_and_gone() {
    with_each(programs("HELM", "helm"), |helm| {
        let chart = helm.dir.join("shop");
        for (file, text) in CHART {
            let path = chart.join(file);
            std::fs::create_dir_all(path.parent().expect("inside the chart")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        let chart = chart.to_str().expect("UTF-8");
        helm.expect(
            &format!("install one {chart} -n shop --create-namespace"),
            "",
            "STATUS: deployed",
        );
        helm.expect("list -n shop", "", "shop-0.1.0");
        helm.expect(
            &format!("upgrade one {chart} -n shop --set image=img:2,replicas=3"),
            "",
            "REVISION: 2",
        );
        helm.expect("get manifest one -n shop", "", "image: img:2");
        helm.refuse(
            &format!("upgrade one {chart} -n shop --set replicas=-1"),
            "",
            "must be greater than or equal to 0",
        );
        helm.expect("rollback one 1 -n shop", "", "Rollback was a success");
        helm.expect("get manifest one -n shop", "", "image: img:1");
        helm.expect("history one -n shop", "", "Rollback to 1");
        helm.expect("uninstall one -n shop", "", "release \"one\" uninstalled");
        let left = helm.expect("list -a -n shop", "", "");
        assert!(!left.contains("one"), "{left}");
    });
}
