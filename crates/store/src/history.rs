//! Changes since the last compaction, for watches, for controllers, and for reading the past.

use crate::object::Object;
use crate::state::State;
use imbl::{OrdMap, Vector};
use meta::Resource;
use std::sync::Arc;

/// One revision of one key, with the object before and after.
#[derive(Debug, Clone)]
pub struct Change {
    pub revision: u64,
    /// `None` when the key was created.
    pub before: Option<Arc<Object>>,
    /// The new version; for a deletion the last version stamped with the deletion's revision.
    pub after: Arc<Object>,
    pub deletion: bool,
}

/// The revision asked for is older than what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// The oldest revision that can still be read.
    pub oldest: u64,
}

/// Why there is no view at a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfRange {
    Compacted(Compacted),
    /// The store has not come that far.
    Future {
        current: u64,
    },
}

/// After this many changes the whole state is kept, so that no view of the past takes more steps back.
const MARK_EVERY: usize = 4096;

/// Changes in order, in the groups they were committed in. A clone shares everything.
#[derive(Clone)]
pub(crate) struct History {
    groups: Vector<Arc<Group>>,
    /// Every change after this revision is kept.
    oldest: u64,
    /// Per resource, the revision of its last change that is no longer kept.
    lost: OrdMap<Resource, u64>,
    weight: usize,
    bound: usize,
    unmarked: usize,
}

struct Group {
    last: u64,
    changes: Box<[Change]>,
    weight: usize,
    /// The state after the group, now and then.
    mark: Option<State>,
}

/// Changes after some revision, oldest first; shares them with the store.
#[derive(Clone)]
pub struct Changes {
    groups: Vec<Arc<Group>>,
    after: u64,
    resource: Option<Resource>,
}

impl Change {
    /// Bytes kept alive by this change alone: the live version is the state's.
    fn weight(&self) -> usize {
        let before = self.before.as_ref().map_or(0, |before| before.weight());
        let tombstone = if self.deletion { self.after.weight() } else { 0 };
        before + tombstone + size_of::<Self>()
    }
}

impl History {
    /// Nothing is known before `revision`. At most `bound` bytes are kept, and always the last group.
    pub fn new(revision: u64, bound: usize) -> Self {
        let (groups, lost) = (Vector::new(), OrdMap::new());
        Self { groups, oldest: revision, lost, weight: 0, bound, unmarked: 0 }
    }

    pub fn oldest(&self) -> u64 {
        self.oldest
    }

    /// Adds a group that led to `state`.
    pub fn push(&mut self, changes: Vec<Change>, state: &State) {
        self.unmarked += changes.len();
        let mark = (self.unmarked >= MARK_EVERY).then(|| state.clone());
        if mark.is_some() {
            self.unmarked = 0;
        }
        let weight = changes.iter().map(Change::weight).sum();
        let group = Group { last: state.revision, changes: changes.into(), weight, mark };
        self.weight += weight;
        self.groups.push_back(Arc::new(group));
        while self.weight > self.bound && self.groups.len() > 1 {
            self.drop_first();
        }
    }

    /// Forgets every change up to and including `revision`.
    pub fn compact(&mut self, revision: u64) {
        while self.groups.front().is_some_and(|group| group.last <= revision) {
            self.drop_first();
        }
        let rest = self.groups.front().map_or(&[][..], |group| &group.changes);
        for change in rest.iter().take_while(|change| change.revision <= revision) {
            self.lost.insert(change.after.key.resource.clone(), change.revision);
        }
        self.oldest = self.oldest.max(revision);
    }

    fn drop_first(&mut self) {
        let Some(group) = self.groups.pop_front() else { return };
        for change in &group.changes {
            self.lost.insert(change.after.key.resource.clone(), change.revision);
        }
        self.weight -= group.weight;
        self.oldest = self.oldest.max(group.last);
    }

    pub fn after(&self, after: u64) -> Result<Changes, Compacted> {
        if after < self.oldest {
            return Err(Compacted { oldest: self.oldest });
        }
        Ok(Changes { groups: self.groups_after(after), after, resource: None })
    }

    /// As [`History::after`], but only fails when a change of this very resource was forgotten: a watcher of
    /// something that never changes does not fall behind.
    pub fn after_of(&self, resource: &Resource, after: u64) -> Result<Changes, Compacted> {
        if after < self.oldest && self.lost.get(resource).is_some_and(|lost| after < *lost) {
            return Err(Compacted { oldest: self.oldest });
        }
        let groups = self.groups_after(after);
        Ok(Changes { groups, after, resource: Some(resource.clone()) })
    }

    fn groups_after(&self, after: u64) -> Vec<Arc<Group>> {
        (self.first_after(after)..self.groups.len())
            .filter_map(|i| self.groups.get(i).cloned())
            .collect()
    }

    /// Index of the first group that reaches beyond `after`.
    fn first_after(&self, after: u64) -> usize {
        let (mut low, mut high) = (0, self.groups.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.groups.get(middle) {
                Some(group) if group.last <= after => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    /// The state at `revision`, got by taking back what came after it in `newest` or in the next mark.
    pub fn rewind(&self, newest: &State, revision: u64) -> Result<State, OutOfRange> {
        if revision > newest.revision {
            return Err(OutOfRange::Future { current: newest.revision });
        }
        if revision < self.oldest {
            return Err(OutOfRange::Compacted(Compacted { oldest: self.oldest }));
        }
        let groups = self.groups_up_to_mark(revision);
        let mark = groups.last().and_then(|group| group.mark.as_ref());
        let mut state = mark.unwrap_or(newest).clone();
        for change in groups.iter().rev().flat_map(|group| group.changes.iter().rev()) {
            if change.revision > revision && change.revision <= state.revision {
                state.undo(change);
            }
        }
        Ok(state)
    }

    fn groups_up_to_mark(&self, after: u64) -> Vec<&Arc<Group>> {
        let mut groups = Vec::new();
        for group in (self.first_after(after)..self.groups.len()).filter_map(|i| self.groups.get(i))
        {
            groups.push(group);
            if group.mark.is_some() {
                break;
            }
        }
        groups
    }
}

impl Changes {
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Change> {
        self.groups
            .iter()
            .flat_map(|group| {
                let from = group.changes.partition_point(|change| change.revision <= self.after);
                &group.changes[from..]
            })
            .filter(|change| self.resource.as_ref().is_none_or(|r| change.after.key.resource == *r))
    }

    /// Whether there are none at all, of any resource.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Revision up to which these are all the changes: where to ask on from.
    pub fn up_to(&self) -> u64 {
        self.groups.last().map_or(self.after, |group| group.last)
    }
}
