//! Which objects have an owner or a field value.
//!
//! A posting holds a hash of the term, not its text: readers check the object itself, so that a collision
//! costs a look and never a wrong answer.

use crate::object::{Head, Key};
use equivalent::Comparable;
use imbl::OrdSet;
use meta::Resource;
use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Ordered by term, then key.
#[derive(Clone, Default)]
pub(crate) struct Index {
    postings: OrdSet<(u64, Key)>,
}

/// Before every posting of a term.
struct Start(u64);

impl Comparable<(u64, Key)> for Start {
    fn compare(&self, posting: &(u64, Key)) -> Ordering {
        self.0.cmp(&posting.0).then(Ordering::Less)
    }
}

impl equivalent::Equivalent<(u64, Key)> for Start {
    fn equivalent(&self, _: &(u64, Key)) -> bool {
        false
    }
}

impl Index {
    pub fn of<'a>(heads: impl Iterator<Item = (&'a Key, &'a Head)>) -> Self {
        let all = heads.flat_map(|(key, head)| {
            terms(&key.resource, head).into_iter().map(move |term| (term, key))
        });
        let mut postings: Vec<(u64, &Key)> = all.collect();
        // Heads come in key order, so a stable sort by term is the order of the index.
        postings.sort_by_key(|(term, _)| *term);
        Self { postings: postings.into_iter().map(|(term, key)| (term, key.clone())).collect() }
    }

    /// Keys that may have the term, in order.
    pub fn candidates(&self, term: u64) -> impl Iterator<Item = &Key> {
        let from = self.postings.range(Start(term)..);
        from.take_while(move |(at, _)| *at == term).map(|(_, key)| key)
    }

    /// Moves `key` from the terms of `before` to those of `after`; untouched where they agree.
    pub fn refile(&mut self, key: &Key, before: Option<&Head>, after: Option<&Head>) {
        let old = before.map_or_else(Vec::new, |head| terms(&key.resource, head));
        let new = after.map_or_else(Vec::new, |head| terms(&key.resource, head));
        for term in old.iter().filter(|term| !new.contains(term)) {
            self.postings.remove(&(*term, key.clone()));
        }
        for term in new.iter().filter(|term| !old.contains(term)) {
            self.postings.insert((*term, key.clone()));
        }
    }
}

pub(crate) fn owner_term(uid: &str) -> u64 {
    hash(("owner", uid))
}

pub(crate) fn field_term(resource: &Resource, name: &str, value: &str) -> u64 {
    hash((resource.as_str(), name, value))
}

/// The same in every process: the order of postings must not differ between two runs of a simulation.
fn hash(term: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    term.hash(&mut hasher);
    hasher.finish()
}

fn terms(resource: &Resource, head: &Head) -> Vec<u64> {
    let owners = head.owners.iter().map(|o| owner_term(&o.uid));
    let fields = head.fields.iter().map(|(n, v)| field_term(resource, n, v));
    owners.chain(fields).collect()
}
