//! What is written: a ConfigMap of a given size, and a Pod of a common shape with two containers.

use serde_json::{Value, json};

pub fn config_map(name: &str, bytes: usize) -> Vec<u8> {
    let data = json!({ "data": "x".repeat(bytes) });
    let value = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data });
    value.to_string().into_bytes()
}

pub fn pod(number: usize) -> Vec<u8> {
    let app = format!("app-{}", number / 100);
    let labels = json!({ "app": app, "pod-template-hash": "6d4cf56db6", "tier": "front" });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": format!("{app}-6d4cf56db6-{number:06}"), "labels": labels },
        "spec": {
            // No scheduler of this name: what is measured is the API, not what others do about the pod.
            "schedulerName": "nobody",
            "containers": [container("main", 8080), container("sidecar", 9090)],
        },
    })
    .to_string()
    .into_bytes()
}

fn container(name: &str, port: u16) -> Value {
    json!({
        "name": name, "image": format!("registry.example.com/team/{name}:v1.2.3"),
        "ports": [{ "containerPort": port, "name": "http" }],
        "env": [{ "name": "A", "value": "one" }, { "name": "B", "value": "two" }],
        "resources": { "requests": { "cpu": "100m", "memory": "64Mi" }, "limits": { "memory": "128Mi" } },
        "readinessProbe": { "httpGet": { "path": "/ready", "port": "http" } },
    })
}
