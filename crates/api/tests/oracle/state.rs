//! Making the server's object what upstream's was after a step.

use super::server::Server;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use store::{Draft, Expect, Object, Op, Txn};

/// The manager under which the recorded object is written; nothing of it remains.
const SCRIBE: &str = "scribe";

fn collection(case: &Value) -> String {
    let path = case["steps"][0]["path"].as_str().unwrap();
    path.strip_suffix("/o").unwrap_or(path).to_string()
}

/// The one object of a case, as stored.
pub fn stored(server: &Server, case: &Value) -> Option<Arc<Object>> {
    let view = server.store.view();
    let mut all = view.resources().flat_map(|r| view.list(r, case["ns"].as_str()));
    all.find(|o| &*o.key.name == "o").cloned()
}

fn write(server: &Server, object: &Object, value: Value) {
    let draft = Draft::new(object.key.clone(), (*object.head).clone(), value);
    let put = Op::Put { draft, expect: Expect::Any };
    server.store.commit(Txn { ops: vec![put] }).unwrap();
}

/// After a step whose answer was another than recorded.
pub fn become_recorded(server: &Server, case: &Value, want: &Value, before: Option<Arc<Object>>) {
    let now = stored(server, case);
    if want.get("object").is_none() {
        match (before, now) {
            (Some(before), Some(_)) => write(server, &before, before.value()),
            (None, Some(now)) => {
                let gone = Op::Delete { key: now.key.clone(), expect: Expect::Any };
                server.store.commit(Txn { ops: vec![gone] }).unwrap();
            }
            _ => {}
        }
        return;
    }
    let mut object = want["object"].clone();
    let url = collection(case);
    let query = format!("fieldManager={SCRIBE}&fieldValidation=Ignore");
    match now {
        None => server.post(&format!("{url}?{query}"), &object.to_string()),
        Some(now) => {
            like(&now.value(), &mut object);
            object["metadata"]["resourceVersion"] = now.revision.to_string().into();
            server.put(&format!("{url}/o?{query}"), &object)
        }
    };
    let Some(now) = stored(server, case) else { return };
    let mut value = now.value();
    value["metadata"]["generation"] = want["object"]["metadata"]["generation"].clone();
    value["metadata"]["managedFields"] = entries(want, value["apiVersion"].as_str().unwrap());
    if value["metadata"]["generation"].is_null() {
        value["metadata"].as_object_mut().unwrap().remove("generation");
    }
    write(server, &now, value);
}

/// What is generated per run is this run's.
fn like(now: &Value, object: &mut Value) {
    for path in ["/metadata/labels", "/spec/selector/matchLabels", "/spec/template/metadata/labels"]
    {
        let own: Vec<_> = now
            .pointer(path)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter(|(k, _)| k.ends_with("controller-uid") || k.starts_with("batch.kubernetes.io/"))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        if let Some(labels) = object.pointer_mut(path).and_then(Value::as_object_mut) {
            labels.extend(own);
        }
    }
    for key in ["clusterIP", "clusterIPs"] {
        if let (Some(ip), Some(spec)) = (now["spec"].get(key), object["spec"].as_object_mut()) {
            spec.insert(key.into(), ip.clone());
        }
    }
}

/// `managedFields` from the recorded `{"manager/Operation": [path, ...]}`.
fn entries(want: &Value, version: &str) -> Value {
    let each = want["owners"].as_object().unwrap().iter().map(|(who, paths)| {
        let (manager, operation) = who.rsplit_once('/').unwrap();
        let mut fields = Value::Object(Map::new());
        for path in paths.as_array().unwrap() {
            member(&mut fields, path.as_str().unwrap());
        }
        json!({"manager": manager, "operation": operation, "apiVersion": version, "time": Server::now().rfc3339(), "fieldsType": "FieldsV1", "fieldsV1": fields})
    });
    each.collect()
}

/// Marks one path as owned.
fn member(fields: &mut Value, path: &str) {
    let mut at = fields;
    for step in steps(path) {
        at = at.as_object_mut().unwrap().entry(step).or_insert_with(|| json!({}));
    }
    at.as_object_mut().unwrap().insert(".".into(), json!({}));
}

/// A slash ends a step where the next one begins: keys have slashes too.
fn steps(path: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut from = 0;
    for (at, _) in path.match_indices('/') {
        let next = &path[at + 1..];
        if ["f:", "k:", "v:", "i:"].iter().any(|kind| next.starts_with(kind)) {
            out.push(&path[from..at]);
            from = at + 1;
        }
    }
    out.push(&path[from..]);
    out
}
