//! Nodes.

use crate::row::{KindRow, SubAction, SubRow};
use crate::rows::{STATUS, field, version};
use crate::table::{AGE, NAME, age, at, col, flag, list, name, text, text_or, wide};
use meta::{Time, Value};

pub static NODE: KindRow =
    KindRow::cluster("", "Node", "nodes", "node", &[version("v1", "io.k8s.api.core.v1.Node")])
        .short(&["no"])
        .creates_status()
        .subresources(&[
            SubRow {
                name: "proxy",
                verbs: &["create", "delete", "get", "patch", "update"],
                kind: Some(("", "v1", "NodeProxyOptions", "")),
                action: SubAction::Connect,
            },
            STATUS,
        ])
        .table(
            &[
                NAME,
                col("Status", "string", "The status of the node"),
                col("Roles", "string", "The roles of the node"),
                AGE,
                col("Version", "string", ""),
                wide("Internal-IP", "string", ""),
                wide("External-IP", "string", ""),
                wide("OS-Image", "string", ""),
                wide("Kernel-Version", "string", ""),
                wide("Container-Runtime", "string", ""),
            ],
            cells,
        )
        .fields(&[field!("spec.unschedulable", "false")])
        .defaults(default)
        .check(crate::check::cluster::node)
        .sample("apiVersion: v1\nkind: Node\nmetadata: {name: sample}\n");

/// SetDefaults_NodeStatus: allocatable falls back to capacity.
fn default(v: &mut Value) {
    if at(v, "status.allocatable").is_none()
        && let Some(capacity) = at(v, "status.capacity").cloned()
    {
        v["status"]["allocatable"] = capacity;
    }
}

fn cells(v: &Value, now: Time) -> Vec<Value> {
    let address = |kind: &str| {
        let found = list(v, "status.addresses").iter().find(|a| a["type"] == kind);
        Value::from(found.map_or("<none>".into(), |a| text(a, "address")))
    };
    let info = |field: &str| text_or(v, &format!("status.nodeInfo.{field}"), "<unknown>");
    vec![
        name(v),
        status(v).into(),
        roles(v).into(),
        age(v, now),
        text(v, "status.nodeInfo.kubeletVersion").into(),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage").into(),
        info("kernelVersion").into(),
        info("containerRuntimeVersion").into(),
    ]
}

fn status(v: &Value) -> String {
    let ready = list(v, "status.conditions").iter().find(|c| c["type"] == "Ready");
    let mut words = match ready.map(|c| c["status"] == "True") {
        Some(true) => String::from("Ready"),
        Some(false) => "NotReady".into(),
        None => "Unknown".into(),
    };
    if flag(v, "spec.unschedulable") {
        words.push_str(",SchedulingDisabled");
    }
    words
}

/// findNodeRoles: `node-role.kubernetes.io/<role>` keys and the value of `kubernetes.io/role`.
fn roles(v: &Value) -> String {
    let labels = v.pointer("/metadata/labels").and_then(Value::as_object);
    let mut roles: Vec<String> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role.into()),
            None if key == "kubernetes.io/role" => value.as_str().map(Into::into),
            None => None,
        })
        .filter(|role: &String| !role.is_empty())
        .collect();
    roles.sort();
    roles.dedup();
    if roles.is_empty() { "<none>".into() } else { roles.join(",") }
}
