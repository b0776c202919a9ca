//! Strategic merge patch: kubectl's own patch format, steered by the patch strategies of the schema.
//!
//! Rules of k8s.io/apimachinery `pkg/util/strategicpatch/patch.go`.

use crate::shape::At;
use meta::{Map, Problem, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

/// `original` with `patch` applied.
///
/// # Errors
/// 400 for directives that are malformed or contradict the patch.
pub fn strategic(original: &Value, patch: &Value, at: At<'_>) -> Result<Value, Problem> {
    let (Some(original), Some(patch)) = (original.as_object(), patch.as_object()) else {
        return Err(Problem::bad_request("a strategic merge patch must be an object"));
    };
    merge_map(original.clone(), patch.clone(), at).map(Value::Object)
}

fn merge_map(mut original: Map, mut patch: Map, at: At<'_>) -> Result<Map, Problem> {
    if let Some(directive) = patch.remove(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => Ok(taken_over_map(patch)),
            Some("delete") => Ok(Map::new()),
            _ => Err(bad(unknown(&directive, &Value::Object(patch)))),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    order_lists(&mut original, &mut patch, at)?;
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix(DELETE_FROM) {
            delete_from(&mut original, list, &value)?;
        } else {
            merge_member(&mut original, &name, value, at)?;
        }
    }
    Ok(original)
}

fn merge_member(original: &mut Map, name: &str, value: Value, at: At<'_>) -> Result<(), Problem> {
    if value.is_null() {
        original.remove(name);
        return Ok(());
    }
    let merged = match (original.remove(name), value) {
        (Some(Value::Object(old)), Value::Object(new)) if !at.patching(name).replaces_map => {
            Value::Object(merge_map(old, new, at.field(name))?)
        }
        (Some(Value::Array(old)), Value::Array(new)) if at.patching(name).merges_list => {
            let key = at.patching(name).key;
            Value::Array(merge_list(&old, new, key, at.field(name))?)
        }
        // Replaced as it came, directives of its items and all; the decoder drops those as unknown fields.
        (Some(Value::Array(_)), new @ Value::Array(_)) => new,
        (_, new) => match taken_over(new) {
            Some(taken) => taken,
            None => return Ok(()),
        },
    };
    original.insert(name.into(), merged);
    Ok(())
}

// === directives ===

fn unknown(directive: &Value, patch: &Value) -> String {
    let word = directive.as_str().map_or_else(|| directive.to_string(), str::to_string);
    format!("unknown patch type found: {word}. Patch: {patch}")
}

fn bad(message: String) -> Problem {
    Problem::bad_request(message)
}

/// `$retainKeys` clears everything of the original that it does not name.
fn retain_keys(original: &mut Map, patch: &mut Map) -> Result<(), Problem> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Some(keys) = keys.as_array() else {
        return Err(bad("invalid patch format of retainKeys".into()));
    };
    let kept = |name: &String| keys.iter().any(|k| k.as_str() == Some(name));
    let plain = |name: &String| !name.starts_with('$');
    if patch.iter().any(|(name, value)| plain(name) && !value.is_null() && !kept(name)) {
        return Err(bad("invalid patch format of retainKeys".into()));
    }
    original.retain(|name, _| kept(name));
    Ok(())
}

fn delete_from(original: &mut Map, list: &str, gone: &Value) -> Result<(), Problem> {
    let Some(gone) = gone.as_array() else {
        return Err(bad("invalid patch format of primitive list deletion".into()));
    };
    if let Some(items) = original.get_mut(list).and_then(Value::as_array_mut) {
        items.retain(|item| !gone.contains(item));
    }
    Ok(())
}

/// Merges the lists that carry a `$setElementOrder` and puts them into that order.
fn order_lists(original: &mut Map, patch: &mut Map, at: At<'_>) -> Result<(), Problem> {
    let ordered: Vec<String> = patch.keys().filter(|k| k.starts_with(ORDER)).cloned().collect();
    for directive in ordered {
        let order = patch.remove(&directive).unwrap_or_default();
        let name = &directive[ORDER.len()..];
        let Value::Array(order) = order else {
            return Err(bad("invalid patch format of setElementOrder list".into()));
        };
        let key = at.patching(name).key;
        let old = original.get(name).and_then(Value::as_array).cloned();
        let new = match patch.get(name) {
            Some(Value::Array(_)) => patch.remove(name).and_then(|v| v.as_array().cloned()),
            _ => None,
        };
        if let Some(new) = &new {
            check_order(new, &order, key)?;
        }
        let merged = match (&old, new) {
            (None, None) => continue,
            (Some(old), None) => old.clone(),
            (None, Some(new)) => new.into_iter().filter_map(taken_over).collect(),
            (Some(old), Some(new)) => merge_list(old, new, key, at.field(name))?,
        };
        let sorted = normalise(merged, &order, old.as_deref().unwrap_or_default(), key);
        original.insert(name.into(), Value::Array(sorted));
    }
    Ok(())
}

/// Every item of the patch list must be in the order list, in the same relative order.
fn check_order(new: &[Value], order: &[Value], key: Option<&str>) -> Result<(), Problem> {
    let mut rest = order.iter();
    let plain = new.iter().filter(|item| item.get(DIRECTIVE).is_none());
    for item in plain {
        if !rest.any(|o| is_same(o, item, key)) {
            return Err(bad(format!(
                "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                Value::Array(new.to_vec()),
                Value::Array(order.to_vec()),
            )));
        }
    }
    Ok(())
}

// === lists ===

fn is_same(a: &Value, b: &Value, key: Option<&str>) -> bool {
    match key {
        Some(key) => a.get(key).is_some() && a.get(key) == b.get(key),
        None => a == b,
    }
}

fn merge_list(
    old: &[Value],
    new: Vec<Value>,
    key: Option<&str>,
    at: At<'_>,
) -> Result<Vec<Value>, Problem> {
    let Some(key) = key else {
        let mut merged = old.to_vec();
        merged.extend(new.iter().cloned());
        return Ok(normalise(deduplicated(merged), &new, old, None));
    };
    let (old, new) = special_items(old.to_vec(), new, key)?;
    let mut merged = old.clone();
    for item in &new {
        let Some(id) = item.get(key) else {
            return Err(bad(format!("map: {item} does not contain declared merge key: {key}")));
        };
        match merged.iter_mut().find(|have| have.get(key) == Some(id)) {
            Some(have) => merge_item(have, item, at.item())?,
            None => merged.extend(taken_over(item.clone())),
        }
    }
    Ok(normalise(merged, &new, &old, Some(key)))
}

fn merge_item(have: &mut Value, item: &Value, at: At<'_>) -> Result<(), Problem> {
    if let (Some(old), Some(new)) = (have.as_object(), item.as_object()) {
        *have = Value::Object(merge_map(old.clone(), new.clone(), at)?);
    }
    Ok(())
}

/// Carries out `$patch: delete` and `$patch: replace` items and drops them from the patch.
fn special_items(
    mut old: Vec<Value>,
    new: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), Problem> {
    let mut plain = Vec::with_capacity(new.len());
    let mut replace = false;
    for item in new {
        match item.get(DIRECTIVE).and_then(Value::as_str) {
            None => plain.push(item),
            Some("replace") => replace = true,
            Some("delete") => match item.get(key) {
                Some(id) => old.retain(|have| have.get(key) != Some(id)),
                None => return Err(bad("delete patch type with no merge key defined".into())),
            },
            Some("merge") => {
                return Err(bad("merging lists cannot yet be specified in the patch".into()));
            }
            Some(other) => return Err(bad(unknown(&other.into(), &item))),
        }
    }
    if replace {
        old.clear();
    }
    Ok((old, plain))
}

fn deduplicated(items: Vec<Value>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::with_capacity(items.len());
    for item in items {
        if !out.contains(&item) {
            out.push(item);
        }
    }
    out
}

/// Items of the patch in the patch's order, the server's own items where they stood.
fn normalise(
    merged: Vec<Value>,
    order: &[Value],
    server: &[Value],
    key: Option<&str>,
) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| list.iter().position(|o| is_same(o, item, key));
    let (mut patched, mut own): (Vec<_>, Vec<_>) =
        merged.into_iter().partition(|item| place(order, item).is_some());
    patched.sort_by_key(|item| place(order, item));
    own.sort_by_key(|item| place(server, item));
    let mut out = Vec::with_capacity(patched.len() + own.len());
    let (mut own, mut patched) = (own.into_iter().peekable(), patched.into_iter().peekable());
    while let (Some(mine), Some(theirs)) = (own.peek(), patched.peek()) {
        match (place(server, mine), place(server, theirs)) {
            (Some(a), Some(b)) if a < b => out.extend(own.next()),
            _ => out.extend(patched.next()),
        }
    }
    out.extend(patched);
    out.extend(own);
    out
}

// === values taken over from the patch ===

/// What a value of the patch means where there is nothing to merge with: nulls delete nothing, and what is itself
/// a directive is no value (upstream's `removeDirectives` and `discardNullValuesFromPatch`).
fn taken_over(value: Value) -> Option<Value> {
    match value {
        Value::Object(members) if members.contains_key(DIRECTIVE) => None,
        Value::Object(members) => Some(Value::Object(taken_over_map(members))),
        Value::Array(items) => Some(items.into_iter().filter_map(taken_over).collect()),
        other => Some(other),
    }
}

fn taken_over_map(members: Map) -> Map {
    members
        .into_iter()
        .filter(|(name, value)| !name.starts_with('$') && !value.is_null())
        .filter_map(|(name, value)| Some((name, taken_over(value)?)))
        .collect()
}
