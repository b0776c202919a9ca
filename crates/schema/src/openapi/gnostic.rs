//! The OpenAPI v2 document as gnostic's protobuf (github.com/google/gnostic-models
//! `openapiv2/OpenAPIv2.proto`), which client-go asks for.

use crate::proto::wire::{FIXED64, put_bytes, put_int, put_nested, put_tag};
use meta::{Map, Value};
use std::convert::Infallible;

type Out = Vec<u8>;

/// Encodes a document [`super::openapi_v2`] made, for content type
/// `application/com.github.proto-openapi.spec.v2.v1.0+protobuf`.
pub fn encode_v2(document: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 << 16);
    text(&mut out, 1, &document["swagger"]);
    nested(&mut out, 2, |out| {
        text(out, 1, &document["info"]["title"]);
        text(out, 2, &document["info"]["version"]);
    });
    nested(&mut out, 8, |out| {
        named(out, 2, &document["paths"], path_item);
    });
    nested(&mut out, 9, |out| named(out, 1, &document["definitions"], schema));
    if let Value::Array(requirements) = &document["security"] {
        for requirement in requirements {
            nested(&mut out, 12, |out| named(out, 1, requirement, |_, _| {}));
        }
    }
    nested(&mut out, 13, |out| named(out, 1, &document["securityDefinitions"], api_key));
    out
}

fn nested(out: &mut Out, number: u32, write: impl FnOnce(&mut Out)) {
    let Ok(()) = put_nested(out, number, |out| {
        write(out);
        Ok::<(), Infallible>(())
    });
}

/// `NamedX{name = 1, value = 2}` for every entry of an object.
fn named(out: &mut Out, number: u32, map: &Value, write: impl Fn(&mut Out, &Value)) {
    for (name, value) in map.as_object().into_iter().flatten() {
        nested(out, number, |out| {
            put_bytes(out, 1, name.as_bytes());
            nested(out, 2, |out| write(out, value));
        });
    }
}

fn text(out: &mut Out, number: u32, value: &Value) {
    if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
        put_bytes(out, number, text.as_bytes());
    }
}

fn texts(out: &mut Out, number: u32, value: &Value) {
    for item in value.as_array().into_iter().flatten() {
        text(out, number, item);
    }
}

fn flag(out: &mut Out, number: u32, value: &Value) {
    if value == &Value::Bool(true) {
        put_int(out, number, 1);
    }
}

/// `x-` members as `NamedAny{name, Any{yaml = 2}}`; JSON is YAML.
fn extensions(out: &mut Out, number: u32, map: &Value) {
    for (name, value) in map.as_object().into_iter().flatten() {
        if name.starts_with("x-") {
            nested(out, number, |out| {
                put_bytes(out, 1, name.as_bytes());
                nested(out, 2, |out| any(out, value));
            });
        }
    }
}

fn any(out: &mut Out, value: &Value) {
    put_bytes(out, 2, format!("{value}\n").as_bytes());
}

/// `SecurityDefinitionsItem{api_key_security = 2}`
fn api_key(out: &mut Out, value: &Value) {
    nested(out, 2, |out| {
        text(out, 1, &value["type"]);
        text(out, 2, &value["name"]);
        text(out, 3, &value["in"]);
        text(out, 4, &value["description"]);
    });
}

fn path_item(out: &mut Out, item: &Value) {
    let methods = [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (8, "patch")];
    for (number, method) in methods {
        if let Some(value) = item.get(method) {
            nested(out, number, |out| operation(out, value));
        }
    }
    parameters(out, 9, &item["parameters"]);
}

fn operation(out: &mut Out, value: &Value) {
    texts(out, 1, &value["tags"]);
    text(out, 3, &value["description"]);
    text(out, 5, &value["operationId"]);
    texts(out, 6, &value["produces"]);
    texts(out, 7, &value["consumes"]);
    parameters(out, 8, &value["parameters"]);
    nested(out, 9, |out| {
        named(out, 1, &value["responses"], |out, response| {
            nested(out, 1, |out| body_of(out, response))
        });
    });
    texts(out, 10, &value["schemes"]);
    extensions(out, 13, value);
}

/// `Response{description = 1, schema = 2 SchemaItem{schema = 1}}`
fn body_of(out: &mut Out, response: &Value) {
    text(out, 1, &response["description"]);
    if let Some(value) = response.get("schema") {
        nested(out, 2, |out| nested(out, 1, |out| schema(out, value)));
    }
}

/// `ParametersItem{parameter = 1 Parameter{body_parameter = 1 | non_body_parameter = 2}}`
fn parameters(out: &mut Out, number: u32, list: &Value) {
    for parameter in list.as_array().into_iter().flatten() {
        nested(out, number, |out| {
            nested(out, 1, |out| match parameter["in"].as_str() {
                Some("body") => nested(out, 1, |out| body_parameter(out, parameter)),
                Some("path") => {
                    nested(out, 2, |out| nested(out, 4, |out| path_parameter(out, parameter)))
                }
                _ => nested(out, 2, |out| nested(out, 3, |out| query_parameter(out, parameter))),
            });
        });
    }
}

fn body_parameter(out: &mut Out, value: &Value) {
    text(out, 1, &value["description"]);
    text(out, 2, &value["name"]);
    text(out, 3, &value["in"]);
    flag(out, 4, &value["required"]);
    nested(out, 5, |out| schema(out, &value["schema"]));
}

fn query_parameter(out: &mut Out, value: &Value) {
    flag(out, 1, &value["required"]);
    text(out, 2, &value["in"]);
    text(out, 3, &value["description"]);
    text(out, 4, &value["name"]);
    text(out, 6, &value["type"]);
    flag(out, 20, &value["uniqueItems"]);
}

fn path_parameter(out: &mut Out, value: &Value) {
    flag(out, 1, &value["required"]);
    text(out, 2, &value["in"]);
    text(out, 3, &value["description"]);
    text(out, 4, &value["name"]);
    text(out, 5, &value["type"]);
    flag(out, 19, &value["uniqueItems"]);
}

fn number(out: &mut Out, field: u32, value: &Value) {
    if let Some(value) = value.as_f64() {
        put_tag(out, field, FIXED64);
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}

fn count(out: &mut Out, field: u32, value: &Value) {
    if let Some(value) = value.as_i64() {
        put_int(out, field, value);
    }
}

fn schema(out: &mut Out, value: &Value) {
    static EMPTY: Value = Value::Null;
    let fields = value.as_object();
    let get = |key: &str| fields.and_then(|map: &Map| map.get(key)).unwrap_or(&EMPTY);
    text(out, 1, get("$ref"));
    text(out, 2, get("format"));
    text(out, 3, get("title"));
    text(out, 4, get("description"));
    if !get("default").is_null() {
        nested(out, 5, |out| any(out, get("default")));
    }
    number(out, 6, get("multipleOf"));
    number(out, 7, get("maximum"));
    flag(out, 8, get("exclusiveMaximum"));
    number(out, 9, get("minimum"));
    flag(out, 10, get("exclusiveMinimum"));
    count(out, 11, get("maxLength"));
    count(out, 12, get("minLength"));
    text(out, 13, get("pattern"));
    count(out, 14, get("maxItems"));
    count(out, 15, get("minItems"));
    flag(out, 16, get("uniqueItems"));
    count(out, 17, get("maxProperties"));
    count(out, 18, get("minProperties"));
    texts(out, 19, get("required"));
    for option in get("enum").as_array().into_iter().flatten() {
        nested(out, 20, |out| any(out, option));
    }
    match get("additionalProperties") {
        Value::Bool(allowed) => nested(out, 21, |out| put_int(out, 2, (*allowed).into())),
        Value::Object(_) => {
            nested(out, 21, |out| nested(out, 1, |out| schema(out, get("additionalProperties"))));
        }
        _ => {}
    }
    if get("type").is_string() {
        nested(out, 22, |out| text(out, 1, get("type")));
    }
    if get("items").is_object() {
        nested(out, 23, |out| nested(out, 1, |out| schema(out, get("items"))));
    }
    if get("properties").is_object() {
        nested(out, 25, |out| named(out, 1, get("properties"), schema));
    }
    extensions(out, 31, value);
}
