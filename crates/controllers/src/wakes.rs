//! Which keys a change makes due: the mappings that several controllers share.

use k8s_openapi::api::core::v1::Namespace;
use std::collections::BTreeMap;
use store::{Change, Key, Object, View};
use typed::Kind;

/// The changed object itself.
pub(crate) fn itself(_: &View, change: &Change) -> Vec<Key> {
    vec![change.after.key.clone()]
}

/// The `K` that controls the changed object, before or after; for an object nobody controls, whoever
/// `adopters` names.
pub(crate) fn controllers<K: Kind>(
    view: &View,
    change: &Change,
    adopters: fn(&View, &Object) -> Vec<Key>,
) -> Vec<Key> {
    let mut keys: Vec<Key> = change
        .before
        .iter()
        .chain([&change.after])
        .filter_map(|object| controller::<K>(object))
        .collect();
    keys.dedup();
    let orphan = !change.after.head.owners.iter().any(|owner| owner.controller);
    if orphan && !change.deletion {
        keys.extend(adopters(view, &change.after));
    }
    keys
}

fn controller<K: Kind>(object: &Object) -> Option<Key> {
    let owner = object.head.owners.iter().find(|owner| owner.controller)?;
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    (&*owner.kind == K::KIND && group == K::GROUP)
        .then(|| K::key(&object.key.namespace, &owner.name))
}

pub(crate) fn labels(object: &Object) -> BTreeMap<String, String> {
    object.head.labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

/// The object of another kind with the changed object's name.
pub(crate) fn itself_as<K: Kind>(_: &View, change: &Change) -> Vec<Key> {
    vec![key_as::<K>(&change.after.key)]
}

pub(crate) fn key_as<K: Kind>(key: &Key) -> Key {
    K::key(&key.namespace, &key.name)
}

/// The namespace the changed object is in.
pub(crate) fn its_namespace(_: &View, change: &Change) -> Vec<Key> {
    vec![Namespace::key("", &change.after.key.namespace)]
}
