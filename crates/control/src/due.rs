//! Which keys of which row are due, fairly between rows.

use meta::Time;
use std::collections::{BTreeMap, BTreeSet};
use store::Key;

/// Index of a row in the table.
pub(crate) type RowId = usize;

/// Due keys, timers and back-off of every row.
#[derive(Default)]
pub(crate) struct Due {
    ready: Vec<BTreeSet<Key>>,
    /// The row whose turn it is.
    next: RowId,
    timers: BTreeSet<(Time, RowId, Key)>,
    /// The one timer of a key, so that a later plan replaces it.
    set: BTreeMap<(RowId, Key), Time>,
    failures: BTreeMap<(RowId, Key), u32>,
}

/// Upstream's default controller rate limiter: 5 ms doubling up to 1000 s.
const BACKOFF_FIRST_MS: i64 = 5;
const BACKOFF_MAX_MS: i64 = 1_000_000;

impl Due {
    pub fn new(rows: usize) -> Self {
        Self { ready: vec![BTreeSet::new(); rows], ..Self::default() }
    }

    pub fn add(&mut self, row: RowId, key: Key) {
        self.ready[row].insert(key);
    }

    /// Makes the key due at `at`; replaces an earlier timer of the key.
    pub fn add_at(&mut self, row: RowId, key: Key, at: Time) {
        self.cancel(row, &key);
        self.set.insert((row, key.clone()), at);
        self.timers.insert((at, row, key));
    }

    pub fn cancel(&mut self, row: RowId, key: &Key) {
        if let Some(at) = self.set.remove(&(row, key.clone())) {
            self.timers.remove(&(at, row, key.clone()));
        }
    }

    /// Moves what is due by `now` from the timers to the ready keys.
    pub fn ring(&mut self, now: Time) {
        while let Some((at, row, key)) = self.timers.first().cloned() {
            if at > now {
                break;
            }
            self.cancel(row, &key);
            self.add(row, key);
        }
    }

    pub fn next_timer(&self) -> Option<Time> {
        self.timers.first().map(|(at, _, _)| *at)
    }

    /// The next ready key, one per row in turn.
    pub fn pop(&mut self) -> Option<(RowId, Key)> {
        let rows = self.ready.len();
        for step in 0..rows {
            let row = (self.next + step) % rows;
            if let Some(key) = self.ready[row].pop_first() {
                self.next = (row + 1) % rows;
                return Some((row, key));
            }
        }
        None
    }

    pub fn is_ready(&self) -> bool {
        self.ready.iter().any(|keys| !keys.is_empty())
    }

    /// The key failed: due again after its back-off.
    pub fn back_off(&mut self, row: RowId, key: Key, now: Time) {
        let count = self.failures.entry((row, key.clone())).or_default();
        let delay = (BACKOFF_FIRST_MS << (*count).min(18)).min(BACKOFF_MAX_MS);
        *count += 1;
        self.add_at(row, key, now.plus_ms(delay));
    }

    pub fn succeeded(&mut self, row: RowId, key: &Key) {
        self.failures.remove(&(row, key.clone()));
    }
}
