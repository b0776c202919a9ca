//! JSON form to protobuf.

use super::ProtoError;
use super::wire::{FIXED64, VARINT, put_bytes, put_int, put_nested, put_tag, put_varint};
use crate::decode::schema_props;
use crate::facts;
use crate::gotime;
use crate::graph::{Field, Presence, Scalar, Shape, Struct, Type};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use meta::{GoDuration, Map, Value};

/// Encodes a value as one bare message. `apiVersion` and `kind` belong into the envelope.
/// Fields the message does not know are left out; a value of the wrong form is an error.
pub fn encode_proto(value: &Value, ty: &Type) -> Result<Vec<u8>, ProtoError> {
    let Shape::Message(id) = ty.shape else {
        return Err(ProtoError::new("only built-in types have a protobuf form"));
    };
    let mut out = Vec::with_capacity(512);
    structure(&mut out, value, facts::message(id))?;
    Ok(out)
}

type Written = Result<(), ProtoError>;

fn structure(out: &mut Vec<u8>, value: &Value, object: &Struct) -> Written {
    let empty = Map::new();
    let map = match value {
        Value::Object(map) => map,
        Value::Null => &empty,
        _ => return Err(wrong(&object.go_name, value)),
    };
    members(out, map, object)
}

/// The table lists fields in the order of their numbers on the wire only mostly: upstream's order is
/// that of the numbers, embedded structs included.
fn members(out: &mut Vec<u8>, map: &Map, object: &Struct) -> Written {
    for &(number, at) in object.wire_order.iter() {
        let Some(field) = object.fields.get(at as usize) else {
            let inline = object.inlines.iter().find(|inline| inline.number == number);
            let inner =
                facts::message(inline.expect("a wire position without field is embedded").message);
            put_nested(out, number, |out| members(out, map, inner))?;
            continue;
        };
        match map.get(&*field.name) {
            Some(value) if !value.is_null() => member(out, value, field)?,
            _ => absent(out, field)?,
        }
    }
    Ok(())
}

/// Plain Go values are written even when they are not set.
fn absent(out: &mut Vec<u8>, field: &Field) -> Written {
    if matches!(field.presence, Presence::Pointer | Presence::AlwaysNull) {
        return Ok(());
    }
    match &field.ty.shape {
        Shape::Message(id) => {
            put_nested(out, field.number, |out| structure(out, &Value::Null, facts::message(*id)))
        }
        Shape::Scalar(Scalar::Bytes) => Ok(()),
        Shape::Scalar(Scalar::Quantity) => put_nested(out, field.number, |out| {
            put_bytes(out, 1, b"0");
            Ok(())
        }),
        Shape::Scalar(Scalar::Raw | Scalar::Time | Scalar::MicroTime | Scalar::FieldsV1) => {
            put_bytes(out, field.number, b"");
            Ok(())
        }
        Shape::Scalar(_) => {
            let zero = crate::presence::zero(&field.ty);
            single(out, field.number, &zero, &field.ty, &field.name)
        }
        _ => Ok(()),
    }
}

fn member(out: &mut Vec<u8>, value: &Value, field: &Field) -> Written {
    let name = &*field.name;
    match (&field.ty.shape, value) {
        (Shape::List(list), Value::Array(_)) if list.boxed => {
            single(out, field.number, value, &field.ty, name)
        }
        (Shape::List(list), Value::Array(items)) => {
            items.iter().try_for_each(|item| single(out, field.number, item, &list.item, name))
        }
        (Shape::Map(item), Value::Object(map)) => map.iter().try_for_each(|(key, value)| {
            put_nested(out, field.number, |out| {
                put_bytes(out, 1, key.as_bytes());
                single(out, 2, value, item, name)
            })
        }),
        (Shape::List(_) | Shape::Map(_), _) => Err(wrong(name, value)),
        _ => single(out, field.number, value, &field.ty, name),
    }
}

fn single(out: &mut Vec<u8>, number: u32, value: &Value, ty: &Type, name: &str) -> Written {
    match &ty.shape {
        Shape::Message(id) => {
            put_nested(out, number, |out| structure(out, value, facts::message(*id)))
        }
        Shape::Scalar(scalar) => leaf(out, number, value, *scalar, name),
        Shape::List(list) => put_nested(out, number, |out| match value {
            Value::Array(items) => {
                items.iter().try_for_each(|item| single(out, 1, item, &list.item, name))
            }
            Value::Null => Ok(()),
            other => Err(wrong(name, other)),
        }),
        Shape::Map(_) | Shape::Object(_) | Shape::Any => {
            Err(ProtoError::new(format!("field {name} has no protobuf form")))
        }
    }
}

fn leaf(out: &mut Vec<u8>, number: u32, value: &Value, scalar: Scalar, name: &str) -> Written {
    let text = || value.as_str().ok_or_else(|| wrong(name, value));
    let integer = || value.as_i64().ok_or_else(|| wrong(name, value));
    match scalar {
        Scalar::String => {
            put_bytes(out, number, if value.is_null() { "" } else { text()? }.as_bytes())
        }
        Scalar::Bool => {
            put_int(out, number, value.as_bool().ok_or_else(|| wrong(name, value))?.into())
        }
        Scalar::Int32 | Scalar::Int64 => put_int(out, number, integer()?),
        Scalar::Double => {
            let float = value.as_f64().ok_or_else(|| wrong(name, value))?;
            put_tag(out, number, FIXED64);
            out.extend_from_slice(&float.to_bits().to_le_bytes());
        }
        Scalar::Bytes => {
            let bytes = if value.is_null() { "" } else { text()? };
            let bytes = STANDARD.decode(bytes).map_err(|_| wrong(name, value))?;
            put_bytes(out, number, &bytes);
        }
        _ => return put_nested(out, number, |out| message_leaf(out, value, scalar, name)),
    }
    Ok(())
}

/// Scalars that are messages on the wire.
fn message_leaf(out: &mut Vec<u8>, value: &Value, scalar: Scalar, name: &str) -> Written {
    match scalar {
        Scalar::Time | Scalar::MicroTime if value.is_null() => {}
        Scalar::Time | Scalar::MicroTime => {
            let text = value.as_str().ok_or_else(|| wrong(name, value))?;
            let micros = gotime::parse(text, gotime::SECONDS).map_err(ProtoError::new)?;
            put_int(out, 1, micros.div_euclid(1_000_000));
            let nanos = micros.rem_euclid(1_000_000) * 1000;
            put_int(out, 2, if scalar == Scalar::MicroTime { nanos } else { 0 });
        }
        Scalar::Duration => {
            let text = value.as_str().ok_or_else(|| wrong(name, value))?;
            put_int(out, 1, GoDuration::parse(text).map_err(ProtoError::new)?.0);
        }
        Scalar::Quantity => match value {
            Value::String(text) => put_bytes(out, 1, text.as_bytes()),
            Value::Number(number) => put_bytes(out, 1, number.to_string().as_bytes()),
            other => return Err(wrong(name, other)),
        },
        Scalar::IntOrString => int_or_string(out, value, name)?,
        Scalar::Raw | Scalar::FieldsV1 => {
            if !value.is_null() {
                put_bytes(out, 1, value.to_string().as_bytes());
            }
        }
        _ => schema_or(out, value, scalar, name)?,
    }
    Ok(())
}

fn int_or_string(out: &mut Vec<u8>, value: &Value, name: &str) -> Written {
    let (number, text) = match value {
        Value::String(text) => (0, text.as_str()),
        value => (value.as_i64().ok_or_else(|| wrong(name, value))?, ""),
    };
    put_tag(out, 1, VARINT);
    put_varint(out, value.is_string().into());
    put_int(out, 2, number);
    put_bytes(out, 3, text.as_bytes());
    Ok(())
}

fn schema_or(out: &mut Vec<u8>, value: &Value, scalar: Scalar, name: &str) -> Written {
    let props = facts::message(schema_props());
    let or_bool = scalar == Scalar::SchemaOrBool;
    match value {
        Value::Object(_) => {
            if or_bool {
                put_int(out, 1, 1);
            }
            put_nested(out, if or_bool { 2 } else { 1 }, |out| structure(out, value, props))
        }
        Value::Bool(allows) if or_bool => {
            put_int(out, 1, (*allows).into());
            Ok(())
        }
        Value::Array(items) if scalar == Scalar::SchemaOrArray => {
            items.iter().try_for_each(|item| put_nested(out, 2, |out| structure(out, item, props)))
        }
        Value::Array(items) if scalar == Scalar::SchemaOrStrings => {
            items.iter().try_for_each(|item| {
                put_bytes(out, 2, item.as_str().ok_or_else(|| wrong(name, item))?.as_bytes());
                Ok(())
            })
        }
        other => Err(wrong(name, other)),
    }
}

fn wrong(name: &str, value: &Value) -> ProtoError {
    let noun = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    ProtoError::new(format!("field {name} cannot be {noun}"))
}
