//! Which fields Go's encoder leaves out, and what it writes for those that are not set.

use crate::facts;
use crate::graph::{Field, Presence, Scalar, Shape, Struct, Type};
use meta::{Map, Value};

/// Inserts a decoded field unless Go would leave it out again.
pub(crate) fn put(out: &mut Map, field: &Field, value: Value) {
    if is_kept(field, &value) {
        out.insert(field.name.to_string(), value);
    } else if !out.is_empty() {
        // It may be a duplicate of a field set before: the last one counts.
        out.remove(&*field.name);
    }
}

/// Whether Go writes this value. Null in an always-present field counts as absent: see [`fill`].
pub(crate) fn is_kept(field: &Field, value: &Value) -> bool {
    match field.presence {
        Presence::OmitEmpty => !is_empty(value),
        Presence::OmitZero => !is_zero(value),
        Presence::Pointer | Presence::Always | Presence::AlwaysNull => !value.is_null(),
    }
}

/// Adds what Go always writes.
pub(crate) fn fill(out: &mut Map, object: &Struct) {
    for &at in &object.always {
        let field = &object.fields[at as usize];
        if !out.contains_key(&*field.name) {
            out.insert(field.name.to_string(), absent(field));
        }
    }
}

fn absent(field: &Field) -> Value {
    match field.presence {
        Presence::Always => zero(&field.ty),
        _ => Value::Null,
    }
}

/// A Go zero value as JSON.
pub(crate) fn zero(ty: &Type) -> Value {
    match &ty.shape {
        Shape::Message(id) => {
            let mut out = Map::new();
            fill(&mut out, facts::message(*id));
            Value::Object(out)
        }
        Shape::Scalar(scalar) => match scalar {
            Scalar::String => "".into(),
            Scalar::Bool => false.into(),
            Scalar::Int32 | Scalar::Int64 | Scalar::Double | Scalar::IntOrString => 0.into(),
            Scalar::Duration => "0s".into(),
            Scalar::Quantity => "0".into(),
            _ => Value::Null,
        },
        _ => Value::Null,
    }
}

/// What `omitempty` leaves out.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// What `omitzero` leaves out: a struct none of whose fields is set.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().all(is_zero),
        other => is_empty(other),
    }
}
