//! The algebra of ownership: what a write does to the sets of everyone who manages fields.
//!
//! Semantics of structured-merge-diff `merge/update.go`.

use crate::fieldset::FieldSet;
use crate::reconcile::reconcile;
use crate::shape::At;
use crate::walk::{compare, field_set, merge, remove, with_struct_fields};
use meta::Value;
use std::collections::BTreeMap;

/// Who owns what. Keys identify a manager, its operation and subresource.
pub type Owners<K> = BTreeMap<K, FieldSet>;

/// Fields an applier wants to change that others own.
pub type Conflicts<K> = Vec<(K, FieldSet)>;

/// Gives `writer` the fields in which `new` differs from `old`, and takes those from everyone else.
pub fn update<K: Ord + Clone>(
    owners: &mut Owners<K>,
    writer: &K,
    (old, new): (&Value, &Value),
    ignored: &FieldSet,
    at: At<'_>,
) {
    bring_up_to_date(owners, at);
    let diff = compare(old, new, at);
    let changed = diff.modified.union(&diff.added).recursive_difference(ignored);
    let removed = diff.removed.recursive_difference(ignored);
    for (_, set) in owners.iter_mut().filter(|(key, _)| *key != writer) {
        *set = set.difference(&changed).difference(&removed);
    }
    let mine = owners.entry(writer.clone()).or_default();
    *mine = mine.difference(&diff.removed).union(&changed).recursive_difference(ignored);
    owners.retain(|_, set| !set.is_empty());
}

/// Lays `config` over `live`, makes `applier` the owner of exactly what `config` sets, and drops what it set last
/// time but not now and nobody else owns.
///
/// # Errors
/// The fields that others own and `config` would change, unless `force`.
pub fn apply<K: Ord + Clone>(
    owners: &mut Owners<K>,
    applier: &K,
    (live, config): (&Value, &Value),
    ignored: &FieldSet,
    at: At<'_>,
    force: Force,
) -> Result<Value, Conflicts<K>> {
    bring_up_to_date(owners, at);
    let merged = merge(live, config, at);
    let set = field_set(config, at).recursive_difference(ignored);
    let last = owners.insert(applier.clone(), set);
    let result = match last {
        Some(last) if !last.is_empty() => prune(&merged, &last, owners, at),
        _ => merged,
    };
    take_over(owners, applier, (live, &result), ignored, at, force)?;
    Ok(result)
}

/// Sets recorded under an older schema, as the schema of today has them.
fn bring_up_to_date<K: Ord>(owners: &mut Owners<K>, at: At<'_>) {
    for set in owners.values_mut() {
        *set = reconcile(set, at);
    }
}

/// Whether an applier takes fields over that others own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    Yes,
    No,
}

fn take_over<K: Ord + Clone>(
    owners: &mut Owners<K>,
    applier: &K,
    (live, result): (&Value, &Value),
    ignored: &FieldSet,
    at: At<'_>,
    force: Force,
) -> Result<(), Conflicts<K>> {
    let diff = compare(live, result, at);
    let changed = diff.modified.union(&diff.added).recursive_difference(ignored);
    let removed = diff.removed.recursive_difference(ignored);
    let others = || owners.iter().filter(|(key, _)| *key != applier);
    let conflicts: Conflicts<K> = others()
        .map(|(key, set)| (key.clone(), set.intersection(&changed)))
        .filter(|(_, set)| !set.is_empty())
        .collect();
    if force == Force::No && !conflicts.is_empty() {
        return Err(conflicts);
    }
    for (_, set) in owners.iter_mut().filter(|(key, _)| *key != applier) {
        *set = set.difference(&changed).difference(&removed);
    }
    owners.retain(|_, set| !set.is_empty());
    Ok(())
}

fn prune<K: Ord>(merged: &Value, last: &FieldSet, owners: &Owners<K>, at: At<'_>) -> Value {
    let last = with_struct_fields(last, at);
    let without = remove(merged, &last, at).unwrap_or_default();
    let without = add_back_owned(merged, &without, owners, at);
    add_back_dangling(merged, &without, &last, at)
}

/// What someone still owns comes back.
fn add_back_owned<K: Ord>(merged: &Value, pruned: &Value, owners: &Owners<K>, at: At<'_>) -> Value {
    let owned = owners.values().fold(FieldSet::default(), |all, set| all.union(set));
    let owned = with_struct_fields(&owned, at);
    let in_merged = with_struct_fields(&field_set(merged, at), at);
    let in_pruned = with_struct_fields(&field_set(pruned, at), at);
    remove(merged, &in_merged.difference(&in_pruned.union(&owned)), at).unwrap_or_default()
}

/// Only what the applier owned last time may go.
fn add_back_dangling(merged: &Value, pruned: &Value, last: &FieldSet, at: At<'_>) -> Value {
    let in_merged = with_struct_fields(&field_set(merged, at), at);
    let in_pruned = with_struct_fields(&field_set(pruned, at), at);
    let gone = in_merged.difference(&in_pruned).intersection(last);
    remove(merged, &gone, at).unwrap_or_default()
}
