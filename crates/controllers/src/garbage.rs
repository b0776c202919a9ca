//! The garbage collector: objects whose owners are gone go too; owners that wait for their dependents, or for
//! letting them go, are finished (pkg/controller/garbagecollector/garbagecollector.go, graph_builder.go).
//!
//! There is no graph in memory: the store's index of owners is the graph, and every plan verifies owners by uid
//! in the newest snapshot.

use crate::plan::{EVERY, Plan, Row, Wake};
use crate::served;
use api::{Call, DeleteOptions, Patch, PatchKind, Propagation, Verb};
use meta::{Time, Value};
use serde_json::json;
use std::sync::Arc;
use store::{Change, Key, Object, Owner, View};

pub(crate) static ROW: Row = Row {
    name: "generic-garbage-collector",
    wakes: &[Wake { resource: EVERY, keys: wake }],
    plan,
    refused: None,
    made: None,
};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// Events may outlive what they are about (graph_builder.go `ignoredResources`).
fn is_ignored(key: &Key) -> bool {
    matches!(key.resource.as_str(), "events" | "events.events.k8s.io")
}

fn wake(view: &View, change: &Change) -> Vec<Key> {
    let (before, after) = (change.before.as_ref(), &change.after);
    if is_ignored(&after.key) {
        return Vec::new();
    }
    let mut keys = Vec::new();
    let marked = before.is_none_or(|b| {
        b.head.owners != after.head.owners
            || b.head.deleted != after.head.deleted
            || b.head.finalizers != after.head.finalizers
    });
    if change.deletion || is_waiting(after, FOREGROUND) && marked {
        keys.extend(view.owned(&after.head.uid).map(|object| object.key.clone()));
    }
    if !change.deletion && marked && (!after.head.owners.is_empty() || is_waiting_for_any(after)) {
        keys.push(after.key.clone());
    }
    // Owners that wait for this one to go or to be let go.
    if marked || change.deletion {
        let owners = before.into_iter().chain([after]).flat_map(|object| &object.head.owners);
        for owner in owners {
            let found = find(view, owner, &after.key);
            keys.extend(found.filter(|o| is_waiting_for_any(o)).map(|o| o.key.clone()));
        }
    }
    keys.sort();
    keys.dedup();
    keys
}

fn is_waiting(object: &Object, finalizer: &str) -> bool {
    object.head.deleted.is_some() && object.head.finalizers.iter().any(|f| **f == *finalizer)
}

fn is_waiting_for_any(object: &Object) -> bool {
    is_waiting(object, FOREGROUND) || is_waiting(object, ORPHAN)
}

fn plan(view: &View, key: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(object) = view.get(key) else { return plan };
    if is_waiting(object, ORPHAN) {
        let_dependents_go(view, object, &mut plan);
    } else if is_waiting(object, FOREGROUND) {
        wait_for_dependents(view, object, &mut plan);
    } else if object.head.deleted.is_none() {
        judge(view, object, &mut plan);
    }
    plan
}

fn dependents<'a>(view: &'a View, of: &Object) -> impl Iterator<Item = &'a Arc<Object>> + 'a {
    let namespace = of.key.namespace.clone();
    // A namespaced owner has dependents in its own namespace only.
    view.owned(&of.head.uid)
        .filter(move |o| namespace.is_empty() || o.key.namespace == namespace)
        .filter(|o| !is_ignored(&o.key))
}

/// Orphaning: the references to this owner first, then its finalizer.
fn let_dependents_go(view: &View, object: &Object, plan: &mut Plan) {
    let before = plan.calls.len();
    for dependent in dependents(view, object) {
        plan.calls.extend(without_owners(view, dependent, |owner| *owner.uid == *object.head.uid));
    }
    if plan.calls.len() == before {
        plan.calls.extend(without_finalizer(view, object, ORPHAN));
    }
}

/// Foreground: dependents that block are deleted first (`processDeletingDependentsItem`).
fn wait_for_dependents(view: &View, object: &Object, plan: &mut Plan) {
    let blocks = |dependent: &&Arc<Object>| {
        dependent.head.owners.iter().any(|o| o.blocks && *o.uid == *object.head.uid)
    };
    if !dependents(view, object).any(|dependent| blocks(&dependent)) {
        plan.calls.extend(without_finalizer(view, object, FOREGROUND));
    }
}

/// What became of an object's owners.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Alive,
    Gone,
    /// Waits for its dependents to go first.
    Waiting,
    /// Nobody knows the kind, or a cluster-scoped object names a namespaced owner.
    Unknown,
}

fn fate(view: &View, owner: &Owner, dependent: &Key) -> Fate {
    let Some(served) = served::by_kind(view, &owner.api_version, &owner.kind) else {
        return Fate::Unknown;
    };
    if served.namespaced && dependent.namespace.is_empty() {
        return Fate::Unknown;
    }
    match find(view, owner, dependent) {
        None => Fate::Gone,
        Some(found) if is_waiting(found, FOREGROUND) => Fate::Waiting,
        Some(_) => Fate::Alive,
    }
}

/// The owner itself: a namesake with another uid is not it.
fn find<'a>(view: &'a View, owner: &Owner, dependent: &Key) -> Option<&'a Arc<Object>> {
    let served = served::by_kind(view, &owner.api_version, &owner.kind)?;
    let namespace = if served.namespaced { &*dependent.namespace } else { "" };
    let found = view.get(&Key::new(&served.gvr.resource(), namespace, &owner.name))?;
    (*found.head.uid == *owner.uid).then_some(found)
}

/// `attemptToDeleteItem`
fn judge(view: &View, object: &Arc<Object>, plan: &mut Plan) {
    let owners = &object.head.owners;
    let fates: Vec<_> = owners.iter().map(|owner| fate(view, owner, &object.key)).collect();
    let any = |fate: Fate| fates.contains(&fate);
    if owners.is_empty() || any(Fate::Unknown) {
        return;
    }
    if any(Fate::Alive) {
        // Somebody still needs it; the others are not mentioned any more.
        let lost =
            |owner: &Owner| matches!(fate(view, owner, &object.key), Fate::Gone | Fate::Waiting);
        plan.calls.extend(without_owners(view, object, lost));
    } else if any(Fate::Waiting) && dependents(view, object).next().is_some() {
        unblock_cycles(view, object, plan);
        plan.calls.extend(delete(view, object, Propagation::Foreground));
    } else {
        plan.calls.extend(delete(view, object, asked(object)));
    }
}

/// What its finalizers say of an object's own dependents.
fn asked(object: &Object) -> Propagation {
    let has = |name: &str| object.head.finalizers.iter().any(|f| **f == *name);
    match (has(ORPHAN), has(FOREGROUND)) {
        (true, _) => Propagation::Orphan,
        (_, true) => Propagation::Foreground,
        _ => Propagation::Background,
    }
}

/// Owners in a circle would wait for each other: what is waited for itself no longer waits for its owners.
fn unblock_cycles(view: &View, object: &Object, plan: &mut Plan) {
    if !dependents(view, object).any(|d| is_waiting(d, FOREGROUND)) {
        return;
    }
    let value = object.value();
    let mut owners = value["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    for owner in owners.iter_mut().filter(|o| o["blockOwnerDeletion"] == true) {
        owner["blockOwnerDeletion"] = false.into();
    }
    plan.calls.extend(patch(view, object, json!({ "ownerReferences": owners })));
}

fn without_owners(view: &View, object: &Object, gone: impl Fn(&Owner) -> bool) -> Option<Call> {
    let lost: Vec<_> = object.head.owners.iter().filter(|o| gone(o)).map(|o| &*o.uid).collect();
    if lost.is_empty() {
        return None;
    }
    let value = object.value();
    let all = value["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    let stays = |o: &Value| o["uid"].as_str().is_none_or(|uid| !lost.contains(&uid));
    let left: Vec<_> = all.into_iter().filter(stays).collect();
    patch(view, object, json!({ "ownerReferences": left }))
}

fn without_finalizer(view: &View, object: &Object, gone: &str) -> Option<Call> {
    let left: Vec<_> = object.head.finalizers.iter().filter(|f| ***f != *gone).collect();
    let left: Vec<&str> = left.into_iter().map(|f| &**f).collect();
    patch(view, object, json!({ "finalizers": left }))
}

/// A patch of this version's metadata: lists are replaced whole, so somebody else's change refuses it.
fn patch(view: &View, object: &Object, mut metadata: Value) -> Option<Call> {
    metadata["uid"] = (*object.head.uid).into();
    metadata["resourceVersion"] = object.revision.to_string().into();
    let patch = Patch { kind: PatchKind::Merge, body: json!({ "metadata": metadata }) };
    call(view, object, Verb::Patch(patch))
}

/// Deletes this version: an owner that comes back in between keeps its dependent.
fn delete(view: &View, object: &Object, propagation: Propagation) -> Option<Call> {
    let options = DeleteOptions {
        uid: Some(object.head.uid.to_string()),
        resource_version: Some(object.revision.to_string()),
        propagation: Some(propagation),
        ..DeleteOptions::default()
    };
    call(view, object, Verb::Delete(options))
}

fn call(view: &View, object: &Object, verb: Verb) -> Option<Call> {
    let served = served::by_resource(view, &object.key.resource)?;
    Some(Call::new(verb, served.gvr, &object.key.namespace, &object.key.name))
}
