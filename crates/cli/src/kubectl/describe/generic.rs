//! Kinds without a page of their own: every field, keys as words.

use super::sheet::Sheet;
use crate::kubectl::select::Found;
use crate::kubectl::text;
use base64::Engine as _;
use meta::Value;

pub fn describe(one: &Found, sheet: &mut Sheet) {
    let object = &one.object;
    sheet.row("Name", one.name());
    sheet.row("Namespace", text(object, "/metadata/namespace"));
    sheet.map("Labels", &object["metadata"]["labels"], "=");
    sheet.map("Annotations", &object["metadata"]["annotations"], ": ");
    sheet.row("API Version", one.kind.api_version());
    sheet.row("Kind", &one.kind.kind);
    const SHOWN: &[&str] = &["apiVersion", "kind", "metadata"];
    sheet.line("Metadata:");
    const HIDDEN: &[&str] = &["name", "namespace", "labels", "annotations", "managedFields"];
    fields(&object["metadata"], 1, HIDDEN, sheet);
    fields(object, 0, SHOWN, sheet);
}

fn fields(value: &Value, level: usize, hidden: &[&str], sheet: &mut Sheet) {
    let indent = "  ".repeat(level);
    for (key, value) in value.as_object().into_iter().flatten() {
        if hidden.contains(&key.as_str()) {
            continue;
        }
        let key = words(key);
        match value {
            Value::Object(_) => {
                sheet.line(format!("{indent}{key}:"));
                fields(value, level + 1, &[], sheet);
            }
            Value::Array(list) => {
                sheet.line(format!("{indent}{key}:"));
                items(list, level + 1, sheet);
            }
            other => sheet.row(&format!("{indent}{key}"), shown(other)),
        }
    }
}

fn items(list: &[Value], level: usize, sheet: &mut Sheet) {
    let indent = "  ".repeat(level);
    for item in list {
        match item {
            Value::Object(_) => fields(item, level, &[], sheet),
            Value::Array(list) => items(list, level + 1, sheet),
            other => sheet.line(format!("{indent}{}", shown(other))),
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `resourceVersion` as `Resource Version`.
fn words(key: &str) -> String {
    let mut out = String::new();
    let mut before = ' ';
    for c in key.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            out.push(' ');
        }
        if out.is_empty() {
            out.extend(c.to_uppercase())
        } else {
            out.push(c)
        }
        before = c;
    }
    out
}

pub fn secret(object: &Value, sheet: &mut Sheet) {
    sheet.head(object);
    sheet.map("Labels", &object["metadata"]["labels"], "=");
    sheet.map("Annotations", &object["metadata"]["annotations"], ": ");
    sheet.line("");
    sheet.row("Type", format!(" {}", text(object, "/type")).trim());
    sheet.line("\nData\n====");
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap_or_default());
        sheet.row(key, format!("{} bytes", bytes.map_or(0, |b| b.len())));
    }
    sheet.line("");
}

pub fn config_map(object: &Value, sheet: &mut Sheet) {
    sheet.head(object);
    sheet.map("Labels", &object["metadata"]["labels"], "=");
    sheet.map("Annotations", &object["metadata"]["annotations"], ": ");
    sheet.line("\nData\n====");
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        sheet.line(format!("{key}:\n----\n{}\n", value.as_str().unwrap_or_default()));
    }
    sheet.line("\nBinaryData\n====");
    for (key, value) in object["binaryData"].as_object().into_iter().flatten() {
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap_or_default());
        sheet.row(key, format!("{} bytes", bytes.map_or(0, |b| b.len())));
    }
    sheet.line("");
}
