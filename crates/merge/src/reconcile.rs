//! Bringing a recorded field set up to the schema of today: a list or map may have become atomic, or have ceased
//! to be, since its owners were written down.
//!
//! Semantics of structured-merge-diff `typed/reconcile_schema.go`.

use crate::fieldset::{FieldSet, Step};
use crate::shape::{At, Relation};

/// `set` as the schema at `at` would have it recorded; `live` holds every field the live object sets.
///
/// As upstream, what was atomic and no longer is counts as if it had always been granular. Where the schema says
/// nothing, nothing changes.
pub fn reconcile(set: &FieldSet, at: At<'_>) -> FieldSet {
    if at.0.is_none() {
        return set.clone();
    }
    let mut out = FieldSet::default();
    for (step, member, below) in set.steps() {
        let child = match step {
            Step::Field(name) => at.field(name),
            _ => at.item(),
        };
        one(step, (member, below), child, &mut out);
    }
    out
}

fn one(step: &Step, (member, below): (bool, &FieldSet), at: At<'_>, out: &mut FieldSet) {
    let relation = at.relation();
    // Was granular, is atomic: one owner of the whole.
    if relation == Relation::Atomic && !(member && below.is_empty()) {
        out.insert_here(step.clone());
        return;
    }
    if member {
        out.insert_here(step.clone());
    }
    *out.below_mut(step.clone()) = match relation {
        Relation::Granular => reconcile(below, at),
        _ => below.clone(),
    };
}
