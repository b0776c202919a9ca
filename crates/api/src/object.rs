//! Between values and stored objects.

use crate::catalog::{Field, Getter, Served};
use meta::{Time, Value};
use serde_json::json;
use std::sync::Arc;
use store::{Draft, Head, Key, Object, Owner};

/// `metadata` as a map; an object without one gets one.
pub fn metadata(value: &mut Value) -> &mut meta::Map {
    if !value.is_object() {
        *value = json!({});
    }
    let slot = &mut value["metadata"];
    if !slot.is_object() {
        *slot = json!({});
    }
    slot.as_object_mut().expect("made an object above")
}

/// A string of `metadata`, `""` when absent.
pub fn meta_text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get("metadata").and_then(|m| m.get(key)).and_then(Value::as_str).unwrap_or_default()
}

pub fn is_deleting(value: &Value) -> bool {
    !meta_text(value, "deletionTimestamp").is_empty()
}

pub fn finalizers(value: &Value) -> Vec<String> {
    let list = value.pointer("/metadata/finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
}

/// The fields the store selects by.
pub fn head(fields: &[Field], value: &Value) -> Head {
    let mut fields: Vec<(Arc<str>, Arc<str>)> = fields
        .iter()
        .filter(|f| matches!(f.get, Getter::Row(_)))
        .map(|f| (f.name.as_str().into(), f.value(value).into()))
        .collect();
    fields.sort();
    Head {
        uid: meta_text(value, "uid").into(),
        generation: value.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0),
        created: Time::parse(meta_text(value, "creationTimestamp")).unwrap_or_default(),
        deleted: Time::parse(meta_text(value, "deletionTimestamp")),
        labels: labels(value),
        owners: owners(value),
        finalizers: finalizers(value).iter().map(|f| f.as_str().into()).collect(),
        fields: fields.into(),
    }
}

fn labels(value: &Value) -> Box<[(Arc<str>, Arc<str>)]> {
    let map = value.pointer("/metadata/labels").and_then(Value::as_object);
    let pairs = map.into_iter().flatten();
    pairs.filter_map(|(k, v)| Some((k.as_str().into(), v.as_str()?.into()))).collect()
}

fn owners(value: &Value) -> Box<[Owner]> {
    let list = value.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let text = |o: &Value, key: &str| o.get(key).and_then(Value::as_str).unwrap_or_default().into();
    let flag = |o: &Value, key: &str| o.get(key).and_then(Value::as_bool).unwrap_or(false);
    let each = list.into_iter().flatten().map(|o| Owner {
        uid: text(o, "uid"),
        api_version: text(o, "apiVersion"),
        kind: text(o, "kind"),
        name: text(o, "name"),
        controller: flag(o, "controller"),
        blocks: flag(o, "blockOwnerDeletion"),
    });
    each.collect()
}

/// The storage form of a value at the served version.
pub fn to_stored(served: &Served, mut value: Value) -> Value {
    if let Some(convert) = served.convert {
        value = (convert.to_stored)(value);
    }
    value["apiVersion"] = served.stored.clone().into();
    value
}

/// The value at the served version of a stored object.
pub fn from_stored(served: &Served, object: &Object) -> Value {
    present(served, object.value())
}

pub fn present(served: &Served, mut value: Value) -> Value {
    if let Some(convert) = served.convert {
        value = (convert.from_stored)(value);
    }
    value["apiVersion"] = served.api_version().into();
    value["kind"] = (*served.gvk.kind).into();
    if served.custom
        && let Some(ty) = &served.ty
    {
        schema::apply_defaults(&mut value, ty);
    }
    value
}

/// Whether the stored bytes are already what a client of this version sees.
pub fn fits(served: &Served, object: &Object) -> bool {
    if served.convert.is_some() || served.custom {
        return false;
    }
    let version = served.api_version();
    let json = object.json();
    let prefix = b"{\"apiVersion\":\"";
    json.starts_with(prefix)
        && json[prefix.len()..].starts_with(version.as_bytes())
        && json.get(prefix.len() + version.len()) == Some(&b'"')
}

pub fn key(served: &Served, namespace: &str, name: &str) -> Key {
    Key::new(&served.filed, namespace, name)
}

/// What the store is asked to keep; `value` is at the served version.
pub fn draft(served: &Served, value: Value) -> Draft {
    let namespace = meta_text(&value, "namespace").to_string();
    let name = meta_text(&value, "name").to_string();
    let stored = to_stored(served, value);
    let head = head(&served.fields, &stored);
    Draft::new(key(served, &namespace, &name), head, stored)
}
