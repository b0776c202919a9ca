//! Compiles a CRD's `openAPIV3Schema` into the graph, with the checks of a structural schema
//! (k8s.io/apiextensions-apiserver `pkg/apiserver/schema/validation.go`).

use crate::facts;
use crate::graph::{Field, List, ListKind, Presence, Scalar, Shape, Struct, Type};
use crate::rules::{Pattern, Rules};
use meta::{Fault, Map, Value};
use regex::Regex;
use std::borrow::Cow;

#[cfg(test)]
mod tests;

/// Where a node stands, which decides what it must say about its type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
    /// Below `allOf`, `anyOf`, `oneOf` or `not`: value checks only.
    Nested,
}

/// Compiles a structural schema. `path` prefixes the faults
/// (`spec.versions[0].schema.openAPIV3Schema`). The root gets `apiVersion`, `kind` and `metadata`, and
/// [`crate::decode_json`] checks `metadata` as upstream does.
pub fn compile(schema: &Value, path: &str) -> Result<Type, Vec<Fault>> {
    let mut compiler = Compiler { faults: Vec::new(), depth: 0 };
    let mut root = compiler.node(schema, Level::Root, path);
    add_type_meta(&mut root);
    if compiler.faults.is_empty() {
        return Ok(root);
    }
    compiler.faults.sort_by_key(Fault::to_string);
    Err(compiler.faults)
}

/// The type of a custom resource without a schema: everything is kept.
pub fn schemaless() -> Type {
    let mut root = Type::new(Shape::Object(Box::new(object(true))));
    add_type_meta(&mut root);
    root
}

struct Compiler {
    faults: Vec<Fault>,
    depth: u32,
}

impl Compiler {
    fn node(&mut self, schema: &Value, level: Level, path: &str) -> Type {
        static EMPTY: Value = Value::Null;
        if self.depth > 200 {
            self.faults
                .push(Fault::forbidden(path, "schemas must not nest deeper than 200 levels"));
            return Type::new(Shape::Any);
        }
        self.depth += 1;
        let get = |key: &str| schema.get(key).unwrap_or(&EMPTY);
        let is = |key: &str| get(key) == &Value::Bool(true);
        if level == Level::Nested {
            self.forbid_structure(schema, path);
        } else {
            self.check_type(schema, level, path);
        }
        let rules = self.rules(schema, path);
        let shape = self.shape(schema, level, path, &rules);
        self.depth -= 1;
        Type {
            shape,
            atomic: get("x-kubernetes-map-type") == "atomic",
            nullable: is("nullable"),
            rules: (!rules.is_empty()).then(|| Box::new(rules)),
        }
    }

    fn shape(&mut self, schema: &Value, level: Level, path: &str, rules: &Rules) -> Shape {
        let below = if level == Level::Nested { Level::Nested } else { Level::Field };
        let properties = schema.get("properties").and_then(Value::as_object);
        let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
        if rules.int_or_string {
            return Shape::Scalar(Scalar::IntOrString);
        }
        if let Some(properties) = properties.filter(|p| !p.is_empty()) {
            return self.object(properties, below, path, rules);
        }
        if let Some(items) = schema.get("items") {
            let level = if level == Level::Nested { Level::Nested } else { Level::Item };
            let item = self.node(items, level, &format!("{path}.items"));
            return Shape::List(Box::new(List { item, kind: list_kind(schema), boxed: false }));
        }
        match (schema.get("additionalProperties"), kind) {
            (Some(values @ Value::Object(_)), _) => {
                let path = format!("{path}.additionalProperties");
                Shape::Map(Box::new(self.node(values, below, &path)))
            }
            (Some(Value::Bool(true)), _) => Shape::Map(Box::new(Type::new(Shape::Any))),
            (_, "object") => {
                let mut object = object(rules.preserve_unknown);
                object.embedded = rules.embedded;
                Shape::Object(Box::new(object))
            }
            _ => scalar(kind, &rules.format),
        }
    }

    fn object(&mut self, properties: &Map, below: Level, path: &str, rules: &Rules) -> Shape {
        let mut out = object(rules.preserve_unknown);
        out.embedded = rules.embedded;
        for (name, schema) in properties {
            let ty = self.node(schema, below, &format!("{path}.properties[{name}]"));
            let mut field = field(name, ty);
            field.required = rules.required.iter().any(|required| required == name);
            field.default = schema.get("default").cloned();
            self.check_default(&field, &format!("{path}.properties[{name}].default"));
            out.fields.push(field);
        }
        out.index();
        Shape::Object(Box::new(out))
    }

    /// A default must itself be what the schema asks for, and hold nothing pruning would remove.
    fn check_default(&mut self, field: &Field, path: &str) {
        let Some(default) = &field.default else { return };
        let mut pruned = default.clone();
        if !crate::prune(&mut pruned, &field.ty).is_empty() {
            self.faults.push(Fault::invalid(path, default.clone(), "must not have unknown fields"));
        }
        for mut fault in crate::validate(default, &field.ty, "") {
            let dot = if fault.path.is_empty() || fault.path.starts_with('[') { "" } else { "." };
            fault.path = format!("{path}{dot}{}", fault.path);
            self.faults.push(fault);
        }
    }

    fn rules(&mut self, schema: &Value, path: &str) -> Rules {
        let text = |key: &str| {
            let text = schema.get(key).and_then(Value::as_str).unwrap_or_default();
            Cow::Owned(text.to_string())
        };
        let count = |key: &str| schema.get(key).and_then(Value::as_u64);
        let number = |key: &str| schema.get(key).and_then(Value::as_f64);
        let is = |key: &str| schema.get(key) == Some(&Value::Bool(true));
        let list =
            |key: &str| schema.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let strings = list("required");
        let strings = strings.iter().filter_map(Value::as_str);
        Rules {
            title: text("title"),
            description: text("description"),
            format: text("format"),
            pattern: self.pattern(schema, path),
            default: schema.get("default").cloned(),
            options: list("enum"),
            minimum: number("minimum"),
            maximum: number("maximum"),
            exclusive_minimum: is("exclusiveMinimum"),
            exclusive_maximum: is("exclusiveMaximum"),
            multiple_of: number("multipleOf"),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            unique_items: is("uniqueItems"),
            required: strings.map(|s| Cow::Owned(s.to_string())).collect(),
            all_of: self.junctor(schema, "allOf", path),
            any_of: self.junctor(schema, "anyOf", path),
            one_of: self.junctor(schema, "oneOf", path),
            not: schema
                .get("not")
                .map(|not| Box::new(self.node(not, Level::Nested, &format!("{path}.not")))),
            preserve_unknown: is("x-kubernetes-preserve-unknown-fields"),
            embedded: is("x-kubernetes-embedded-resource"),
            int_or_string: is("x-kubernetes-int-or-string"),
            validations: list("x-kubernetes-validations"),
        }
    }

    /// `anyOf: [{type: integer}, {type: string}]` beside int-or-string is its spelling, no check.
    fn junctor(&mut self, schema: &Value, key: &str, path: &str) -> Vec<Type> {
        let items = schema.get(key).and_then(Value::as_array);
        let items = items.into_iter().flatten().enumerate();
        let any_int =
            |v: &Value| v == &serde_json::json!([{"type": "integer"}, {"type": "string"}]);
        let spelled = schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true));
        let mut out = Vec::new();
        for (at, item) in items {
            let whole = key == "anyOf" && schema.get(key).is_some_and(any_int);
            let first = key == "allOf" && at == 0 && item.get("anyOf").is_some_and(any_int);
            if !(spelled && (whole || first)) {
                out.push(self.node(item, Level::Nested, &format!("{path}.{key}[{at}]")));
            }
        }
        out
    }

    fn pattern(&mut self, schema: &Value, path: &str) -> Option<Pattern> {
        let text = schema.get("pattern").and_then(Value::as_str).filter(|p| !p.is_empty())?;
        match Regex::new(text) {
            Ok(regex) => Some(Pattern(regex)),
            Err(why) => {
                let why = format!("must be a valid regular expression, but isn't: {why}");
                self.faults.push(Fault::invalid(format!("{path}.pattern"), text, why));
                None
            }
        }
    }

    fn check_type(&mut self, schema: &Value, level: Level, path: &str) {
        let is = |key: &str| schema.get(key) == Some(&Value::Bool(true));
        let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
        let type_path = format!("{path}.type");
        let free = is("x-kubernetes-int-or-string") || is("x-kubernetes-preserve-unknown-fields");
        if is("x-kubernetes-embedded-resource") && kind != "object" {
            let why = "must be object if x-kubernetes-embedded-resource is true";
            self.faults.push(match kind {
                "" => Fault::required(&type_path, why),
                kind => Fault::invalid(&type_path, kind, why),
            });
        } else if kind.is_empty() && !free {
            self.faults.push(Fault::required(
                &type_path,
                match level {
                    Level::Root => "must not be empty at the root",
                    Level::Item => "must not be empty for specified array items",
                    _ => "must not be empty for specified object fields",
                },
            ));
        }
        if level == Level::Root {
            self.check_root(schema, kind, path);
        }
        if kind == "array" && schema.get("items").is_none() {
            self.faults.push(Fault::required(format!("{path}.items"), "must be specified"));
        }
        self.check_extensions(schema, kind, path);
    }

    fn check_root(&mut self, schema: &Value, kind: &str, path: &str) {
        if !kind.is_empty() && kind != "object" {
            let path = format!("{path}.type");
            self.faults.push(Fault::invalid(path, kind, "must be object at the root"));
        }
        if schema.get("additionalProperties").is_some() {
            let path = format!("{path}.additionalProperties");
            self.faults.push(Fault::forbidden(path, "must not be used at the root"));
        }
        for name in ["apiVersion", "kind"] {
            let kind = schema.pointer(&format!("/properties/{name}/type")).and_then(Value::as_str);
            if schema.pointer(&format!("/properties/{name}")).is_some() && kind != Some("string") {
                let path = format!("{path}.properties[{name}].type");
                self.faults.push(Fault::invalid(path, kind.unwrap_or_default(), "must be string"));
            }
        }
        let metadata = schema.pointer("/properties/metadata");
        if metadata.is_some_and(|m| m.get("type").is_none_or(|t| t != "object")) {
            let path = format!("{path}.properties[metadata].type");
            self.faults.push(Fault::invalid(path, "", "must be object"));
        }
        let allowed = ["name", "generateName"];
        let limited = metadata.and_then(Value::as_object).is_none_or(|m| {
            let names = m.get("properties").and_then(Value::as_object);
            m.keys().all(|k| ["type", "properties", "default", "description"].contains(&k.as_str()))
                && names.is_none_or(|p| p.keys().all(|k| allowed.contains(&k.as_str())))
        });
        if !limited {
            let why = "must not specify anything other than name and generateName, \
                       but metadata is implicitly specified";
            self.faults.push(Fault::forbidden(format!("{path}.properties[metadata]"), why));
        }
    }

    fn check_extensions(&mut self, schema: &Value, kind: &str, path: &str) {
        let is = |key: &str| schema.get(key) == Some(&Value::Bool(true));
        let both = [
            ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"),
            ("x-kubernetes-embedded-resource", "x-kubernetes-int-or-string"),
        ];
        for (one, other) in both {
            if is(one) && is(other) {
                let why = format!("must be false if {other} is true");
                self.faults.push(Fault::invalid(format!("{path}.{one}"), true, why));
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        let bare = properties.is_none_or(Map::is_empty);
        if is("x-kubernetes-embedded-resource")
            && !is("x-kubernetes-preserve-unknown-fields")
            && bare
        {
            let why = "must not be empty if x-kubernetes-embedded-resource is true \
                       without x-kubernetes-preserve-unknown-fields";
            self.faults.push(Fault::required(format!("{path}.properties"), why));
        }
        if !bare && schema.get("additionalProperties").is_some_and(|v| v != &Value::Bool(false)) {
            let why = "additionalProperties and properties are mutual exclusive";
            self.faults.push(Fault::forbidden(format!("{path}.additionalProperties"), why));
        }
        if schema.get("uniqueItems") == Some(&Value::Bool(true)) {
            let why =
                "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            self.faults.push(Fault::forbidden(format!("{path}.uniqueItems"), why));
        }
        self.check_list(schema, kind, path);
    }

    fn check_list(&mut self, schema: &Value, kind: &str, path: &str) {
        let Some(list_type) = schema.get("x-kubernetes-list-type").and_then(Value::as_str) else {
            return;
        };
        let at = format!("{path}.x-kubernetes-list-type");
        if !["atomic", "set", "map"].contains(&list_type) {
            self.faults.push(Fault::not_supported(&at, list_type, &["atomic", "map", "set"]));
        }
        if kind != "array" {
            let why = "must be array if x-kubernetes-list-type is specified";
            let path = format!("{path}.type");
            self.faults.push(match kind {
                "" => Fault::required(path, why),
                kind => Fault::invalid(path, kind, why),
            });
        }
        let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
        let keyed = keys.is_some_and(|keys| !keys.is_empty());
        let keys_path = format!("{path}.x-kubernetes-list-map-keys");
        if list_type == "map" && !keyed {
            let why = "must not be empty if x-kubernetes-list-type is map";
            self.faults.push(Fault::required(keys_path, why));
        } else if list_type != "map" && keyed {
            let why = "must be map if x-kubernetes-list-map-keys is non-empty";
            self.faults.push(Fault::invalid(at, list_type, why));
        }
    }

    fn forbid_structure(&mut self, schema: &Value, path: &str) {
        const FORBIDDEN: &[(&str, &str)] = &[
            ("type", "must be empty to be structural"),
            ("additionalProperties", "must be undefined to be structural"),
            ("default", "must be undefined to be structural"),
            ("title", "must be empty to be structural"),
            ("description", "must be empty to be structural"),
            ("nullable", "must be false to be structural"),
            ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
            ("x-kubernetes-embedded-resource", "must be false to be structural"),
            ("x-kubernetes-int-or-string", "must be false to be structural"),
            ("x-kubernetes-list-map-keys", "must be empty to be structural"),
            ("x-kubernetes-list-type", "must be undefined to be structural"),
            ("x-kubernetes-map-type", "must be undefined to be structural"),
            ("x-kubernetes-validations", "must be empty to be structural"),
        ];
        for (key, why) in FORBIDDEN {
            let set = schema.get(key).is_some_and(|v| v != &Value::Bool(false) && *v != "");
            if set {
                self.faults.push(Fault::forbidden(format!("{path}.{key}"), *why));
            }
        }
        if schema.pointer("/properties/metadata").is_some() {
            let why = "must not be specified in a nested context";
            self.faults.push(Fault::forbidden(format!("{path}.properties[metadata]"), why));
        }
    }
}

/// Every custom resource has these, whatever its schema says of them.
fn add_type_meta(root: &mut Type) {
    if let Shape::Any | Shape::Map(_) | Shape::List(_) | Shape::Scalar(_) = root.shape {
        root.shape = Shape::Object(Box::new(object(root.preserves_unknown())));
    }
    let Shape::Object(object) = &mut root.shape else { return };
    object.is_kind = true;
    object.embedded = true;
    let meta = facts::named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    let types = [
        ("apiVersion", Some(Type::new(Shape::Scalar(Scalar::String)))),
        ("kind", Some(Type::new(Shape::Scalar(Scalar::String)))),
        ("metadata", meta),
    ];
    for (name, ty) in types {
        object.fields.retain(|field| field.name != name);
        object.fields.extend(ty.map(|ty| field(name, ty)));
    }
    object.index();
}

fn list_kind(schema: &Value) -> ListKind {
    let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
    let keys = keys.into_iter().flatten().filter_map(Value::as_str);
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListKind::Set,
        Some("map") => ListKind::Map(keys.map(|k| Cow::Owned(k.to_string())).collect()),
        _ => ListKind::Atomic,
    }
}

fn scalar(kind: &str, format: &str) -> Shape {
    match (kind, format) {
        ("string", _) => Shape::Scalar(Scalar::String),
        ("boolean", _) => Shape::Scalar(Scalar::Bool),
        ("integer", "int32") => Shape::Scalar(Scalar::Int32),
        ("integer", _) => Shape::Scalar(Scalar::Int64),
        ("number", _) => Shape::Scalar(Scalar::Double),
        _ => Shape::Any,
    }
}

fn object(preserve_unknown: bool) -> Struct {
    Struct {
        name: "".into(),
        go_name: "".into(),
        fields: Vec::new(),
        by_name: Vec::new(),
        always: Vec::new(),
        wire_order: Vec::new(),
        inlines: Vec::new(),
        is_kind: false,
        preserve_unknown,
        embedded: false,
    }
}

fn field(name: &str, ty: Type) -> Field {
    Field {
        name: Cow::Owned(name.to_string()),
        number: 0,
        via: 0,
        ty,
        required: false,
        presence: Presence::Pointer,
        patch_merge: false,
        retain_keys: false,
        merge_key: "".into(),
        default: None,
        options: Box::default(),
        go_type: "".into(),
    }
}
