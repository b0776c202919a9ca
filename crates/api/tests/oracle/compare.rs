//! What of two answers is compared, and how.

use super::server::Answered;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// An answer without what differs from run to run.
pub fn normal(answer: &Answered) -> Value {
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
pub fn sort_lists(value: &mut Value) {
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

pub fn leaves(fields: &Value, path: &str, out: &mut BTreeSet<String>) {
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

pub fn differences(want: &Value, got: &Value) -> Vec<String> {
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
    const CAN_BE_EMPTY: [&str; 12] = [
        "labels",
        "annotations",
        "requests",
        "limits",
        "data",
        "free",
        "nodeSelector",
        "strategy",
        "livenessProbe",
        "rollingUpdate",
        "spec",
        "resources",
    ];
    CAN_BE_EMPTY.contains(&last) || any(object, last)
}

fn owned(want: &Value, got: &Value, object: &Value, out: &mut Vec<String>) {
    let set = |v: &Value| -> BTreeSet<String> {
        v.as_array().into_iter().flatten().map(|f| f.as_str().unwrap().to_string()).collect()
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
