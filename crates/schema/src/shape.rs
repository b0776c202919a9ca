//! Bringing a value into the shape of its type: normalising, pruning and defaulting.

use crate::facts;
use crate::graph::{Scalar, Shape, Struct, Type};
use crate::leaf::{self, Token};
use crate::presence;
use meta::{Map, Value};
use std::fmt::Write;

#[cfg(test)]
mod tests;

/// Rewrites a value as Go's decode and encode would: nulls and empty `omitempty` fields dropped,
/// always-present fields present, quantities and times canonical. What [`crate::decode_json`] does on the
/// way in, for values that were made otherwise (patched, merged, defaulted). Unknown fields and values
/// of the wrong type are left alone; so is everything a CRD describes.
pub fn normalise(value: &mut Value, ty: &Type) {
    match (&ty.shape, value) {
        (Shape::Message(id), value) => {
            let object = facts::message(*id);
            if value.is_null() {
                *value = presence::zero(ty);
            } else if let Value::Object(map) = value {
                normalise_struct(map, object);
            }
        }
        (Shape::Object(object), Value::Object(map)) => {
            for (name, value) in map.iter_mut() {
                if let Some(field) = object.field(name) {
                    normalise(value, &field.ty);
                }
            }
        }
        (Shape::List(list), Value::Array(items)) => {
            items.iter_mut().for_each(|item| normalise_element(item, &list.item));
        }
        (Shape::Map(item), Value::Object(map)) => {
            map.values_mut().for_each(|value| normalise_element(value, item));
        }
        (Shape::Scalar(scalar), value) => normalise_scalar(value, *scalar),
        _ => {}
    }
}

fn normalise_element(value: &mut Value, ty: &Type) {
    normalise(value, ty);
    if value.is_null() {
        *value = presence::zero(ty);
    }
}

fn normalise_struct(map: &mut Map, object: &Struct) {
    map.retain(|name, value| {
        let Some(field) = object.field(name) else { return true };
        if !value.is_null() {
            normalise(value, &field.ty);
        }
        presence::is_kept(field, value)
    });
    presence::fill(map, object);
}

fn normalise_scalar(value: &mut Value, scalar: Scalar) {
    match scalar {
        Scalar::Quantity | Scalar::Time | Scalar::MicroTime | Scalar::Duration => {
            let number;
            let token = match value {
                Value::String(text) => Token::String(text.clone()),
                Value::Number(n) => {
                    number = n.to_string();
                    Token::Number(&number)
                }
                _ => return,
            };
            if let Ok(canonical) = leaf::read(scalar, token) {
                *value = canonical;
            }
        }
        Scalar::SchemaOrArray | Scalar::SchemaOrBool | Scalar::SchemaOrStrings => {
            let schema = Type::new(Shape::Message(crate::decode::schema_props()));
            match value {
                Value::Array(items) => items.iter_mut().for_each(|item| {
                    if item.is_object() {
                        normalise(item, &schema);
                    }
                }),
                Value::Object(_) => normalise(value, &schema),
                _ => {}
            }
        }
        _ => {}
    }
}

/// Removes fields the type does not declare; returns their paths, sorted (`spec.foo[0].bar`).
///
/// For CRDs this is k8s.io/apiextensions-apiserver `pkg/apiserver/schema/pruning/algorithm.go`: below
/// `x-kubernetes-preserve-unknown-fields` only what is declared is pruned inside.
pub fn prune(value: &mut Value, ty: &Type) -> Vec<String> {
    let mut pruner = Pruner { path: String::new(), found: Vec::new() };
    pruner.value(value, ty, false);
    pruner.found.sort();
    pruner.found
}

struct Pruner {
    path: String,
    found: Vec<String>,
}

impl Pruner {
    /// `kept`: unknown properties of this node stay, because a list it is an item of preserves them.
    fn value(&mut self, value: &mut Value, ty: &Type, kept: bool) {
        let kept = kept || ty.preserves_unknown();
        match value {
            Value::Object(map) => self.object(map, ty, kept),
            Value::Array(items) => {
                let item_type = match ty.item() {
                    Some(item_type) => item_type,
                    None if kept => return,
                    None => &UNTYPED,
                };
                for (at, item) in items.iter_mut().enumerate() {
                    let length = self.path.len();
                    let _ = write!(self.path, "[{at}]");
                    self.value(item, item_type, kept);
                    self.path.truncate(length);
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, map: &mut Map, ty: &Type, kept: bool) {
        let embedded = ty.structure().is_some_and(|object| object.embedded);
        let mut unknown = Vec::new();
        for (key, value) in map.iter_mut() {
            let length = self.path.len();
            if length > 0 {
                self.path.push('.');
            }
            self.path.push_str(key);
            match ty.child(key) {
                Some(child) => self.value(value, child, false),
                None if kept || embedded && TYPE_META.contains(&key.as_str()) => {}
                None => {
                    self.found.push(self.path.clone());
                    unknown.push(key.clone());
                }
            }
            self.path.truncate(length);
        }
        unknown.iter().for_each(|key| drop(map.remove(key)));
    }
}

/// Always there in an embedded resource, declared or not.
const TYPE_META: &[&str] = &["apiVersion", "kind", "metadata"];

static UNTYPED: Type = Type { shape: Shape::Any, atomic: false, nullable: false, rules: None };

/// Fills absent fields from the static defaults of the schema.
///
/// CRDs: k8s.io/apiextensions-apiserver `pkg/apiserver/schema/defaulting/algorithm.go`; a null in a field
/// that is not nullable but has a default counts as absent. Built-in types: their `+default` markers
/// only; defaults that depend on other fields belong to the kinds.
pub fn apply_defaults(value: &mut Value, ty: &Type) {
    match value {
        Value::Object(map) => {
            if let Some(object) = ty.structure() {
                fill_fields(map, object);
            }
            for (key, value) in map.iter_mut() {
                if let Some(child) = ty.child(key) {
                    default_null(value, child);
                    apply_defaults(value, child);
                }
            }
        }
        Value::Array(items) => {
            if let Some(item_type) = ty.item() {
                for item in items {
                    default_null(item, item_type);
                    apply_defaults(item, item_type);
                }
            }
        }
        _ => {}
    }
}

fn fill_fields(map: &mut Map, object: &Struct) {
    for field in &object.fields {
        let Some(default) = &field.default else { continue };
        // Go would leave such a default (`""`, 0) out again when it writes the object.
        if object.is_builtin() && !presence::is_kept(field, default) {
            continue;
        }
        match map.get(&*field.name) {
            None => {
                map.insert(field.name.to_string(), default.clone());
            }
            Some(Value::Null) if !field.ty.nullable => {
                map.insert(field.name.to_string(), default.clone());
            }
            // A Go zero value written because it has no omitempty is as good as absent.
            Some(zero) if object.is_builtin() && *zero == "" => {
                map.insert(field.name.to_string(), default.clone());
            }
            Some(_) => {}
        }
    }
}

/// A null item or map value takes the default of its own schema.
fn default_null(value: &mut Value, ty: &Type) {
    let default = ty.rules.as_ref().and_then(|rules| rules.default.as_ref());
    if let (true, false, Some(default)) = (value.is_null(), ty.nullable, default) {
        *value = default.clone();
    }
}
