//! The seam to durability.

use crate::object::Object;
use crate::view::View;
use std::fmt;

/// One durable fact: a key's new value, or its deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    pub revision: u64,
    /// Revision at which the key was created.
    pub born: u64,
    /// `deployments.apps`
    pub resource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    /// `None` deletes the key.
    pub stored: Option<Stored<'a>>,
}

/// What is stored of an object. A log keeps both parts and understands neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<'a> {
    /// The selection fields in the store's own encoding, so that start-up parses no JSON.
    pub head: &'a [u8],
    pub json: &'a [u8],
}

impl<'a> Record<'a> {
    pub(crate) fn of(object: &'a Object, head: &'a [u8]) -> Self {
        Self {
            revision: object.revision,
            born: object.born,
            resource: object.key.resource.as_str(),
            namespace: &object.key.namespace,
            name: &object.key.name,
            stored: Some(Stored { head, json: object.json() }),
        }
    }
}

/// A durable log of records. Implementations: embedded and simulated (crate `log`), in memory
/// ([`Volatile`]), later etcd. The same suite of tests runs on the first two.
pub trait Log: Send {
    /// Appends all records and returns once they are durable; all or nothing after a crash.
    ///
    /// # Errors
    /// When the records could not be made durable. None of them may be replayed later.
    fn append(&mut self, batch: &[Record<'_>]) -> Result<(), LogError>;

    /// Calls `each` in the order of writing (older versions of a key, if still kept, come before newer
    /// ones) and returns the last durable revision. Called once, before the first append.
    ///
    /// # Errors
    /// Damage is named (file, offset), never skipped. An error of `each` ends the replay.
    fn replay(
        &mut self,
        each: &mut dyn FnMut(Record<'_>) -> Result<(), LogError>,
    ) -> Result<u64, LogError>;

    /// Told after every durable group, with everything up to it: the place to start a snapshot of `view` so
    /// that older records can be dropped. Must not block for long unless `wanted` is [`Snapshot::Now`].
    ///
    /// # Errors
    /// Only for [`Snapshot::Now`]; a failed automatic snapshot is tried again later.
    fn snapshot(&mut self, view: &View, wanted: Snapshot) -> Result<(), LogError> {
        let _ = (view, wanted);
        Ok(())
    }
}

/// Why the log is offered a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    /// A group was appended: take one if the log has grown enough.
    IfGrown,
    /// An operator asked: when it returns, nothing older than the view is on the disk.
    Now,
}

/// What went wrong with the log, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogError {
    pub message: String,
    /// Whether retrying later can help (disk full) or not (damage).
    pub transient: bool,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LogError {}

/// A log that keeps nothing: for tests, and for clusters meant to be gone with their process.
#[derive(Debug, Default)]
pub struct Volatile;

impl Log for Volatile {
    fn append(&mut self, _: &[Record<'_>]) -> Result<(), LogError> {
        Ok(())
    }

    fn replay(
        &mut self,
        _: &mut dyn FnMut(Record<'_>) -> Result<(), LogError>,
    ) -> Result<u64, LogError> {
        Ok(0)
    }
}
