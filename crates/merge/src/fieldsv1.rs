//! `FieldsV1`: a field set as JSON, as in `metadata.managedFields[].fieldsV1`.
//!
//! Format of structured-merge-diff `fieldpath/serialize.go` and `serialize-pe.go`.

use crate::fieldset::{FieldSet, Step};
use meta::{Map, Value};

/// `{"f:metadata":{"f:labels":{".":{},"f:app":{}}}}`
pub fn encode(set: &FieldSet) -> Value {
    Value::Object(encode_level(set))
}

fn encode_level(set: &FieldSet) -> Map {
    let mut out = Map::new();
    for (step, member, below) in set.steps() {
        if !member && below.is_empty() {
            continue;
        }
        let mut inner = encode_level(below);
        if member && !inner.is_empty() {
            inner.insert(".".into(), Value::Object(Map::new()));
        }
        out.insert(encode_step(step), Value::Object(inner));
    }
    out
}

fn encode_step(step: &Step) -> String {
    match step {
        Step::Field(name) => format!("f:{name}"),
        Step::Key(keys) => {
            let keys: Map = keys.iter().cloned().collect();
            format!("k:{}", Value::Object(keys))
        }
        Step::Item(value) => format!("v:{value}"),
        Step::Index(at) => format!("i:{at}"),
    }
}

/// The set that `fields` describes.
///
/// # Errors
/// Names the first key that is no path element.
pub fn decode(fields: &Value) -> Result<FieldSet, String> {
    let mut out = FieldSet::default();
    let Some(fields) = fields.as_object() else {
        return if fields.is_null() { Ok(out) } else { Err("fieldsV1 is not an object".into()) };
    };
    for (key, inner) in fields {
        if key == "." {
            continue;
        }
        let step = decode_step(key)?;
        let below = decode(inner)?;
        let leaf = inner.as_object().is_none_or(|m| m.is_empty() || m.contains_key("."));
        if leaf {
            out.insert_here(step.clone());
        }
        *out.below_mut(step) = below;
    }
    Ok(out)
}

fn decode_step(key: &str) -> Result<Step, String> {
    let bad = || format!("{key:?} is not a path element");
    let (kind, rest) = key.split_once(':').ok_or_else(bad)?;
    match kind {
        "f" => Ok(Step::Field(rest.into())),
        "v" => serde_json::from_str(rest).map(Step::Item).map_err(|_| bad()),
        "i" => rest.parse().map(Step::Index).map_err(|_| bad()),
        "k" => {
            let keys: Map = serde_json::from_str(rest).map_err(|_| bad())?;
            Ok(Step::Key(keys.into_iter().collect()))
        }
        _ => Err(bad()),
    }
}
