//! `filters` as every list, prune and event request carries them.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{EngineError, Result};

/// Wanted values by key. A key that is absent matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, BTreeSet<String>>);

impl Filters {
    /// Either form: `{"k":{"v":true}}` (the CLI) or `{"k":["v"]}` (docker-py).
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let bad = || EngineError::invalid("invalid filter");
        let value: serde_json::Value = serde_json::from_str(text).map_err(|_| bad())?;
        let mut out = BTreeMap::new();
        for (key, values) in value.as_object().ok_or_else(bad)? {
            out.insert(key.clone(), wanted(values).ok_or_else(bad)?);
        }
        Ok(Self(out))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    pub fn get(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }

    /// Adds a wanted value.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.0.entry(key.to_owned()).or_default().insert(value.to_owned());
        self
    }

    /// Refuses keys that the operation does not know; `invalid filter 'x'`.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        match self.0.keys().find(|k| !known.contains(&k.as_str())) {
            Some(key) => Err(EngineError::invalid(format!("invalid filter '{key}'"))),
            None => Ok(()),
        }
    }

    /// No such key, or one of the values passes `test`.
    pub fn any(&self, key: &str, test: impl FnMut(&str) -> bool) -> bool {
        !self.has(key) || self.get(key).any(test)
    }

    /// Every wanted label is there: `key` or `key=value`.
    pub fn labels<'a>(&self, key: &str, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.get(key).all(|wanted| match wanted.split_once('=') {
            Some((k, v)) => label(k) == Some(v),
            None => label(wanted).is_some(),
        })
    }

    /// `label` all present and `label!` none present, as prune wants it.
    pub fn prune_labels<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let absent = self.get("label!").all(|wanted| match wanted.split_once('=') {
            Some((k, v)) => label(k) != Some(v),
            None => label(wanted).is_none(),
        });
        absent && self.labels("label", label)
    }

    /// A boolean filter; anything else than one of Docker's words is refused.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool> {
        let mut values = self.get(key);
        let Some(value) = values.next() else { return Ok(default) };
        match value {
            "1" | "true" | "True" => Ok(true),
            "0" | "false" | "False" => Ok(false),
            _ => Err(EngineError::invalid(format!("invalid filter '{key}=[{value}]'"))),
        }
    }
}

fn wanted(values: &serde_json::Value) -> Option<BTreeSet<String>> {
    match values {
        serde_json::Value::Object(map) => {
            Some(map.iter().filter(|(_, on)| on.as_bool() != Some(false)).map(key).collect())
        }
        serde_json::Value::Array(list) => {
            list.iter().map(|v| v.as_str().map(str::to_owned)).collect()
        }
        serde_json::Value::Null => Some(BTreeSet::new()),
        _ => None,
    }
}

fn key((key, _): (&String, &serde_json::Value)) -> String {
    key.clone()
}

#[cfg(test)]
mod tests {
    use super::Filters;

    #[test]
    fn both_forms() {
        let cli = Filters::parse(r#"{"label":{"a=b":true}}"#).unwrap();
        assert_eq!(cli, Filters::parse(r#"{"label":["a=b"]}"#).unwrap());
        assert!(cli.labels("label", |k| (k == "a").then_some("b")));
        assert!(!cli.labels("label", |_| None));
        assert!(Filters::parse("[").is_err() && Filters::parse(r#"{"a":1}"#).is_err());
        let refused = cli.only(&["name"]).unwrap_err();
        assert_eq!(refused.message, "invalid filter 'label'");
    }
}
