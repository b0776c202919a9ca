//! Protobuf to JSON form.

use super::ProtoError;
use super::wire::{Fields, Wire};
use crate::decode::schema_props;
use crate::facts;
use crate::graph::{Field, List, Scalar, Shape, Struct, Type};
use crate::lexer::MAX_DEPTH;
use crate::{gotime, leaf, presence};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use meta::{GoDuration, Map, Quantity, Value};

/// Decodes one bare message (an envelope's `raw`) to its JSON form, as Go would write it. Unknown fields
/// are skipped. `apiVersion` and `kind` are not on this wire: take them from the envelope.
pub fn decode_proto(bytes: &[u8], ty: &Type) -> Result<Value, ProtoError> {
    let Shape::Message(id) = ty.shape else {
        return Err(ProtoError::new("only built-in types have a protobuf form"));
    };
    structure(bytes, facts::message(id), 0)
}

fn structure(bytes: &[u8], object: &Struct, depth: u32) -> Result<Value, ProtoError> {
    if depth > MAX_DEPTH {
        return Err(ProtoError::new("proto: exceeded max depth"));
    }
    let mut out = Map::new();
    members(bytes, object, &mut out, depth)?;
    presence::fill(&mut out, object);
    Ok(Value::Object(out))
}

/// The fields of a message, those of embedded structs in the same object.
fn members(bytes: &[u8], object: &Struct, out: &mut Map, depth: u32) -> Result<(), ProtoError> {
    let mut fields = Fields::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        let Ok(at) = object.wire_order.binary_search_by_key(&number, |(number, _)| *number) else {
            continue;
        };
        if let Some(field) = object.fields.get(object.wire_order[at].1 as usize) {
            member(wire, field, out, depth + 1)?;
        } else if let Some(inline) = object.inlines.iter().find(|i| i.number == number) {
            let inner = facts::message(inline.message);
            members(wire.bytes(&inner.go_name)?, inner, out, depth + 1)?;
        }
    }
    Ok(())
}

fn member(wire: Wire<'_>, field: &Field, out: &mut Map, depth: u32) -> Result<(), ProtoError> {
    let name = &*field.name;
    match &field.ty.shape {
        Shape::List(list) if list.boxed => {
            let items = boxed(wire.bytes(name)?, list, name, depth)?;
            presence::put(out, field, items);
        }
        Shape::List(list) => {
            let slot = out.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(items) = slot {
                push(items, wire, list, name, depth)?;
            }
        }
        Shape::Map(item) => {
            let (key, value) = entry(wire.bytes(name)?, item, name, depth)?;
            let slot = out.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(map) = slot {
                map.insert(key, value);
            }
        }
        _ => {
            presence::put(out, field, single(wire, &field.ty, name, depth)?);
        }
    }
    Ok(())
}

/// A repeated field's next item, or a packed run of numbers.
fn push(
    items: &mut Vec<Value>,
    wire: Wire<'_>,
    list: &List,
    name: &str,
    depth: u32,
) -> Result<(), ProtoError> {
    let number = matches!(list.item.shape, Shape::Scalar(Scalar::Int32 | Scalar::Int64));
    let (Wire::Bytes(bytes), true) = (wire, number) else {
        items.push(single(wire, &list.item, name, depth)?);
        return Ok(());
    };
    // A packed run is a sequence of varints; each is read as if a tag stood before it.
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b < 0x80).map_or(rest.len(), |at| at + 1);
        let mut one = vec![8];
        one.extend_from_slice(&rest[..end]);
        if let Some((_, wire)) = Fields::new(&one).next()? {
            items.push(single(wire, &list.item, name, depth)?);
        }
        rest = &rest[end..];
    }
    Ok(())
}

/// `ExtraValue`, `Verbs`: a message whose only field 1 repeats.
fn boxed(bytes: &[u8], list: &List, name: &str, depth: u32) -> Result<Value, ProtoError> {
    let mut items = Vec::new();
    let mut fields = Fields::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        if number == 1 {
            items.push(single(wire, &list.item, name, depth)?);
        }
    }
    Ok(Value::Array(items))
}

fn entry(bytes: &[u8], item: &Type, name: &str, depth: u32) -> Result<(String, Value), ProtoError> {
    let mut key = "";
    let mut value = None;
    let mut fields = Fields::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => key = wire.text(name)?,
            2 => value = Some(single(wire, item, name, depth)?),
            _ => {}
        }
    }
    Ok((key.to_string(), value.unwrap_or_else(|| presence::zero(item))))
}

fn single(wire: Wire<'_>, ty: &Type, name: &str, depth: u32) -> Result<Value, ProtoError> {
    match &ty.shape {
        Shape::Message(id) => structure(wire.bytes(name)?, facts::message(*id), depth),
        Shape::Scalar(scalar) => leaf_of(*scalar, wire, name, depth),
        Shape::List(list) => boxed(wire.bytes(name)?, list, name, depth),
        Shape::Map(_) | Shape::Object(_) | Shape::Any => {
            Err(ProtoError::new(format!("proto: field {name} has no protobuf form")))
        }
    }
}

fn leaf_of(scalar: Scalar, wire: Wire<'_>, name: &str, depth: u32) -> Result<Value, ProtoError> {
    Ok(match scalar {
        Scalar::String => wire.text(name)?.into(),
        Scalar::Bool => (wire.varint(name)? != 0).into(),
        Scalar::Int32 => (wire.varint(name)? as i32).into(),
        Scalar::Int64 => (wire.varint(name)? as i64).into(),
        Scalar::Double => match wire {
            Wire::Fixed64(bits) => double(f64::from_bits(bits)),
            other => return Err(other.wrong(name)),
        },
        Scalar::Bytes => STANDARD.encode(wire.bytes(name)?).into(),
        Scalar::Time | Scalar::MicroTime => {
            time(wire.bytes(name)?, name, scalar == Scalar::MicroTime)?
        }
        Scalar::Duration => {
            let [nanos] = integers(wire.bytes(name)?, name)?;
            GoDuration(nanos).to_string().into()
        }
        Scalar::Quantity => quantity(wire.bytes(name)?, name)?,
        Scalar::IntOrString => int_or_string(wire.bytes(name)?, name)?,
        Scalar::Raw | Scalar::FieldsV1 => raw(wire.bytes(name)?, name, depth)?,
        Scalar::SchemaOrArray | Scalar::SchemaOrBool | Scalar::SchemaOrStrings => {
            schema_or(scalar, wire.bytes(name)?, name, depth)?
        }
    })
}

fn double(value: f64) -> Value {
    leaf::number(&format!("{value:?}")).map_or(Value::Null, leaf::whole)
}

/// The first `N` varint fields of a small message.
fn integers<const N: usize>(bytes: &[u8], name: &str) -> Result<[i64; N], ProtoError> {
    let mut out = [0; N];
    let mut fields = Fields::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        if let Some(slot) = out.get_mut(number as usize - 1) {
            *slot = wire.varint(name)? as i64;
        }
    }
    Ok(out)
}

/// An empty message is Go's zero time, which JSON writes as null.
fn time(bytes: &[u8], name: &str, micro: bool) -> Result<Value, ProtoError> {
    let [seconds, nanos] = integers(bytes, name)?;
    let micros = seconds.saturating_mul(1_000_000).saturating_add(nanos / 1000);
    if bytes.is_empty() || micros == gotime::ZERO {
        return Ok(Value::Null);
    }
    Ok(gotime::format(micros, micro).into())
}

fn quantity(bytes: &[u8], name: &str) -> Result<Value, ProtoError> {
    let mut text = "0";
    let mut fields = Fields::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        if number == 1 {
            text = wire.text(name)?;
        }
    }
    if Quantity::is_plain(text) {
        return Ok(text.into());
    }
    let parsed = Quantity::parse(text).map_err(|why| ProtoError::new(why.to_string()))?;
    Ok(parsed.to_string().into())
}

fn int_or_string(bytes: &[u8], name: &str) -> Result<Value, ProtoError> {
    let (mut kind, mut number, mut text) = (0, 0, "");
    let mut fields = Fields::new(bytes);
    while let Some((field, wire)) = fields.next()? {
        match field {
            1 => kind = wire.varint(name)?,
            2 => number = wire.varint(name)? as i32,
            3 => text = wire.text(name)?,
            _ => {}
        }
    }
    Ok(if kind == 1 { text.into() } else { number.into() })
}

/// `RawExtension`, `JSON` and `FieldsV1` carry JSON, except that objects inside a `RawExtension` may be
/// sealed protobuf themselves (`AdmissionReview`, `WatchEvent`, `List`).
fn raw(bytes: &[u8], name: &str, depth: u32) -> Result<Value, ProtoError> {
    let mut raw: &[u8] = b"";
    let mut fields = Fields::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        if number == 1 {
            raw = wire.bytes(name)?;
        }
    }
    if raw.is_empty() {
        return Ok(Value::Null);
    }
    if raw.starts_with(b"k8s\0") {
        return sealed(raw, depth);
    }
    let any = Type::new(Shape::Any);
    crate::decode_json(raw, &any)
        .map(|decoded| decoded.value)
        .map_err(|why| ProtoError::new(format!("field {name}: {why}")))
}

fn sealed(bytes: &[u8], depth: u32) -> Result<Value, ProtoError> {
    let envelope = super::open(bytes)?;
    let gvk = meta::Gvk::parse(envelope.api_version, envelope.kind);
    let ty = facts::kind(&gvk).ok_or_else(|| ProtoError::new(format!("unknown kind {gvk}")))?;
    let Shape::Message(id) = ty.shape else { return Ok(Value::Null) };
    let mut value = structure(envelope.raw, facts::message(id), depth + 1)?;
    value["apiVersion"] = envelope.api_version.into();
    value["kind"] = envelope.kind.into();
    Ok(value)
}

/// `JSONSchemaPropsOrArray{schema, jSONSchemas}`, `...OrBool{allows, schema}` and
/// `...OrStringArray{schema, property}`.
fn schema_or(scalar: Scalar, bytes: &[u8], name: &str, depth: u32) -> Result<Value, ProtoError> {
    let props = facts::message(schema_props());
    let schema_field = if scalar == Scalar::SchemaOrBool { 2 } else { 1 };
    let mut schema = None;
    let mut items = Vec::new();
    let mut allows = false;
    let mut fields = Fields::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        match number {
            n if n == schema_field => schema = Some(structure(wire.bytes(name)?, props, depth)?),
            2 if scalar == Scalar::SchemaOrArray => {
                items.push(structure(wire.bytes(name)?, props, depth)?);
            }
            2 => items.push(wire.text(name)?.into()),
            1 => allows = wire.varint(name)? != 0,
            _ => {}
        }
    }
    Ok(match schema {
        Some(schema) => schema,
        None if scalar == Scalar::SchemaOrBool => allows.into(),
        None => Value::Array(items),
    })
}
