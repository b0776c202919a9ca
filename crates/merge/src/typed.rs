//! Whether what is applied fits its schema: server-side apply refuses unknown fields, values of the wrong type and
//! repeated items whatever `fieldValidation` says.
//!
//! Rules and texts of structured-merge-diff `typed/validate.go` and `typed/helpers.go`.

use crate::fieldset::Step;
use crate::shape::At;
use meta::{Map, Value};
use schema::{ListKind, Scalar, Shape, Type};

/// Everything about `value` that its type does not allow, as `path: text`.
pub fn misfits(value: &Value, at: At<'_>) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(ty) = at.0 {
        node(value, ty, "", &mut out);
    }
    out
}

fn node(value: &Value, ty: &Type, path: &str, out: &mut Vec<String>) {
    if value.is_null() {
        return;
    }
    match &ty.shape {
        Shape::Scalar(scalar) => leaf(value, *scalar, path, out),
        Shape::Any => {}
        Shape::List(_) => match value {
            Value::Array(items) => list(items, ty, path, out),
            _ => tell(path, &format!("expected list, got {}", shown(value)), out),
        },
        _ => match value {
            Value::Object(members) => map(members, ty, path, out),
            _ => tell(path, &format!("expected map, got {}", shown(value)), out),
        },
    }
}

fn map(members: &Map, ty: &Type, path: &str, out: &mut Vec<String>) {
    for (name, member) in members {
        let path = format!("{path}.{name}");
        match ty.child(name) {
            Some(child) => node(member, child, &path, out),
            None if ty.preserves_unknown() || is_embedded(ty, name) => {}
            None => tell(&path, "field not declared in schema", out),
        }
    }
}

/// Type and metadata of an embedded resource are always there.
fn is_embedded(ty: &Type, name: &str) -> bool {
    ["apiVersion", "kind", "metadata"].contains(&name)
        && ty.structure().is_some_and(|object| object.embedded)
}

fn list(items: &[Value], ty: &Type, path: &str, out: &mut Vec<String>) {
    let identities = matches!(ty.list_kind(), Some(ListKind::Set | ListKind::Map(_)));
    let mut seen: Vec<Step> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let step = match identities {
            true => match At(Some(ty)).step(item) {
                Ok(step) => step,
                Err(why) => {
                    tell(path, &format!("element {at}: {why}"), out);
                    continue;
                }
            },
            false => Step::Index(at),
        };
        if seen.contains(&step) {
            tell(path, &format!("duplicate entries for key {}", step.shown()), out);
            continue;
        }
        if let Some(item_type) = ty.item() {
            node(item, item_type, &format!("{path}{}", step.shown()), out);
        }
        seen.push(step);
    }
}

fn leaf(value: &Value, scalar: Scalar, path: &str, out: &mut Vec<String>) {
    let wanted = match scalar {
        Scalar::String | Scalar::Bytes if !value.is_string() => "string",
        Scalar::Int32 | Scalar::Int64 | Scalar::Double if !value.is_number() => {
            "numeric (int or float)"
        }
        Scalar::Bool if !value.is_boolean() => "boolean",
        _ => return,
    };
    let got =
        if scalar == Scalar::Bool || wanted == "string" { shown(value) } else { go_type(value) };
    tell(path, &format!("expected {wanted}, got {got}"), out);
}

fn tell(path: &str, why: &str, out: &mut Vec<String>) {
    out.push(if path.is_empty() { why.to_string() } else { format!("{path}: {why}") });
}

/// A value as Go prints the wrapper around it.
fn shown(value: &Value) -> String {
    let inner = match value {
        Value::Object(_) => "map[string]interface {}{...}".into(),
        Value::Array(_) => "[]interface {}{...}".into(),
        other => other.to_string(),
    };
    format!("&value.valueUnstructured{{Value:{inner}}}")
}

fn go_type(value: &Value) -> String {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
    .into()
}
