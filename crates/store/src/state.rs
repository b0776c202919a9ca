//! The state machine: persistent maps, so that a snapshot is a clone of pointers.

use crate::draft::Draft;
use crate::history::Change;
use crate::index::{Index, field_term, owner_term};
use crate::intern::Pool;
use crate::object::{Key, Object};
use crate::txn::{Expect, Op, Receipt, Reject, Txn};
use equivalent::Comparable;
use imbl::OrdMap;
use meta::Resource;
use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

/// Everything at one revision.
#[derive(Clone, Default)]
pub struct State {
    pub(crate) revision: u64,
    tables: OrdMap<Resource, Table>,
    index: Index,
}

/// The objects of one resource.
#[derive(Clone, Default)]
struct Table {
    /// Revision of the last change of any of them.
    touched: u64,
    objects: OrdMap<Name, Arc<Object>>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Name {
    namespace: Arc<str>,
    name: Arc<str>,
}

/// A place in a table, borrowed.
struct Spot<'a>(&'a str, &'a str);

impl Comparable<Name> for Spot<'_> {
    fn compare(&self, name: &Name) -> Ordering {
        self.0.cmp(&name.namespace).then_with(|| self.1.cmp(&name.name))
    }
}

impl equivalent::Equivalent<Name> for Spot<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        self.compare(name).is_eq()
    }
}

impl State {
    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.tables.get(&key.resource)?.objects.get(&Spot(&key.namespace, &key.name))
    }

    /// Revision of the last change of the resource, 0 when there was none.
    pub(crate) fn touched(&self, resource: &Resource) -> u64 {
        self.tables.get(resource).map_or(0, |table| table.touched)
    }

    pub(crate) fn count(&self, resource: &Resource) -> usize {
        self.tables.get(resource).map_or(0, |table| table.objects.len())
    }

    pub(crate) fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.tables.iter().filter(|(_, table)| !table.objects.is_empty()).map(|(name, _)| name)
    }

    /// Objects after `(namespace, name)`, or from there on, to the end of `within` (or of the table).
    pub(crate) fn range<'a>(
        &'a self,
        resource: &Resource,
        from: Bound<(&str, &str)>,
        within: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<Object>> + 'a {
        let within: Option<Box<str>> = within.map(Into::into);
        let from = from.map(|(namespace, name)| Spot(namespace, name));
        let table = self.tables.get(resource);
        table
            .map(|table| table.objects.range((from, Bound::Unbounded)))
            .into_iter()
            .flatten()
            .take_while(move |(name, _)| within.as_deref().is_none_or(|ns| *name.namespace == *ns))
            .map(|(_, object)| object)
    }

    pub(crate) fn owned<'a>(&'a self, uid: &str) -> impl Iterator<Item = &'a Arc<Object>> + 'a {
        let wanted: Box<str> = uid.into();
        let candidates = self.index.candidates(owner_term(uid));
        candidates
            .filter_map(|key| self.get(key))
            .filter(move |object| object.head.owners.iter().any(|owner| *owner.uid == *wanted))
    }

    pub(crate) fn by_field<'a>(
        &'a self,
        resource: &Resource,
        name: &str,
        value: &str,
    ) -> impl Iterator<Item = &'a Arc<Object>> + 'a {
        let candidates = self.index.candidates(field_term(resource, name, value));
        let (resource, wanted) =
            (resource.clone(), (Box::<str>::from(name), Box::<str>::from(value)));
        candidates.filter_map(|key| self.get(key)).filter(move |object| {
            object.key.resource == resource && object.field(&wanted.0) == Some(&*wanted.1)
        })
    }

    /// Applies `txn` wholly or not at all.
    pub(crate) fn apply(
        &mut self,
        txn: Txn,
        pool: &mut Pool,
    ) -> Result<(Receipt, Vec<Change>), Reject> {
        let mut objects = Vec::with_capacity(txn.ops.len());
        let mut changes = Vec::with_capacity(txn.ops.len());
        for op in txn.ops {
            match self.step(op, pool) {
                Ok(Done::Changed(change)) => {
                    objects.push(Some(change.after.clone()));
                    changes.push(change);
                }
                Ok(Done::Unchanged(object)) => objects.push(object),
                Err(reject) => {
                    changes.iter().rev().for_each(|change| self.undo(change));
                    return Err(reject);
                }
            }
        }
        Ok((Receipt { revision: self.revision, objects }, changes))
    }

    fn step(&mut self, op: Op, pool: &mut Pool) -> Result<Done, Reject> {
        match op {
            Op::Check { key, expect } => self.expect(&key, expect).map(|_| Done::Unchanged(None)),
            Op::Put { draft, expect } => {
                let before = self.expect(&draft.key, expect)?;
                Ok(match before {
                    Some(same) if draft.repeats(&same) => Done::Unchanged(Some(same)),
                    before => Done::Changed(self.write(draft, before, pool)),
                })
            }
            Op::Delete { key, expect } => match self.expect(&key, expect)? {
                Some(before) => Ok(Done::Changed(self.delete(before))),
                None => Err(Reject::Missing(key)),
            },
        }
    }

    fn write(&mut self, mut draft: Draft, before: Option<Arc<Object>>, pool: &mut Pool) -> Change {
        let revision = self.revision + 1;
        let born = before.as_ref().map_or(revision, |before| before.born);
        match &before {
            Some(before) => draft.key = before.key.clone(),
            None => pool.key(&mut draft.key),
        }
        let after = match &before {
            Some(before) if *before.head == draft.head => {
                let body = draft.body(revision);
                Object::new(draft.key, before.head.clone(), revision, born, body)
            }
            _ => {
                pool.head(&mut draft.head);
                draft.version(revision, born)
            }
        };
        let after = Arc::new(after);
        self.revision = revision;
        self.put(before.as_deref(), after.clone());
        Change { revision, before, after, deletion: false }
    }

    fn delete(&mut self, before: Arc<Object>) -> Change {
        self.revision += 1;
        let revision = self.revision;
        let after = Arc::new(before.restamped(revision));
        self.remove(&before);
        Change { revision, before: Some(before), after, deletion: true }
    }

    fn expect(&self, key: &Key, expect: Expect) -> Result<Option<Arc<Object>>, Reject> {
        let current = self.get(key).cloned();
        match (expect, current) {
            (Expect::Any, current) => Ok(current),
            (Expect::Absent, Some(_)) => Err(Reject::Exists(key.clone())),
            (Expect::Absent, None) => Ok(None),
            (_, None) => Err(Reject::Missing(key.clone())),
            (Expect::Revision(r), Some(current)) if current.revision != r => {
                Err(Reject::Changed { key: key.clone(), current })
            }
            (_, current) => Ok(current),
        }
    }

    /// Files `after` in the place of `before` (a version of the same key).
    pub(crate) fn put(&mut self, before: Option<&Object>, after: Arc<Object>) {
        let same = before.is_some_and(|before| Arc::ptr_eq(&before.head, &after.head));
        if !same {
            self.index.refile(&after.key, before.map(|b| &*b.head), Some(&after.head));
        }
        self.file(after);
    }

    /// As [`State::put`], but leaves the index to [`State::reindex`].
    pub(crate) fn file(&mut self, after: Arc<Object>) {
        let name = Name { namespace: after.key.namespace.clone(), name: after.key.name.clone() };
        let revision = self.revision;
        let table = self.table(&after.key.resource);
        table.touched = revision;
        table.objects.insert(name, after);
    }

    pub(crate) fn remove(&mut self, before: &Object) {
        self.index.refile(&before.key, Some(&before.head), None);
        self.unfile(before);
    }

    /// As [`State::remove`], but leaves the index to [`State::reindex`].
    pub(crate) fn unfile(&mut self, before: &Object) {
        let revision = self.revision;
        let table = self.table(&before.key.resource);
        table.touched = revision;
        table.objects.remove(&Spot(&before.key.namespace, &before.key.name));
    }

    /// Builds the index of everything filed: at once is much faster than one by one.
    pub(crate) fn reindex(&mut self) {
        let objects = self.tables.values().flat_map(|table| table.objects.values());
        self.index = Index::of(objects.map(|object| (&object.key, &*object.head)));
    }

    fn table(&mut self, resource: &Resource) -> &mut Table {
        if !self.tables.contains_key(resource) {
            self.tables.insert(resource.clone(), Table::default());
        }
        self.tables.get_mut(resource).expect("it was inserted when it was missing")
    }

    /// Takes the newest change back.
    pub(crate) fn undo(&mut self, change: &Change) {
        self.revision = change.revision - 1;
        match (&change.before, change.deletion) {
            (Some(before), true) => self.put(None, before.clone()),
            (Some(before), false) => self.put(Some(&change.after), before.clone()),
            (None, _) => self.remove(&change.after),
        }
    }
}

enum Done {
    Changed(Change),
    /// The object as it is, for a write that repeats it; nothing for a check.
    Unchanged(Option<Arc<Object>>),
}
