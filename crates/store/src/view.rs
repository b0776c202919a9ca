//! A consistent, immutable snapshot: the only way brains read.

use crate::draft::Draft;
use crate::head;
use crate::history::{Changes, Compacted, History, OutOfRange};
use crate::log::{LogError, Record};
use crate::object::{Key, Object};
use crate::state::State;
use meta::Resource;
use std::ops::Bound;
use std::sync::Arc;

/// A snapshot at one revision. Cheap to clone; never changes. Whoever keeps one keeps every object of it
/// in memory, so drop it when the answer is sent.
#[derive(Clone)]
pub struct View {
    pub(crate) at: Arc<Moment>,
}

pub(crate) struct Moment {
    pub state: State,
    pub history: History,
    /// Version of the parser that made the heads.
    pub heads: u32,
}

impl View {
    pub(crate) fn new(state: State, history: History, heads: u32) -> Self {
        Self { at: Arc::new(Moment { state, history, heads }) }
    }

    pub fn revision(&self) -> u64 {
        self.at.state.revision
    }

    pub fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.at.state.get(key)
    }

    /// Objects of a resource in key order; all namespaces when `namespace` is `None`.
    pub fn list<'a>(
        &'a self,
        resource: &Resource,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<Object>> + 'a {
        let from = Bound::Included((namespace.unwrap_or(""), ""));
        self.at.state.range(resource, from, namespace)
    }

    /// As [`View::list`], but only what comes after `(namespace, name)`.
    pub fn list_after<'a>(
        &'a self,
        resource: &Resource,
        namespace: Option<&str>,
        after: (&str, &str),
    ) -> impl Iterator<Item = &'a Arc<Object>> + 'a {
        self.at.state.range(resource, Bound::Excluded(after), namespace)
    }

    /// How many objects of the resource there are, in all namespaces; does not walk them.
    pub fn count(&self, resource: &Resource) -> usize {
        self.at.state.count(resource)
    }

    /// Resources that have objects, in order.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.at.state.resources()
    }

    /// Objects with an owner reference to `uid`, in key order.
    pub fn owned<'a>(&'a self, uid: &str) -> impl Iterator<Item = &'a Arc<Object>> + 'a {
        self.at.state.owned(uid)
    }

    /// Objects of `resource` whose selectable field `name` has `value`, in key order.
    pub fn by_field<'a>(
        &'a self,
        resource: &Resource,
        name: &str,
        value: &str,
    ) -> impl Iterator<Item = &'a Arc<Object>> + 'a {
        self.at.state.by_field(resource, name, value)
    }

    /// Revision of the last change of any object of the resource; 0 when none is known.
    pub fn touched(&self, resource: &Resource) -> u64 {
        self.at.state.touched(resource)
    }

    /// The oldest revision [`View::at`] and [`View::changes`] still answer for.
    pub fn oldest(&self) -> u64 {
        self.at.history.oldest()
    }

    /// The store as it was at `revision`.
    ///
    /// # Errors
    /// When it was compacted, or lies after this view.
    pub fn at(&self, revision: u64) -> Result<Self, OutOfRange> {
        if revision == self.revision() {
            return Ok(self.clone());
        }
        let state = self.at.history.rewind(&self.at.state, revision)?;
        Ok(Self::new(state, self.at.history.clone(), self.at.heads))
    }

    /// This snapshot with further objects in it (in place of those with the same keys), which are nowhere stored.
    #[must_use]
    pub fn with(&self, drafts: impl IntoIterator<Item = Draft>) -> Self {
        let mut state = self.at.state.clone();
        for draft in drafts {
            let before = state.get(&draft.key).cloned();
            let after = Arc::new(draft.object(state.revision.max(1)));
            state.put(before.as_deref(), after);
        }
        Self::new(state, self.at.history.clone(), self.at.heads)
    }

    /// Everything as records, resource by resource in key order: what a snapshot or a backup holds.
    ///
    /// # Errors
    /// The first error of `each`, which also ends the walk.
    pub fn records(
        &self,
        each: &mut dyn FnMut(Record<'_>) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        for object in self.resources().flat_map(|resource| self.list(resource, None)) {
            let head = head::encode(self.at.heads, object.body.version_at, &object.head);
            each(Record::of(object, &head))?;
        }
        Ok(())
    }

    /// Changes after `revision`, oldest first.
    ///
    /// # Errors
    /// [`Compacted`] when some of them are gone.
    pub fn changes(&self, revision: u64) -> Result<Changes, Compacted> {
        self.at.history.after(revision)
    }

    /// Changes of one resource after `revision`, oldest first.
    ///
    /// # Errors
    /// [`Compacted`] when some change of that resource is gone; changes of others may be.
    pub fn changes_of(&self, resource: &Resource, revision: u64) -> Result<Changes, Compacted> {
        self.at.history.after_of(resource, revision)
    }
}
