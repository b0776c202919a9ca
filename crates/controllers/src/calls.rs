//! The calls controllers make, and how small they are kept: a status is patched with what differs, and only then.

use api::{Call, DeleteOptions, Patch, PatchKind, Propagation, Verb};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use meta::{Map, Value};
use serde::Serialize;
use serde_json::json;
use typed::Kind;

pub(crate) fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

pub(crate) fn namespace(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or_default()
}

pub(crate) fn uid(meta: &ObjectMeta) -> &str {
    meta.uid.as_deref().unwrap_or_default()
}

pub(crate) fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

pub(crate) fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(key).map(String::as_str)
}

pub(crate) fn finalizers(meta: &ObjectMeta) -> &[String] {
    meta.finalizers.as_deref().unwrap_or_default()
}

pub(crate) fn is_deleting(meta: &ObjectMeta) -> bool {
    meta.deletion_timestamp.is_some()
}

/// `body` gets `apiVersion` and `kind`.
pub(crate) fn create<K: Kind>(namespace: &str, mut body: Value) -> Call {
    body["apiVersion"] = K::API_VERSION.into();
    body["kind"] = K::KIND.into();
    Call::new(Verb::Create(body), K::gvr(), namespace, "")
}

/// Deletes this very object, not a namesake.
pub(crate) fn delete<K: Kind>(meta: &ObjectMeta) -> Call {
    let options = DeleteOptions { uid: meta.uid.clone(), ..DeleteOptions::default() };
    delete_with::<K>(meta, options)
}

pub(crate) fn delete_background<K: Kind>(meta: &ObjectMeta) -> Call {
    let options = DeleteOptions {
        uid: meta.uid.clone(),
        propagation: Some(Propagation::Background),
        ..DeleteOptions::default()
    };
    delete_with::<K>(meta, options)
}

/// Deletes without grace: for pods of nodes that are gone.
pub(crate) fn delete_now<K: Kind>(meta: &ObjectMeta) -> Call {
    let options =
        DeleteOptions { uid: meta.uid.clone(), grace_secs: Some(0), ..DeleteOptions::default() };
    delete_with::<K>(meta, options)
}

fn delete_with<K: Kind>(meta: &ObjectMeta, options: DeleteOptions) -> Call {
    Call::new(Verb::Delete(options), K::gvr(), namespace(meta), name(meta))
}

/// A merge patch of this very object.
pub(crate) fn merge<K: Kind>(meta: &ObjectMeta, mut body: Value) -> Call {
    body["metadata"]["uid"] = uid(meta).into();
    patch::<K>(meta, PatchKind::Merge, body)
}

/// A merge patch that is refused when the object has moved on: for lists, which it replaces whole.
pub(crate) fn merge_in_state<K: Kind>(meta: &ObjectMeta, mut body: Value) -> Call {
    body["metadata"]["resourceVersion"] = meta.resource_version.as_deref().into();
    merge::<K>(meta, body)
}

/// A strategic merge patch of this very object.
pub(crate) fn strategic<K: Kind>(meta: &ObjectMeta, mut body: Value) -> Call {
    body["metadata"]["uid"] = uid(meta).into();
    patch::<K>(meta, PatchKind::Strategic, body)
}

fn patch<K: Kind>(meta: &ObjectMeta, kind: PatchKind, body: Value) -> Call {
    let patch = Patch { kind, body };
    Call::new(Verb::Patch(patch), K::gvr(), namespace(meta), name(meta))
}

pub(crate) fn without_finalizer<K: Kind>(meta: &ObjectMeta, gone: &str) -> Call {
    let left: Vec<_> = finalizers(meta).iter().filter(|f| *f != gone).collect();
    merge_in_state::<K>(meta, json!({ "metadata": { "finalizers": left } }))
}

pub(crate) fn with_finalizer<K: Kind>(meta: &ObjectMeta, new: &str) -> Call {
    let mut all = finalizers(meta).to_vec();
    all.push(new.into());
    merge_in_state::<K>(meta, json!({ "metadata": { "finalizers": all } }))
}

/// Patches the status where `new` says something else than `old`; `None` when it does not.
pub(crate) fn status<K: Kind>(
    meta: &ObjectMeta,
    old: &impl Serialize,
    new: &impl Serialize,
) -> Option<Call> {
    let patch = difference(&value(old), &value(new))?;
    let body = json!({ "status": patch });
    // Lists are replaced whole: whoever wrote to one in between (a foreign condition) must not be undone.
    let lists = patch.as_object().is_some_and(|p| p.values().any(Value::is_array));
    let call = if lists { merge_in_state::<K>(meta, body) } else { merge::<K>(meta, body) };
    Some(call.on("status"))
}

pub(crate) fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).expect("API types serialise")
}

/// The merge patch from `old` to `new`. Absent and zero are the same, as Go leaves zeros out.
pub(crate) fn difference(old: &Value, new: &Value) -> Option<Value> {
    if old == new || (is_zero(old) && is_zero(new)) {
        return None;
    }
    let (Some(before), Some(after)) = (old.as_object(), new.as_object()) else {
        return Some(new.clone());
    };
    let absent = Value::Null;
    let mut out = Map::new();
    for (key, value) in after {
        if let Some(part) = difference(before.get(key).unwrap_or(&absent), value) {
            out.insert(key.clone(), part);
        }
    }
    for (key, _) in before.iter().filter(|(key, v)| !after.contains_key(*key) && !is_zero(v)) {
        out.insert(key.clone(), Value::Null);
    }
    (!out.is_empty()).then(|| out.into())
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_zero),
    }
}
