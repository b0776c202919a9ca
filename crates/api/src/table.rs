//! `as=Table`.

use crate::catalog::{CustomColumn, Printer, Served};
use crate::encode::partial;
use crate::negotiate::Include;
use crate::object::present;
use meta::{Time, Value};
use serde_json::json;

/// A table of rows; `list` is its `metadata`.
pub fn whole(served: &Served, version: &str, list: Value, rows: Vec<Value>) -> Value {
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": list,
        "columnDefinitions": columns(served),
        "rows": rows,
    })
}

/// Whether the kind can be shown as a table at all.
pub fn has_table(served: &Served) -> bool {
    match &served.printer {
        Printer::Row(table) => !table.columns.is_empty(),
        Printer::Columns(_) => true,
    }
}

pub fn columns(served: &Served) -> Value {
    match &served.printer {
        Printer::Row(table) => table
            .columns
            .iter()
            .map(|c| column(c.name, c.kind, c.format, c.description, i64::from(c.priority)))
            .collect(),
        Printer::Columns(own) => std::iter::once(column(
            "Name",
            "string",
            "name",
            "Name must be unique within a namespace.",
            0,
        ))
        .chain(own.iter().map(|c| column(&c.name, &c.kind, &c.format, &c.description, c.priority)))
        .collect(),
    }
}

fn column(name: &str, kind: &str, format: &str, description: &str, priority: i64) -> Value {
    json!({
        "name": name, "type": kind, "format": format, "description": description, "priority": priority,
    })
}

/// One row; `stored` is the object as stored.
pub fn row(served: &Served, stored: &Value, now: Time, include: Include) -> Value {
    let cells = match &served.printer {
        Printer::Row(table) => (table.cells)(stored, now),
        Printer::Columns(own) => std::iter::once(kinds::text(stored, "metadata.name").into())
            .chain(own.iter().map(|c| cell(c, stored, now)))
            .collect(),
    };
    let mut row = json!({ "cells": cells });
    match include {
        Include::None => {}
        Include::Metadata => row["object"] = partial(&present(served, stored.clone()), "v1"),
        Include::Object => row["object"] = present(served, stored.clone()),
    }
    row
}

/// A cell of a CRD column (apiextensions-apiserver `tableconvertor.go`): dates become ages.
fn cell(column: &CustomColumn, object: &Value, now: Time) -> Value {
    let Some(found) = crate::jsonpath::find(object, &column.path) else {
        return match column.kind.as_str() {
            "date" => "<unknown>".into(),
            _ => Value::Null,
        };
    };
    match column.kind.as_str() {
        "integer" => found.as_i64().map_or(Value::Null, Value::from),
        "number" => found.as_f64().map_or(Value::Null, Value::from),
        "boolean" => found.as_bool().map_or(Value::Null, Value::from),
        "date" => kinds::elapsed(&kinds::plain(&found), now).into(),
        _ => kinds::plain(&found).into(),
    }
}
