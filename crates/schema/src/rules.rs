//! Value checks and extensions an OpenAPI schema node of a CRD may carry.

use crate::graph::{Str, Type};
use meta::Value;
use regex::Regex;

/// What a CRD's schema node demands beyond its type. Numbers are kept as JSON to print them as written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules {
    pub title: Str,
    pub description: Str,
    pub format: Str,
    pub pattern: Option<Pattern>,
    pub default: Option<Value>,
    pub options: Vec<Value>,
    pub minimum: Option<f64>,
    pub maximum: Option<f64>,
    pub exclusive_minimum: bool,
    pub exclusive_maximum: bool,
    pub multiple_of: Option<f64>,
    pub min_length: Option<u64>,
    pub max_length: Option<u64>,
    pub min_items: Option<u64>,
    pub max_items: Option<u64>,
    pub min_properties: Option<u64>,
    pub max_properties: Option<u64>,
    pub unique_items: bool,
    pub required: Vec<Str>,
    pub all_of: Vec<Type>,
    pub any_of: Vec<Type>,
    pub one_of: Vec<Type>,
    pub not: Option<Box<Type>>,
    /// `x-kubernetes-preserve-unknown-fields`
    pub preserve_unknown: bool,
    /// `x-kubernetes-embedded-resource`
    pub embedded: bool,
    /// `x-kubernetes-int-or-string`
    pub int_or_string: bool,
    /// `x-kubernetes-validations`, verbatim: CEL is compiled elsewhere.
    pub validations: Vec<Value>,
}

/// A compiled `pattern`. Go's syntax and this one agree on all but a few rarely used escapes.
#[derive(Debug, Clone)]
pub struct Pattern(pub Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Rules {
    /// Nothing beyond the type is demanded.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
