//! Validation: pure functions over values that push every fault they find.
//!
//! [`Node`] is a value with its field path, so that a rule reads as upstream's and names the same fields.
//! Messages follow k8s.io/apimachinery `pkg/util/validation/validation.go` and the kinds' own
//! `pkg/apis/*/validation/validation.go`. Nothing here changes a value or looks at another object.

pub(crate) mod autoscaling;
pub(crate) mod cluster;
pub(crate) mod container;
pub(crate) mod cron;
pub(crate) mod data;
pub(crate) mod ingress;
pub(crate) mod job;
pub(crate) mod names;
pub(crate) mod network;
pub(crate) mod pod;
pub(crate) mod pod_update;
pub(crate) mod policy;
pub(crate) mod probe;
pub(crate) mod rbac;
pub(crate) mod registration;
pub(crate) mod resources;
pub(crate) mod schedule;
pub(crate) mod selector;
pub(crate) mod service;
pub(crate) mod storage;
#[cfg(test)]
mod tests;
pub(crate) mod volume;
pub(crate) mod workload;

use meta::{Fault, FaultRule, Value};
use std::collections::BTreeSet;

pub(crate) type Faults = Vec<Fault>;

pub(crate) const NEGATIVE: &str = "must be greater than or equal to 0";
pub(crate) const IMMUTABLE: &str = "field is immutable";

static NOTHING: Value = Value::Null;

/// A value and where it is. An absent member is a null with the path it would have.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    pub value: &'a Value,
    pub path: String,
}

impl<'a> Node<'a> {
    pub fn new(value: &'a Value, path: impl Into<String>) -> Self {
        Self { value, path: path.into() }
    }

    /// The object itself: members have their own names as paths.
    pub fn root(value: &'a Value) -> Self {
        Self::new(value, "")
    }

    /// A member, or a member of a member (`"strategy.type"`).
    pub fn at(&self, keys: &str) -> Node<'a> {
        let value = keys.split('.').try_fold(self.value, |v, key| v.get(key));
        let path =
            if self.path.is_empty() { keys.to_string() } else { format!("{}.{keys}", self.path) };
        Node { value: value.unwrap_or(&NOTHING), path }
    }

    /// The value under a key of a map.
    pub fn key(&self, key: &str) -> Node<'a> {
        let value = self.value.get(key).unwrap_or(&NOTHING);
        Node { value, path: format!("{}[{key}]", self.path) }
    }

    pub fn items(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let path = self.path.clone();
        let items = self.value.as_array().map_or(&[][..], Vec::as_slice);
        items.iter().enumerate().map(move |(i, v)| Node::new(v, format!("{path}[{i}]")))
    }

    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> + use<'a> {
        let path = self.path.clone();
        let map = self.value.as_object();
        map.into_iter()
            .flatten()
            .map(move |(k, v)| (k.as_str(), Node::new(v, format!("{path}[{k}]"))))
    }

    pub fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    /// Go's zero value of strings, lists and maps, or absent.
    pub fn is_empty(&self) -> bool {
        is_empty(self.value)
    }

    pub fn str(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    /// `0` when absent.
    pub fn int(&self) -> i64 {
        self.value.as_i64().unwrap_or_default()
    }

    pub fn flag(&self) -> bool {
        self.value == &Value::Bool(true)
    }

    pub fn len(&self) -> usize {
        match self.value {
            Value::Array(items) => items.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        }
    }

    /// Whether it is there; refused when not.
    pub fn require(&self, faults: &mut Faults) -> bool {
        self.require_why("", faults)
    }

    pub fn require_why(&self, why: &str, faults: &mut Faults) -> bool {
        self.need_why(why, faults);
        !self.is_empty()
    }

    pub fn need(&self, faults: &mut Faults) {
        self.need_why("", faults);
    }

    pub fn need_why(&self, why: &str, faults: &mut Faults) {
        if self.is_empty() {
            faults.push(Fault::required(&self.path, why));
        }
    }

    pub fn invalid(&self, why: impl Into<String>, faults: &mut Faults) {
        faults.push(Fault::invalid(&self.path, self.value.clone(), why));
    }

    pub fn forbid(&self, why: impl Into<String>, faults: &mut Faults) {
        faults.push(Fault::forbidden(&self.path, why));
    }

    pub fn duplicate(&self, faults: &mut Faults) {
        faults.push(Fault::duplicate(&self.path, self.value.clone()));
    }

    pub fn not_found(&self, faults: &mut Faults) {
        let value = Some(self.value.clone());
        faults.push(Fault::new(FaultRule::NotFound, &self.path, value, ""));
    }

    /// Every objection a rule for strings has; nothing when absent.
    pub fn obey(&self, rule: fn(&str) -> Vec<String>, faults: &mut Faults) {
        if !self.is_empty() {
            for why in rule(self.str()) {
                self.invalid(why, faults);
            }
        }
    }

    /// Refused unless absent or one of `options`.
    pub fn one_of(&self, options: &[&str], faults: &mut Faults) {
        if !self.is_empty() && !options.contains(&self.str()) {
            faults.push(Fault::not_supported(&self.path, self.value.clone(), options));
        }
    }

    /// As [`Node::one_of`], and required.
    pub fn must_be(&self, options: &[&str], faults: &mut Faults) {
        if self.require(faults) {
            self.one_of(options, faults);
        }
    }

    pub fn not_negative(&self, faults: &mut Faults) {
        if self.int() < 0 {
            self.invalid(NEGATIVE, faults);
        }
    }

    pub fn positive(&self, faults: &mut Faults) {
        if self.is_set() && self.int() <= 0 {
            self.invalid("must be greater than 0", faults);
        }
    }

    pub fn within(&self, from: i64, to: i64, faults: &mut Faults) {
        if self.is_set() && !(from..=to).contains(&self.int()) {
            self.invalid(format!("must be between {from} and {to}, inclusive"), faults);
        }
    }

    /// Refused when it differs from what was stored.
    pub fn immutable(&self, old: &Node<'_>, faults: &mut Faults) {
        if !same(self.value, old.value) {
            self.invalid(IMMUTABLE, faults);
        }
    }
}

pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Semantic equality: absent, null and empty are the same (apimachinery `pkg/api/equality`).
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            x.keys().chain(y.keys()).all(|k| same(member(x, k), member(y, k)))
        }
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(a, b)| same(a, b))
        }
        _ => a == b || (is_empty(a) && is_empty(b)),
    }
}

fn member<'a>(map: &'a meta::Map, key: &str) -> &'a Value {
    map.get(key).unwrap_or(&NOTHING)
}

/// Refuses the second of two nodes with the same text.
pub(crate) fn unique<'a>(nodes: impl Iterator<Item = Node<'a>>, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for node in nodes.filter(|n| !n.is_empty()) {
        if !seen.insert(node.value.to_string()) {
            node.duplicate(faults);
        }
    }
}
