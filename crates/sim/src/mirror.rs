//! The cluster as someone sees it who only watches: what oracles look at.

use k8s_openapi::api::core::v1::Pod;
use meta::Resource;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{Change, Key, Object, View};
use typed::Kind;

/// Every object as of one revision, built from changes alone.
#[derive(Default)]
pub(crate) struct Mirror {
    pub revision: u64,
    objects: BTreeMap<Key, Arc<Object>>,
    owned: BTreeMap<Box<str>, BTreeSet<Key>>,
    on_node: BTreeMap<Box<str>, BTreeSet<Key>>,
}

impl Mirror {
    pub fn of(view: &View) -> Self {
        let mut mirror = Self::default();
        for object in view.resources().flat_map(|resource| view.list(resource, None)) {
            mirror.insert(object.clone());
        }
        mirror.revision = view.revision();
        mirror
    }

    pub fn apply(&mut self, change: &Change) {
        self.remove(&change.after.key);
        if !change.deletion {
            self.insert(change.after.clone());
        }
        self.revision = change.revision;
    }

    fn insert(&mut self, object: Arc<Object>) {
        for owner in &object.head.owners {
            self.owned.entry((*owner.uid).into()).or_default().insert(object.key.clone());
        }
        if let Some(node) = object.field("spec.nodeName") {
            self.on_node.entry(node.into()).or_default().insert(object.key.clone());
        }
        self.objects.insert(object.key.clone(), object);
    }

    fn remove(&mut self, key: &Key) {
        let Some(object) = self.objects.remove(key) else { return };
        for owner in &object.head.owners {
            self.owned.get_mut(&*owner.uid).map(|keys| keys.remove(key));
        }
        if let Some(node) = object.field("spec.nodeName") {
            self.on_node.get_mut(node).map(|keys| keys.remove(key));
        }
    }

    pub fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    pub fn read<K: Kind>(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.get(&K::key(namespace, name)).map(|object| typed::parse(object))
    }

    pub fn list<K: Kind>(&self) -> impl Iterator<Item = Arc<K>> {
        self.of_resource(&K::resource())
            .map(|object| typed::parse(object))
            .collect::<Vec<_>>()
            .into_iter()
    }

    pub fn of_resource(&self, resource: &Resource) -> impl Iterator<Item = &Arc<Object>> {
        let from = Key::new(resource, "", "");
        let resource = resource.clone();
        let rest = self.objects.range(from..);
        rest.take_while(move |(key, _)| key.resource == resource).map(|(_, object)| object)
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values()
    }

    /// Pods bound to the node.
    pub fn pods_on(&self, node: &str) -> Vec<Arc<Pod>> {
        self.pods(self.on_node.get(node))
    }

    /// Pods with an owner reference to `uid`.
    pub fn pods_of(&self, uid: &str) -> Vec<Arc<Pod>> {
        self.pods(self.owned.get(uid))
    }

    pub fn owned(&self, uid: &str) -> impl Iterator<Item = &Arc<Object>> {
        let keys = self.owned.get(uid).into_iter().flatten();
        keys.filter_map(|key| self.objects.get(key))
    }

    fn pods(&self, keys: Option<&BTreeSet<Key>>) -> Vec<Arc<Pod>> {
        let pods = Pod::resource();
        let keys = keys.into_iter().flatten().filter(|key| key.resource == pods);
        keys.filter_map(|key| self.objects.get(key)).map(|object| typed::parse(object)).collect()
    }

    /// What a watcher and a reader see differently, if anything.
    pub fn differs_from(&self, view: &View) -> Option<String> {
        let theirs = || view.resources().flat_map(|resource| view.list(resource, None));
        let lost =
            theirs().find(|o| self.get(&o.key).map(|mine| mine.revision) != Some(o.revision));
        if let Some(object) = lost {
            return Some(format!("a watcher has missed {:?} at {}", object.key, object.revision));
        }
        let count = theirs().count();
        (count != self.objects.len())
            .then(|| format!("a watcher knows {} objects, the store {count}", self.objects.len()))
    }
}
