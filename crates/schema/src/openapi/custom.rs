//! Schemas of custom resources (k8s.io/apiextensions-apiserver `pkg/controller/openapi/builder`).

use super::definitions::{Definitions, object};
use super::{CustomSchema, Dialect, ServedResource};
use meta::{Map, Value};
use serde_json::json;

/// `com.example.stable.v1.CronTab`
fn model_name(group: &str, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = group.split('.').collect();
    parts.reverse();
    format!("{}.{version}.{kind}", parts.join("."))
}

/// Defines the resource and its list; returns references to both.
pub(crate) fn define(
    definitions: &mut Definitions,
    resource: &ServedResource,
    custom: &CustomSchema,
) -> (String, String) {
    let gvk = &resource.gvk;
    let name = model_name(&gvk.group, &gvk.version, &gvk.kind);
    let list_name = model_name(&gvk.group, &gvk.version, &custom.list_kind);
    let item = definitions.dialect.reference(&name);
    let list = definitions.dialect.reference(&list_name);
    let mut schema = published(definitions, &custom.schema);
    put_gvk(&mut schema, resource, &gvk.kind);
    definitions.insert(name, Value::Object(schema));
    let listing = list_schema(definitions, resource, custom, &item);
    definitions.insert(list_name, Value::Object(listing));
    (item, list)
}

fn put_gvk(schema: &mut Map, resource: &ServedResource, kind: &str) {
    let gvk = &resource.gvk;
    let gvk = json!([{"group": &*gvk.group, "version": &*gvk.version, "kind": kind}]);
    schema.insert("x-kubernetes-group-version-kind".into(), gvk);
}

/// Without a schema, and in v2 when anything is allowed, nothing but `object` is said: clients would
/// refuse unknown fields otherwise.
fn published(definitions: &mut Definitions, schema: &Value) -> Map {
    let bare = object([("type", "object".into())]);
    let Value::Object(schema) = schema else { return bare };
    let mut out = schema.clone();
    if definitions.dialect == Dialect::V2 {
        if is(&out, PRESERVE) {
            return bare;
        }
        reduce(&mut out);
    }
    clean(&mut out);
    embed(definitions, &mut out);
    add_type_meta(definitions, &mut out, "Standard object's metadata.");
    out
}

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";

fn is(schema: &Map, key: &str) -> bool {
    schema.get(key) == Some(&Value::Bool(true))
}

/// Every schema directly below.
fn below(schema: &mut Map, mut visit: impl FnMut(&mut Map)) {
    for key in ["items", "additionalProperties", "not"] {
        if let Some(Value::Object(inner)) = schema.get_mut(key) {
            visit(inner);
        }
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().filter_map(Value::as_object_mut).for_each(&mut visit);
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        if let Some(Value::Array(items)) = schema.get_mut(key) {
            items.iter_mut().filter_map(Value::as_object_mut).for_each(&mut visit);
        }
    }
}

/// What v2 cannot say goes (`ToStructuralOpenAPIV2`).
fn reduce(schema: &mut Map) {
    for key in ["allOf", "oneOf", "anyOf", "not", "default", "x-kubernetes-validations"] {
        schema.remove(key);
    }
    let nullable: Vec<Value> =
        schema.get("properties").and_then(Value::as_object).map_or_else(Vec::new, |properties| {
            let nullable =
                properties.iter().filter(|(_, v)| v.get("nullable") == Some(&true.into()));
            nullable.map(|(name, _)| Value::from(name.as_str())).collect()
        });
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| !nullable.contains(name));
    }
    let untyped = schema.remove("nullable") == Some(Value::Bool(true));
    if untyped {
        schema.remove("type");
    }
    if untyped || is(schema, PRESERVE) {
        schema.remove("items");
        schema.remove("properties");
    }
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    let headless = kind == "array" && !schema.contains_key("items");
    if headless || kind == "object" && is(schema, PRESERVE) {
        schema.remove("type");
    }
    below(schema, reduce);
}

/// Go's zero values are never written.
fn clean(schema: &mut Map) {
    schema.retain(|key, value| match key.as_str() {
        "default" | "example" | "enum" => !value.is_null(),
        "additionalProperties" => !value.is_null(),
        _ => match value {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(map) => !map.is_empty() || key == "items" || key == "not",
            _ => true,
        },
    });
    below(schema, clean);
}

/// Embedded resources get the fields every resource has.
fn embed(definitions: &mut Definitions, schema: &mut Map) {
    below(schema, |inner| embed(definitions, inner));
    let hidden = definitions.dialect == Dialect::V2 && is(schema, PRESERVE);
    if !is(schema, EMBEDDED) || hidden {
        return;
    }
    add_type_meta(definitions, schema, "Standard object's metadata.");
    let required = schema.entry("required").or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(required) = required {
        for name in ["kind", "apiVersion"] {
            if !required.contains(&name.into()) {
                required.push(name.into());
            }
        }
    }
}

fn add_type_meta(definitions: &mut Definitions, schema: &mut Map, standard: &str) {
    let object_meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    let list_meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
    let target = if standard.contains("list") { list_meta } else { object_meta };
    let target = definitions.named(target);
    let secret = "io.k8s.api.core.v1.Secret";
    let more = definitions.texts.of(secret, "metadata").split_once(". ").map(|(_, more)| more);
    let mut text = standard.to_string();
    if let Some(more) = more {
        text.push(' ');
        text.push_str(more);
    }
    let metadata = match definitions.dialect {
        Dialect::V2 => json!({"$ref": target, "description": text}),
        Dialect::V3 => json!({"allOf": [{"$ref": target}], "description": text}),
    };
    let mut plain =
        |field: &str| json!({"type": "string", "description": definitions.texts.of(secret, field)});
    let (api_version, kind) = (plain("apiVersion"), plain("kind"));
    let properties = schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(properties) = properties {
        properties.insert("apiVersion".into(), api_version);
        properties.insert("kind".into(), kind);
        properties.insert("metadata".into(), metadata);
    }
}

fn list_schema(
    definitions: &mut Definitions,
    resource: &ServedResource,
    custom: &CustomSchema,
    item: &str,
) -> Map {
    let more = "More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";
    let items = json!({
        "description": format!("List of {}. {more}", resource.plural),
        "type": "array",
        "items": {"$ref": item},
    });
    let description = format!("{} is a list of {}", custom.list_kind, resource.gvk.kind);
    let mut out = object([
        ("description", description.into()),
        ("type", "object".into()),
        ("required", json!(["items"])),
        ("properties", json!({"items": items})),
    ]);
    add_type_meta(definitions, &mut out, "Standard list metadata.");
    put_gvk(&mut out, resource, &custom.list_kind);
    out
}
