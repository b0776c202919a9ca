//! Histories of pod templates as ControllerRevisions, for StatefulSets and DaemonSets
//! (pkg/controller/history/controller_history.go).
//!
//! A revision is found by what it holds, so going back to an earlier template finds its revision again and only
//! renumbers it.

use crate::plan::Plan;
use crate::{calls, pods};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use meta::Value;
use serde_json::json;
use std::sync::Arc;
use store::{Key, View};
use typed::{Kind, Read, controller_of};

/// On pods: the name (StatefulSet) or hash (DaemonSet) of the revision they were made from.
pub(crate) const HASH: &str = "controller-revision-hash";

/// The revisions of one owner, oldest first, and the one of its present template.
pub(crate) struct History {
    pub all: Vec<Arc<ControllerRevision>>,
    /// Name and hash of the revision of the present template, which may be about to be created.
    pub name: String,
    pub hash: String,
}

/// Finds or creates the revision of the owner's template.
pub(crate) fn of<K: Kind>(
    view: &View,
    owner: &ObjectMeta,
    selector: &LabelSelector,
    collisions: i32,
    plan: &mut Plan,
) -> Option<History> {
    let key = K::key(calls::namespace(owner), calls::name(owner));
    let data = data(view, &key)?;
    let all = claimed::<K>(view, owner, selector, plan);
    let newest = all.last().map_or(0, |r| r.revision);
    let equal = all.iter().rev().find(|r| r.data.as_ref().is_some_and(|d| d.0 == data));
    if let Some(found) = equal {
        if found.revision != newest {
            let body = json!({ "revision": newest + 1 });
            plan.call(calls::merge::<ControllerRevision>(&found.metadata, body));
        }
        let name = calls::name(&found.metadata).to_string();
        let hash = calls::label(&found.metadata, HASH)
            .or_else(|| name.rsplit_once('-').map(|(_, hash)| hash))
            .unwrap_or_default()
            .to_string();
        return Some(History { all, name, hash });
    }
    let (name, hash) = free_name(view, owner, &data, collisions)?;
    let mut labels = data.pointer("/spec/template/metadata/labels").cloned().unwrap_or(json!({}));
    labels[HASH] = hash.clone().into();
    let metadata = json!({
        "name": name,
        "labels": labels,
        "annotations": annotations(owner),
        "ownerReferences": [pods::owner_reference::<K>(owner)],
    });
    let body = json!({ "metadata": metadata, "data": data, "revision": newest + 1 });
    plan.call(calls::create::<ControllerRevision>(calls::namespace(owner), body));
    Some(History { all, name, hash })
}

fn annotations(owner: &ObjectMeta) -> Value {
    let mut all = owner.annotations.clone().unwrap_or_default();
    all.remove("kubectl.kubernetes.io/last-applied-configuration");
    calls::value(&all)
}

/// What a revision keeps: a patch that puts the template back.
fn data(view: &View, owner: &Key) -> Option<Value> {
    // As stored and not as parsed: the bytes are those Go would write.
    let mut template = view.get(owner)?.value().pointer_mut("/spec/template")?.take();
    template["$patch"] = "replace".into();
    Some(json!({ "spec": { "template": template } }))
}

/// The template a revision keeps.
pub(crate) fn template(revision: &ControllerRevision) -> Option<Value> {
    let mut template = revision.data.as_ref()?.0.pointer("/spec/template")?.clone();
    template.as_object_mut()?.remove("$patch");
    Some(template)
}

fn claimed<K: Kind>(
    view: &View,
    owner: &ObjectMeta,
    selector: &LabelSelector,
    plan: &mut Plan,
) -> Vec<Arc<ControllerRevision>> {
    let uid = calls::uid(owner);
    let mut all: Vec<_> = view
        .read_owned::<ControllerRevision>(uid)
        .filter(|r| controller_of(&r.metadata).is_some_and(|o| o.uid == uid))
        .collect();
    let selector = pods::Selector::of(selector);
    let namespace = calls::namespace(owner);
    let orphans = view
        .list(&ControllerRevision::resource(), Some(namespace))
        .filter(|o| !o.head.owners.iter().any(|r| r.controller) && selector.selects(o))
        .map(|object| typed::parse::<ControllerRevision>(object));
    for orphan in orphans {
        let body =
            json!({ "metadata": { "ownerReferences": [pods::owner_reference::<K>(owner)] } });
        plan.call(calls::merge_in_state::<ControllerRevision>(&orphan.metadata, body));
        all.push(orphan);
    }
    all.sort_by_key(|r| (r.revision, r.metadata.name.clone()));
    all
}

/// The first name that is free; one is taken when another template's revision has it.
fn free_name(view: &View, owner: &ObjectMeta, data: &Value, from: i32) -> Option<(String, String)> {
    let bytes = data.to_string();
    let named = |count: i32| {
        let hash = hash(bytes.as_bytes(), count);
        (format!("{}-{hash}", calls::name(owner)), hash)
    };
    let free = |(name, _): &(String, String)| {
        view.get(&ControllerRevision::key(calls::namespace(owner), name)).is_none()
    };
    (from..from.saturating_add(100)).map(named).find(free)
}

/// FNV-1, 32 bit, in the letters of generated names (`HashControllerRevision`, `rand.SafeEncodeString`).
pub(crate) fn hash(bytes: &[u8], collisions: i32) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let probe = if collisions > 0 { collisions.to_string() } else { String::new() };
    let sum = bytes
        .iter()
        .chain(probe.as_bytes())
        .fold(0x811c_9dc5_u32, |hash, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(*byte));
    let digits = sum.to_string();
    digits.bytes().map(|b| char::from(LETTERS[usize::from(b) % LETTERS.len()])).collect()
}

/// Deletes the oldest revisions beyond `limit` that nothing uses (`truncateHistory`).
pub(crate) fn truncate(history: &History, limit: i32, in_use: &[&str], plan: &mut Plan) {
    let used = |r: &&Arc<ControllerRevision>| {
        let name = calls::name(&r.metadata);
        let hash = calls::label(&r.metadata, HASH).unwrap_or_default();
        name == history.name || in_use.iter().any(|one| *one == name || *one == hash)
    };
    let idle: Vec<_> = history.all.iter().filter(|r| !used(r)).collect();
    let surplus = idle.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    for revision in idle.into_iter().take(surplus) {
        plan.call(calls::delete::<ControllerRevision>(&revision.metadata));
    }
}
