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
    postings: OrdSet<Posting>,
}

#[derive(Clone)]
struct Posting {
    term: u64,
    key: Key,
}

impl Posting {
    fn new(term: u64, key: &Key) -> Self {
        Self { term, key: key.clone() }
    }
}

impl Ord for Posting {
    /// Resources and namespaces mostly are the same shared text, which needs no look at it.
    fn cmp(&self, other: &Self) -> Ordering {
        let text = |a: &str, b: &str| if std::ptr::eq(a, b) { Ordering::Equal } else { a.cmp(b) };
        let (mine, theirs) = (&self.key, &other.key);
        self.term
            .cmp(&other.term)
            .then_with(|| text(mine.resource.as_str(), theirs.resource.as_str()))
            .then_with(|| text(&mine.namespace, &theirs.namespace))
            .then_with(|| text(&mine.name, &theirs.name))
    }
}

impl PartialOrd for Posting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Posting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Posting {}

/// Before every posting of a term.
struct Start(u64);

impl Comparable<Posting> for Start {
    fn compare(&self, posting: &Posting) -> Ordering {
        self.0.cmp(&posting.term).then(Ordering::Less)
    }
}

impl equivalent::Equivalent<Posting> for Start {
    fn equivalent(&self, _: &Posting) -> bool {
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
        Self { postings: postings.into_iter().map(|(term, key)| Posting::new(term, key)).collect() }
    }

    /// Keys that may have the term, in order.
    pub fn candidates(&self, term: u64) -> impl Iterator<Item = &Key> {
        let from = self.postings.range(Start(term)..);
        from.take_while(move |posting| posting.term == term).map(|posting| &posting.key)
    }

    /// Moves `key` from the terms of `before` to those of `after`; untouched where they agree.
    pub fn refile(&mut self, key: &Key, before: Option<&Head>, after: Option<&Head>) {
        let old = before.map_or_else(Vec::new, |head| terms(&key.resource, head));
        let new = after.map_or_else(Vec::new, |head| terms(&key.resource, head));
        for term in old.iter().filter(|term| !new.contains(term)) {
            self.postings.remove(&Posting::new(*term, key));
        }
        for term in new.iter().filter(|term| !old.contains(term)) {
            self.postings.insert(Posting::new(*term, key));
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

#[cfg(test)]
mod tests;
