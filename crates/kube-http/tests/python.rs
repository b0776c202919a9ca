//! The Python `kubernetes` client, unchanged: list, watch, patch, and custom objects of a CustomResourceDefinition.
//!
//! It is installed from PyPI into a virtual environment of its own, kept next to what cargo builds; without python3
//! or without the network the test says that it is skipped.

mod cluster;

use cluster::Cluster;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Kept between runs: installing takes half a minute.
fn python() -> Result<PathBuf, String> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-kubernetes");
    let program = dir.join("bin/python");
    let works = |program: &Path| {
        let import = Command::new(program).args(["-c", "import kubernetes"]).output();
        import.is_ok_and(|output| output.status.success())
    };
    if works(&program) {
        return Ok(program);
    }
    let run = |command: &mut Command| -> Result<(), String> {
        let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {said}")) }
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&dir))?;
    let install = ["-m", "pip", "install", "--quiet", "--timeout", "20", "kubernetes==31.0.0"];
    run(Command::new(&program).args(install))?;
    Ok(program)
}

const SCRIPT: &str = r#"
import sys
from kubernetes import client, config, watch

config.load_kube_config(sys.argv[1])
core, apps = client.CoreV1Api(), client.AppsV1Api()

names = {n.metadata.name for n in core.list_namespace().items}
assert {"default", "kube-system"} <= names, names

for i in range(7):
    meta = client.V1ObjectMeta(name=f"m{i}", labels={"app": "x" if i % 2 else "y"})
    core.create_namespaced_config_map("default", client.V1ConfigMap(metadata=meta, data={"i": str(i)}))
page = core.list_namespaced_config_map("default", limit=3)
assert len(page.items) == 3 and page.metadata.remaining_item_count is not None
rest = core.list_namespaced_config_map("default", limit=100, _continue=page.metadata._continue)
assert rest.metadata.resource_version == page.metadata.resource_version
assert len(core.list_namespaced_config_map("default", label_selector="app=x").items) == 3

since = core.list_namespaced_config_map("default").metadata.resource_version
core.patch_namespaced_config_map("m0", "default", {"data": {"i": "ten"}})
core.delete_namespaced_config_map("m1", "default")
seen = []
for event in watch.Watch().stream(core.list_namespaced_config_map, "default",
                                  resource_version=since, timeout_seconds=10):
    seen.append((event["type"], event["object"].metadata.name))
    if len(seen) == 2:
        break
assert seen == [("MODIFIED", "m0"), ("DELETED", "m1")], seen

body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
    "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "c", "image": "img:1"}]}}}}
assert apps.create_namespaced_deployment("default", body).spec.replicas == 1
strategic = {"spec": {"template": {"spec": {"containers": [{"name": "d", "image": "i"}]}}}}
patched = apps.patch_namespaced_deployment("web", "default", strategic)
assert [c.name for c in patched.spec.template.spec.containers] == ["d", "c"]
assert apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 5}}).spec.replicas == 5
try:
    core.read_namespaced_config_map("none", "default")
    raise AssertionError("it is there")
except client.ApiException as e:
    assert e.status == 404 and '"reason":"NotFound"' in e.body, e.body

crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
    "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"}, "versions": [{"name": "v1",
    "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object", "properties": {
    "spec": {"type": "object", "properties": {"size": {"type": "integer", "default": 3}}}}}}}]}}
client.ApiextensionsV1Api().create_custom_resource_definition(crd)
custom = client.CustomObjectsApi()
where = ("example.com", "v1", "default", "widgets")
widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {}}
for attempt in range(200):
    try:
        made = custom.create_namespaced_custom_object(*where, widget)
        break
    except client.ApiException as e:
        # Established a moment after it was created.
        assert e.status == 404 and attempt < 199, e.body
assert made["spec"]["size"] == 3, made
custom.patch_namespaced_custom_object(*where, "w", {"spec": {"size": 4}})
assert custom.get_namespaced_custom_object(*where, "w")["spec"]["size"] == 4
assert len(custom.list_namespaced_custom_object(*where)["items"]) == 1
custom.delete_namespaced_custom_object(*where, "w")
assert custom.list_namespaced_custom_object(*where)["items"] == []
print("all right")
"#;

#[test]
fn the_python_client_lists_watches_patches_and_knows_custom_objects() {
    let program = match python() {
        Ok(program) => program,
        Err(why) => return eprintln!("skipped: no Python client here: {why}"),
    };
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let listen = ([127, 0, 0, 1], 0).into();
    let cluster =
        runtime.block_on(Cluster::start(&dir.path().join("data"), listen)).expect("started");
    let config = dir.path().join("config");
    cluster.write_kubeconfig(&config).expect("written");
    let output = Command::new(program)
        .args(["-c", SCRIPT])
        .arg(&config)
        .env_remove("HTTPS_PROXY")
        .env_remove("https_proxy")
        .output()
        .expect("python runs");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    runtime.block_on(cluster.stop());
}
