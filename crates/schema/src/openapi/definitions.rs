//! Schemas of built-in types: what is referred to is defined.

use super::Dialect;
use super::describe::Descriptions;
use crate::facts::{self, MessageId};
use crate::graph::{Field, ListKind, Presence, Scalar, Shape, Struct, Type};
use crate::presence;
use meta::{Gvk, Map, Value};
use serde_json::json;
use std::collections::BTreeSet;

pub(crate) struct Definitions {
    pub dialect: Dialect,
    pub texts: Descriptions,
    done: Map,
    todo: BTreeSet<MessageId>,
}

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

impl Definitions {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self { dialect, texts: Descriptions::default(), done: Map::new(), todo: BTreeSet::new() }
    }

    /// The reference to a kind's definition, which will be in the document; `None` for unknown kinds.
    pub(crate) fn kind(&mut self, gvk: &Gvk) -> Option<String> {
        let Shape::Message(id) = facts::kind(gvk)?.shape else { return None };
        self.todo.insert(id);
        Some(self.dialect.reference(&facts::message(id).name))
    }

    pub(crate) fn named(&mut self, name: &str) -> String {
        self.todo.extend(facts::id_of(name));
        self.dialect.reference(name)
    }

    pub(crate) fn insert(&mut self, name: String, schema: Value) {
        self.done.insert(name, schema);
    }

    /// Everything referred to, directly or not.
    pub(crate) fn finish(mut self) -> Map {
        while let Some(id) = self.todo.pop_first() {
            let object = facts::message(id);
            if !self.done.contains_key(&*object.name) {
                let schema = self.structure(id, object);
                self.done.insert(object.name.to_string(), schema);
            }
        }
        self.done
    }

    fn structure(&mut self, id: MessageId, object: &Struct) -> Value {
        let mut out = Map::new();
        put_text(&mut out, "description", self.texts.of(&object.name, ""));
        out.insert("type".into(), "object".into());
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in &object.fields {
            if field.required {
                required.push(Value::from(&*field.name));
            }
            properties.insert(field.name.to_string(), self.property(object, field));
        }
        if !properties.is_empty() {
            out.insert("properties".into(), Value::Object(properties));
        }
        if !required.is_empty() {
            out.insert("required".into(), Value::Array(required));
        }
        if facts::message_is_atomic(id) {
            out.insert("x-kubernetes-map-type".into(), "atomic".into());
        }
        if object.is_kind {
            out.insert("x-kubernetes-group-version-kind".into(), self.gvks(id, object));
        }
        Value::Object(out)
    }

    /// Kinds of `meta.k8s.io/v1` that clients send belong to the core group as far as this tells.
    fn gvks(&self, id: MessageId, object: &Struct) -> Value {
        let (group, version) = facts::group_version(id);
        let group = if object.name.starts_with(META) { "" } else { group };
        json!([{"group": group, "version": version, "kind": object.go_name}])
    }

    fn property(&mut self, object: &Struct, field: &Field) -> Value {
        let mut out = self.schema(&field.ty, object);
        let mut text = self.texts.of(&object.name, &field.name).to_string();
        if text.is_empty() {
            // Lists are generic in the source of the descriptions: only their own fields lack a text.
            text = common_text(&mut self.texts, object, &field.name);
        }
        put_text(&mut out, "description", &text);
        if !field.options.is_empty() && self.dialect == Dialect::V3 {
            let options: Value = field.options.iter().map(|o| Value::from(&**o)).collect();
            match out.get_mut("items") {
                Some(Value::Object(items)) => items.insert("enum".into(), options),
                _ => out.insert("enum".into(), options),
            };
        }
        merging(&mut out, field);
        if let (Dialect::V3, Some(default)) = (self.dialect, default(field)) {
            out.insert("default".into(), default);
        }
        Value::Object(out)
    }

    fn schema(&mut self, ty: &Type, owner: &Struct) -> Map {
        match &ty.shape {
            Shape::Message(id) => {
                self.todo.insert(*id);
                self.reference(&facts::message(*id).name)
            }
            Shape::List(list) => {
                let items = self.element(&list.item, owner);
                object([("type", "array".into()), ("items", items)])
            }
            Shape::Map(item) => {
                let values = self.element(item, owner);
                object([("type", "object".into()), ("additionalProperties", values)])
            }
            Shape::Scalar(scalar) => self.scalar(*scalar, owner),
            Shape::Object(_) | Shape::Any => Map::new(),
        }
    }

    /// List items and map values carry a default of their own in v3.
    fn element(&mut self, ty: &Type, owner: &Struct) -> Value {
        let mut out = self.schema(ty, owner);
        if self.dialect == Dialect::V3 {
            match &ty.shape {
                Shape::Message(_) => drop(out.insert("default".into(), json!({}))),
                Shape::Scalar(Scalar::String) => drop(out.insert("default".into(), "".into())),
                _ => {}
            }
        }
        Value::Object(out)
    }

    fn reference(&self, name: &str) -> Map {
        let target = Value::from(self.dialect.reference(name));
        match self.dialect {
            Dialect::V2 => object([("$ref", target)]),
            Dialect::V3 => object([("allOf", json!([{"$ref": target}]))]),
        }
    }

    fn scalar(&mut self, scalar: Scalar, owner: &Struct) -> Map {
        let plain = |kind: &str, format: &str| {
            let mut out = object([("type", kind.into())]);
            put_text(&mut out, "format", format);
            out
        };
        let json = owner.name.contains(".apiextensions.v1.");
        const EXTENSIONS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.";
        let (name, form) = match scalar {
            Scalar::String => return plain("string", ""),
            Scalar::Bool => return plain("boolean", ""),
            Scalar::Int32 => return plain("integer", "int32"),
            Scalar::Int64 => return plain("integer", "int64"),
            Scalar::Double => return plain("number", "double"),
            Scalar::Bytes => return plain("string", "byte"),
            Scalar::Time => (format!("{META}Time"), plain("string", "date-time")),
            Scalar::MicroTime => (format!("{META}MicroTime"), plain("string", "date-time")),
            Scalar::Duration => (format!("{META}Duration"), plain("string", "")),
            Scalar::FieldsV1 => (format!("{META}FieldsV1"), plain("object", "")),
            Scalar::Quantity => {
                ("io.k8s.apimachinery.pkg.api.resource.Quantity".into(), self.quantity())
            }
            Scalar::IntOrString => {
                ("io.k8s.apimachinery.pkg.util.intstr.IntOrString".into(), self.int_or_string())
            }
            Scalar::Raw if json => (format!("{EXTENSIONS}JSON"), Map::new()),
            Scalar::Raw => {
                ("io.k8s.apimachinery.pkg.runtime.RawExtension".into(), plain("object", ""))
            }
            Scalar::SchemaOrArray => (format!("{EXTENSIONS}JSONSchemaPropsOrArray"), Map::new()),
            Scalar::SchemaOrBool => (format!("{EXTENSIONS}JSONSchemaPropsOrBool"), Map::new()),
            Scalar::SchemaOrStrings => {
                (format!("{EXTENSIONS}JSONSchemaPropsOrStringArray"), Map::new())
            }
        };
        let mut form = form;
        put_text(&mut form, "description", self.texts.of(&name, ""));
        let out = self.reference(&name);
        self.done.entry(name).or_insert(Value::Object(form));
        out
    }

    fn quantity(&self) -> Map {
        match self.dialect {
            Dialect::V2 => object([("type", "string".into())]),
            Dialect::V3 => object([("oneOf", json!([{"type": "string"}, {"type": "number"}]))]),
        }
    }

    fn int_or_string(&self) -> Map {
        match self.dialect {
            Dialect::V2 => object([("type", "string".into()), ("format", "int-or-string".into())]),
            Dialect::V3 => object([
                ("oneOf", json!([{"type": "integer"}, {"type": "string"}])),
                ("format", "int-or-string".into()),
            ]),
        }
    }
}

/// `apiVersion`, `kind` and `metadata` of kinds that have no description of their own.
pub(crate) fn common_text(texts: &mut Descriptions, object: &Struct, field: &str) -> String {
    let secret = "io.k8s.api.core.v1.Secret";
    match field {
        "apiVersion" | "kind" if object.is_kind => texts.of(secret, field).to_string(),
        "metadata" if object.is_kind => match object.field("items") {
            Some(_) => texts.of(secret, "metadata").replace("object's", "list"),
            None => texts.of(secret, "metadata").to_string(),
        },
        _ => String::new(),
    }
}

fn default(field: &Field) -> Option<Value> {
    let value_struct = matches!(field.ty.shape, Shape::Message(_) | Shape::Scalar(Scalar::Time));
    match (&field.default, field.presence) {
        (Some(default), _) => Some(default.clone()),
        (None, Presence::Always | Presence::OmitZero) if value_struct => Some(json!({})),
        (None, Presence::Always) => Some(presence::zero(&field.ty)).filter(|zero| !zero.is_null()),
        _ => None,
    }
}

fn merging(out: &mut Map, field: &Field) {
    let mut put = |key: &str, value: Value| drop(out.insert(key.into(), value));
    match field.ty.list_kind() {
        Some(ListKind::Set) => put("x-kubernetes-list-type", "set".into()),
        Some(ListKind::Map(keys)) => {
            put("x-kubernetes-list-type", "map".into());
            let keys = keys.iter().map(|key| Value::from(&**key)).collect();
            put("x-kubernetes-list-map-keys", keys);
        }
        Some(ListKind::Atomic) => put("x-kubernetes-list-type", "atomic".into()),
        None => {}
    }
    if field.ty.atomic {
        put("x-kubernetes-map-type", "atomic".into());
    }
    match (field.patch_merge, field.retain_keys) {
        (true, true) => put("x-kubernetes-patch-strategy", "merge,retainKeys".into()),
        (true, false) => put("x-kubernetes-patch-strategy", "merge".into()),
        (false, true) => put("x-kubernetes-patch-strategy", "retainKeys".into()),
        (false, false) => {}
    }
    if !field.merge_key.is_empty() {
        put("x-kubernetes-patch-merge-key", (&*field.merge_key).into());
    }
}

pub(crate) fn object<const N: usize>(fields: [(&str, Value); N]) -> Map {
    fields.into_iter().map(|(key, value)| (key.to_string(), value)).collect()
}

fn put_text(out: &mut Map, key: &str, text: &str) {
    if !text.is_empty() {
        out.insert(key.into(), text.into());
    }
}
