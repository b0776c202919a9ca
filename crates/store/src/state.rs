//! The state machine: persistent maps, so that a snapshot is a clone of pointers.

use crate::history::Change;
use crate::object::{Head, Key, Object};
use crate::txn::{Expect, Op, Receipt, Reject, Txn};
use imbl::OrdMap;
use meta::Resource;
use std::sync::Arc;

/// Everything at one revision.
#[derive(Clone, Default)]
pub struct State {
    pub(crate) revision: u64,
    pub(crate) objects: OrdMap<Key, Arc<Object>>,
    /// `(index key, object key)`: owners and selectable fields.
    pub(crate) index: OrdMap<(Box<str>, Key), ()>,
}

pub(crate) fn owner_index(uid: &str) -> Box<str> {
    format!("owner\0{uid}").into()
}

pub(crate) fn field_index(resource: &Resource, name: &str, value: &str) -> Box<str> {
    format!("{resource}\0{name}\0{value}").into()
}

impl State {
    pub(crate) fn range<'a>(
        &'a self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        one_namespace: bool,
    ) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        let from = Key::new(resource, namespace, name);
        let (resource, namespace) = (from.resource.clone(), from.namespace.clone());
        self.objects
            .range(from..)
            .take_while(move |(k, _)| {
                k.resource == resource && (!one_namespace || k.namespace == namespace)
            })
            .map(|(_, object)| object)
    }

    pub(crate) fn indexed<'a>(
        &'a self,
        index: Box<str>,
    ) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        let from = (index.clone(), Key::new(&Resource::new("", ""), "", ""));
        self.index
            .range(from..)
            .take_while(move |((at, _), ())| *at == index)
            .filter_map(|((_, key), ())| self.objects.get(key))
    }

    /// Applies `txn` wholly or not at all; `self` is unchanged on `Err`.
    pub fn apply(&mut self, txn: &Txn) -> Result<(Receipt, Vec<Change>), Reject> {
        let mut next = self.clone();
        let mut objects = Vec::with_capacity(txn.ops.len());
        let mut changes = Vec::with_capacity(txn.ops.len());
        for op in &txn.ops {
            let change = next.step(op)?;
            objects.push(change.as_ref().map(|c| c.after.clone()));
            changes.extend(change);
        }
        *self = next;
        Ok((Receipt { revision: self.revision, objects }, changes))
    }

    fn step(&mut self, op: &Op) -> Result<Option<Change>, Reject> {
        match op {
            Op::Check { key, expect } => self.expect(key, *expect).map(|_| None),
            Op::Put { draft, expect } => {
                let before = self.expect(&draft.key, *expect)?;
                self.revision += 1;
                let born = before.as_ref().map_or(self.revision, |b| b.born);
                let json = draft.stamp(self.revision);
                let (key, head) = (draft.key.clone(), draft.head.clone());
                let after = Arc::new(Object::new(key, head, self.revision, born, json));
                self.put(before.as_ref(), after.clone());
                Ok(Some(Change { revision: self.revision, before, after, deletion: false }))
            }
            Op::Delete { key, expect } => {
                let Some(before) = self.expect(key, *expect)? else {
                    return Err(Reject::Missing(key.clone()));
                };
                self.revision += 1;
                let after = Arc::new(restamped(&before, self.revision));
                self.remove(&before);
                let revision = self.revision;
                Ok(Some(Change { revision, before: Some(before), after, deletion: true }))
            }
        }
    }

    fn expect(&self, key: &Key, expect: Expect) -> Result<Option<Arc<Object>>, Reject> {
        let current = self.objects.get(key).cloned();
        match (expect, current) {
            (Expect::Absent, Some(_)) => Err(Reject::Exists(key.clone())),
            (Expect::Absent, None) => Ok(None),
            (_, None) => Err(Reject::Missing(key.clone())),
            (Expect::Revision(r), Some(current)) if current.revision != r => {
                Err(Reject::Changed { key: key.clone(), current })
            }
            (_, current) => Ok(current),
        }
    }

    /// Files `after`, replacing `before` in the indexes. Also used when the log is replayed.
    pub(crate) fn put(&mut self, before: Option<&Arc<Object>>, after: Arc<Object>) {
        if let Some(before) = before {
            self.unindex(&before.key, &before.head);
        }
        for index in indexes(&after.key, &after.head) {
            self.index.insert((index, after.key.clone()), ());
        }
        self.objects.insert(after.key.clone(), after);
    }

    fn remove(&mut self, before: &Object) {
        self.unindex(&before.key, &before.head);
        self.objects.remove(&before.key);
    }

    fn unindex(&mut self, key: &Key, head: &Head) {
        for index in indexes(key, head) {
            self.index.remove(&(index, key.clone()));
        }
    }
}

fn indexes(key: &Key, head: &Head) -> Vec<Box<str>> {
    let owners = head.owners.iter().map(|o| owner_index(&o.uid));
    let fields = head.fields.iter().map(|(n, v)| field_index(&key.resource, n, v));
    owners.chain(fields).collect()
}

/// The last version of a deleted object carries the revision of its deletion.
fn restamped(before: &Object, revision: u64) -> Object {
    let draft =
        crate::object::Draft::new(before.key.clone(), before.head.clone(), before.value());
    Object::new(draft.key.clone(), draft.head.clone(), revision, before.born, draft.stamp(revision))
}
