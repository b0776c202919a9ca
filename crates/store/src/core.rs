//! The store without a thread: state, history and log, moved forward one group at a time.

use crate::head::{self, Heads};
use crate::history::{Change, History};
use crate::intern::Pool;
use crate::log::{Log, LogError, Record, Snapshot, Stored};
use crate::object::{Body, Key, Object};
use crate::state::State;
use crate::txn::{Receipt, Reject, Txn};
use crate::view::View;
use meta::Resource;
use std::collections::HashMap;
use std::sync::Arc;

/// How a store is opened.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub heads: Heads,
    /// Bytes of old versions kept for watches and for reading the past.
    pub history_bytes: usize,
}

impl Options {
    /// 32 MiB of history.
    pub fn new(heads: Heads) -> Self {
        Self { heads, history_bytes: 32 << 20 }
    }
}

pub(crate) struct Core {
    state: State,
    history: History,
    pool: Pool,
    log: Box<dyn Log>,
    heads: Heads,
}

impl Core {
    pub fn open(mut log: Box<dyn Log>, options: Options) -> Result<Self, LogError> {
        let mut replay = Replay::new(options.heads);
        let last = log.replay(&mut |record| replay.record(&record))?;
        let (mut state, pool) = (replay.state, replay.pool);
        state.revision = last.max(state.revision);
        state.reindex();
        let history = History::new(state.revision, options.history_bytes);
        Ok(Self { state, history, pool, log, heads: options.heads })
    }

    pub fn view(&self) -> View {
        View::new(self.state.clone(), self.history.clone(), self.heads.version)
    }

    /// Commits the transactions as one group. One that does not fit is rejected alone; when the log fails,
    /// all of them are, and nothing has changed.
    pub fn commit(&mut self, txns: Vec<Txn>) -> Vec<Result<Receipt, Reject>> {
        let mut next = self.state.clone();
        let mut changes = Vec::with_capacity(txns.len());
        let mut results = Vec::with_capacity(txns.len());
        for txn in txns {
            results.push(next.apply(txn, &mut self.pool).map(|(receipt, more)| {
                changes.extend(more);
                receipt
            }));
        }
        if changes.is_empty() {
            return results;
        }
        if let Err(error) = self.append(&changes) {
            // Even a conflict is void: it may have been with a write that now never happened.
            let reject = Reject::Log(error.message.into());
            return results.iter().map(|_| Err(reject.clone())).collect();
        }
        self.history.push(changes, &next);
        self.state = next;
        results
    }

    fn append(&mut self, changes: &[Change]) -> Result<(), LogError> {
        let version = self.heads.version;
        let heads: Vec<_> = changes.iter().map(|change| stored_head(version, change)).collect();
        let batch: Vec<_> =
            changes.iter().zip(&heads).map(|(change, head)| record(change, head)).collect();
        self.log.append(&batch)
    }

    pub fn compact(&mut self, revision: u64) {
        self.history.compact(revision.min(self.state.revision));
    }

    pub fn snapshot(&mut self, wanted: Snapshot) -> Result<(), LogError> {
        let view = self.view();
        self.log.snapshot(&view, wanted)
    }
}

fn stored_head(version: u32, change: &Change) -> Vec<u8> {
    if change.deletion {
        return Vec::new();
    }
    head::encode(version, change.after.body.version_at, &change.after.head)
}

fn record<'a>(change: &'a Change, head: &'a [u8]) -> Record<'a> {
    let record = Record::of(&change.after, head);
    if change.deletion { Record { stored: None, ..record } } else { record }
}

/// The state being rebuilt from records.
struct Replay {
    state: State,
    pool: Pool,
    heads: Heads,
    resources: HashMap<Box<str>, Resource>,
}

impl Replay {
    fn new(heads: Heads) -> Self {
        let (state, pool) = (State::default(), Pool::default());
        Self { state, pool, heads, resources: HashMap::new() }
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), LogError> {
        let mut key = self.key(record);
        let before = self.state.get(&key).cloned();
        // A snapshot lists keys in their order, not in that of their revisions.
        self.state.revision = self.state.revision.max(record.revision);
        match (record.stored, before) {
            (Some(stored), before) => {
                if let Some(before) = before {
                    key = before.key.clone();
                }
                let object = self.object(key, record, stored)?;
                self.state.file(Arc::new(object));
            }
            (None, Some(before)) => self.state.unfile(&before),
            (None, None) => {}
        }
        Ok(())
    }

    fn key(&mut self, record: &Record<'_>) -> Key {
        let resource = match self.resources.get(record.resource) {
            Some(known) => known.clone(),
            None => {
                let (plural, group) =
                    record.resource.split_once('.').unwrap_or((record.resource, ""));
                let resource = Resource::new(group, plural);
                self.resources.insert(record.resource.into(), resource.clone());
                resource
            }
        };
        Key { resource, namespace: self.pool.text(record.namespace), name: record.name.into() }
    }

    fn object(
        &mut self,
        key: Key,
        record: &Record<'_>,
        stored: Stored<'_>,
    ) -> Result<Object, LogError> {
        let decoded = head::decode(self.heads.version, stored.head, &mut self.pool);
        let Some((version_at, head)) = decoded else {
            let Key { resource, namespace, name } = &key;
            let message =
                format!("{resource}/{namespace}/{name}: its stored fields cannot be read");
            return Err(LogError { message, transient: false });
        };
        let head = head.unwrap_or_else(|| {
            let mut head = (self.heads.parse)(&key, stored.json);
            self.pool.head(&mut head);
            head
        });
        let body = Body { json: stored.json.into(), version_at };
        Ok(Object::new(key, Arc::new(head), record.revision, record.born, body))
    }
}
