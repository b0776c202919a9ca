//! Normalising, pruning and defaulting.
use crate::graph::Type;
use meta::Value;

/// Rewrites a value as Go's decode and encode would: nulls and empty `omitempty` fields dropped,
/// always-present fields present, quantities and times canonical. Unknown fields are left alone.
pub fn normalise(_value: &mut Value, _ty: &Type) {}

/// Removes fields the type does not declare; returns their paths, sorted (`spec.foo[0].bar`).
pub fn prune(_value: &mut Value, _ty: &Type) -> Vec<String> {
    Vec::new()
}

/// Fills absent fields from the static defaults of the schema.
pub fn apply_defaults(_value: &mut Value, _ty: &Type) {}
