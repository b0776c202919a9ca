//! Bringing a recorded field set up to the schema of today: a list or map may have become atomic, or have ceased
//! to be, since its owners were written down.
//!
//! Semantics of structured-merge-diff `typed/reconcile_schema.go`.

use crate::fieldset::{FieldSet, Step};
use crate::shape::{At, Relation};

/// `set` as the schema at `at` would have it recorded; `live` holds every field the live object sets.
///
/// As upstream, an owner of a map or keyed list alone, with nothing below, counts as its owner from when it was
/// atomic, and is given everything the live object has there. Where the schema says nothing, nothing changes.
pub fn reconcile(set: &FieldSet, live: &FieldSet, at: At<'_>) -> FieldSet {
    if at.0.is_none() {
        return set.clone();
    }
    let mut out = FieldSet::default();
    for (step, member, below) in set.steps() {
        let child = match step {
            Step::Field(name) => at.field(name),
            _ => at.item(),
        };
        one(step, (member, below), live.below(step), child, &mut out);
    }
    out
}

fn one(
    step: &Step,
    (member, below): (bool, &FieldSet),
    live: Option<&FieldSet>,
    at: At<'_>,
    out: &mut FieldSet,
) {
    let whole = member && below.is_empty();
    match at.relation() {
        // Was granular, is atomic: one owner of the whole.
        Relation::Atomic if !whole => out.insert_here(step.clone()),
        Relation::Granular if whole => {
            out.insert_here(step.clone());
            *out.below_mut(step.clone()) = live.cloned().unwrap_or_default();
        }
        relation => {
            if member {
                out.insert_here(step.clone());
            }
            let none = FieldSet::default();
            *out.below_mut(step.clone()) = match relation {
                Relation::Granular => reconcile(below, live.unwrap_or(&none), at),
                _ => below.clone(),
            };
        }
    }
}
