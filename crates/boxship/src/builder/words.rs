//! The JSON values among the words of a build request.

use std::collections::BTreeMap;

use docker_http::{Query, Refusal};
use serde_json::Value;

/// `{"Type": "...", "Attrs": {...}}`, as BuildKit's clients write outputs and caches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Typed {
    pub kind: String,
    pub attrs: BTreeMap<String, String>,
}

impl Typed {
    pub fn attr(&self, name: &str) -> &str {
        self.attrs.get(name).map_or("", String::as_str)
    }

    /// Refuses what would have no effect.
    pub fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        match self.attrs.keys().find(|k| !known.contains(&k.as_str())) {
            Some(key) => Err(Refusal::bad_request(format!(
                "the attribute {key:?} of type={} is not supported yet",
                self.kind
            ))),
            None => Ok(()),
        }
    }
}

/// A list of [`Typed`]; a plain text is `registry` with that reference.
pub fn typed(query: &Query, key: &str) -> Result<Vec<Typed>, Refusal> {
    let bad = |e: &dyn std::fmt::Display| Refusal::bad_request(format!("error reading {key}: {e}"));
    let text = match query.get(key) {
        "" | "null" => "[]",
        text => text,
    };
    let values: Vec<Value> = serde_json::from_str(text).map_err(|e| bad(&e))?;
    values.iter().map(|v| one(v).ok_or_else(|| bad(&v))).collect()
}

fn one(value: &Value) -> Option<Typed> {
    if let Some(name) = value.as_str() {
        let attrs = [("ref".to_owned(), name.to_owned())].into();
        return Some(Typed { kind: "registry".to_owned(), attrs });
    }
    let kind = value.get("Type")?.as_str()?.to_owned();
    let attrs = match value.get("Attrs") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(attrs) => serde_json::from_value(attrs.clone()).ok()?,
    };
    Some(Typed { kind, attrs })
}

/// A JSON object of texts; nulls (`--build-arg X` without a value and none set) are left out.
pub fn map(query: &Query, key: &str) -> Result<BTreeMap<String, String>, Refusal> {
    let text = match query.get(key) {
        "" => "{}",
        text => text,
    };
    let parsed: BTreeMap<String, Option<String>> = serde_json::from_str(text)
        .map_err(|e| Refusal::bad_request(format!("error reading {key}: {e}")))?;
    Ok(parsed.into_iter().filter_map(|(k, v)| Some((k, v?))).collect())
}
