//! The recorded answers of a real kube-apiserver (v1.20.2), replayed: 4 297 requests of create, update, every
//! patch and server-side apply by several managers. Extra fields (newer defaults) are allowed; nothing may be
//! missing or different, and no ownership lost or invented.

#![allow(clippy::unwrap_used)]

mod server;

use api::Method;
use serde_json::{Value, json};
use server::{Answered, Server};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// Steps that are as upstream today; it may only grow.
/// What is missing: strategic merge of maps that apply owns whole, null lists in applied custom objects, and where v1.20 differs from v1.35 on
/// purpose: a Service may be PUT without resourceVersion (`pkg/registry/core/service/strategy.go`,
/// AllowUnconditionalUpdate), and generated Job labels have a prefixed form as well
/// (`pkg/apis/batch/validation/validation.go`, RequirePrefixedLabels).
const AS_UPSTREAM: usize = 3330;

#[test]
fn answers_are_those_of_a_real_apiserver() {
    let server = Server::new();
    server
        .post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition().to_string())
        .expect_code(201);
    let mut failures = Vec::new();
    let (mut same, mut total) = (0, 0);
    for line in recording().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let steps = case["steps"].as_array().unwrap();
        total += steps.len();
        match replay(&server, &case) {
            Ok(()) => same += steps.len(),
            Err((done, why)) => {
                same += done;
                failures.push(format!("case {} step {done} {}: {why}", case["id"], case["kind"]));
            }
        }
    }
    println!("{same} of {total} steps as upstream");
    for failure in failures.iter().take(40) {
        println!("{failure}");
    }
    assert!(same >= AS_UPSTREAM, "{same} of {total} steps as upstream");
}

fn recording() -> String {
    let packed = include_bytes!("data/recorded-v1.20.json.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
    text
}

/// The first step that differs, and how.
fn replay(server: &Server, case: &Value) -> Result<(), (usize, String)> {
    let namespace = json!({ "metadata": { "name": case["ns"] } });
    server.post("/api/v1/namespaces", &namespace.to_string());
    let mut applied = false;
    for (i, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        let mut got = normal(&send(server, step));
        let mut want = step["answer"].clone();
        applied |= step["type"] == "application/apply-patch+yaml";
        if applied {
            [&mut want, &mut got]
                .into_iter()
                .filter_map(|v| v.get_mut("object"))
                .for_each(sort_lists);
        }
        let found = differences(&want, &got);
        if !found.is_empty() {
            let how = format!("{} {}: {}", step["method"], step["type"], found.join("; "));
            return Err((i, how));
        }
    }
    Ok(())
}

fn send(server: &Server, step: &Value) -> Answered {
    let body = if step["body"].is_null() { String::new() } else { step["body"].to_string() };
    let query: Vec<_> = step["query"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", v.as_str().unwrap()))
        .collect();
    let url = format!("{}?{}", step["path"].as_str().unwrap(), query.join("&"));
    let method = Method::parse(step["method"].as_str().unwrap()).unwrap();
    let mut request = server.request(method, &url, &body);
    request.content_type = step["type"].as_str().unwrap().into();
    server.send(&request)
}

/// An answer without what differs from run to run.
fn normal(answer: &Answered) -> Value {
    let mut body = answer.body.clone();
    if body["kind"] == "Status" {
        let causes = body["details"]["causes"].as_array().cloned().unwrap_or_default();
        let text = |v: &Value| v.as_str().unwrap_or_default().to_string();
        let mut causes: Vec<_> =
            causes.iter().map(|c| [text(&c["reason"]), text(&c["field"])]).collect();
        causes.sort();
        return json!({ "code": answer.code, "reason": body["reason"], "message": body["message"], "causes": causes });
    }
    let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in body["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let who = format!(
            "{}/{}",
            entry["manager"].as_str().unwrap(),
            entry["operation"].as_str().unwrap()
        );
        leaves(&entry["fieldsV1"], "", owners.entry(who).or_default());
    }
    let object = body.as_object_mut().unwrap();
    object.remove("status");
    for key in ["uid", "creationTimestamp", "resourceVersion", "managedFields"] {
        object["metadata"].as_object_mut().unwrap().remove(key);
    }
    json!({ "code": answer.code, "object": body, "owners": owners })
}

/// Merged lists had the order of the live object in v1.20 and have that of the applied one since
/// structured-merge-diff v4.2 (`typed/merge.go`).
fn sort_lists(value: &mut Value) {
    const IDENTITIES: [&str; 7] =
        ["name", "key", "ip", "port", "containerPort", "protocol", "mountPath"];
    let identity = |item: &Value| -> Vec<String> {
        let own = if item.is_object() { String::new() } else { item.to_string() };
        IDENTITIES.iter().map(|key| item[*key].to_string()).chain([own]).collect()
    };
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(sort_lists);
            items.sort_by_key(identity);
        }
        Value::Object(members) => members.values_mut().for_each(sort_lists),
        _ => {}
    }
}

fn leaves(fields: &Value, path: &str, out: &mut BTreeSet<String>) {
    let map = fields.as_object().unwrap();
    let real: Vec<_> = map.iter().filter(|(k, _)| *k != ".").collect();
    if real.is_empty() || map.contains_key(".") {
        out.insert(path.to_string());
    }
    for (key, below) in real {
        let path = if path.is_empty() { key.clone() } else { format!("{path}/{key}") };
        leaves(below, &path, out);
    }
}

fn differences(want: &Value, got: &Value) -> Vec<String> {
    if want["code"] != got["code"] {
        return vec![format!(
            "code {}, not {} ({} / {})",
            got["code"], want["code"], want["message"], got["message"]
        )];
    }
    let mut out = Vec::new();
    if want.get("object").is_some() {
        within(&want["object"], &got["object"], "", &mut out);
        let objects = (&want["object"], &got["object"]);
        owned(&want["owners"], &got["owners"], objects.1, &mut out);
    } else if want["reason"] != got["reason"] {
        out.push(format!("reason {}, not {}", got["reason"], want["reason"]));
    } else if matches!(want["reason"].as_str(), Some("Conflict" | "Invalid"))
        && want["causes"] != got["causes"]
    {
        out.push(format!("causes {}, not {}", got["causes"], want["causes"]));
    }
    out.truncate(3);
    out
}

/// Maps that became atomic (`+mapType=atomic`) after v1.20, as the end of a path.
const ATOMIC_SINCE: &[&str] = &["f:spec/f:nodeSelector", "f:spec/f:selector"];

/// Ownership that v1.20 and v1.35 write differently: maps that are atomic now are owned as a whole.
fn modern(fields: BTreeSet<String>) -> BTreeSet<String> {
    let cut = |path: String| {
        let whole = ATOMIC_SINCE.iter().filter_map(|end| {
            let at = path.find(&format!("{end}/"))? + end.len();
            Some(path[..at].to_string())
        });
        whole.into_iter().next().unwrap_or(path)
    };
    fields.into_iter().map(cut).collect()
}

/// Since structured-merge-diff v4.1 (`typed/tofieldset.go`) appliers own the empty maps they set.
fn is_empty_map(path: &str, object: &Value) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default().trim_start_matches("f:");
    fn any(v: &Value, key: &str) -> bool {
        match v {
            Value::Object(map) => {
                map.get(key).is_some_and(|v| v.as_object().is_none_or(|o| o.is_empty()))
                    || map.values().any(|v| any(v, key))
            }
            Value::Array(items) => items.iter().any(|v| any(v, key)),
            _ => false,
        }
    }
    const CAN_BE_EMPTY: [&str; 9] = [
        "labels",
        "annotations",
        "requests",
        "limits",
        "data",
        "free",
        "nodeSelector",
        "strategy",
        "livenessProbe",
    ];
    CAN_BE_EMPTY.contains(&last) || any(object, last)
}

fn owned(want: &Value, got: &Value, object: &Value, out: &mut Vec<String>) {
    let set = |v: &Value| -> BTreeSet<String> {
        modern(
            v.as_array().into_iter().flatten().map(|f| f.as_str().unwrap().to_string()).collect(),
        )
    };
    for (manager, fields) in want.as_object().unwrap() {
        let (want, mine) = (set(fields), set(&got[manager]));
        let lost: Vec<_> = want.difference(&mine).take(3).collect();
        if !lost.is_empty() {
            out.push(format!("{manager} does not own {lost:?}"));
        }
        let more: Vec<_> =
            mine.difference(&want).filter(|p| !is_empty_map(p, object)).take(3).collect();
        if manager.ends_with("/Apply") && !more.is_empty() {
            out.push(format!("{manager} also owns {more:?}"));
        }
    }
}

fn within(want: &Value, got: &Value, path: &str, out: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(want), Value::Object(got)) => {
            for (key, value) in want {
                // Since v1.34 an unset creationTimestamp is left out (`omitzero` in ObjectMeta).
                let skip = key == "creationTimestamp" && value.is_null();
                // Allocated or generated per run.
                let skip = skip || key.ends_with("controller-uid") || key.starts_with("clusterIP");
                match got.get(key) {
                    _ if skip => {}
                    Some(got) => within(value, got, &format!("{path}.{key}"), out),
                    None => out.push(format!("{path}.{key} missing")),
                }
            }
        }
        (Value::Array(want), Value::Array(got)) => {
            if want.len() != got.len() {
                out.push(format!("{path} has {} items, not {}", got.len(), want.len()));
            }
            for (i, (want, got)) in want.iter().zip(got).enumerate() {
                within(want, got, &format!("{path}[{i}]"), out);
            }
        }
        _ if want != got => out.push(format!("{path} is {got}, not {want}")),
        _ => {}
    }
}

fn definition() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.oracle.example.com"}, "spec": {"group": "oracle.example.com", "scope": "Namespaced", "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}, "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["key"], "items": {"type": "object", "required": ["key"], "properties": {"key": {"type": "string"}, "size": {"type": "integer", "maximum": 9}, "color": {"type": "string", "default": "grey"}, "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}}}}, "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}, "list": {"type": "array", "items": {"type": "integer"}}, "atomicMap": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}}, "free": {"type": "object", "additionalProperties": {"type": "string"}}}}}}}}]}})
}
