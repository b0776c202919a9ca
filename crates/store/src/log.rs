//! The seam to durability.

use std::fmt;

/// One durable fact: a key's new value, or its deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub revision: u64,
    pub born: u64,
    /// `deployments.apps`
    pub resource: Box<str>,
    pub namespace: Box<str>,
    pub name: Box<str>,
    /// `None` deletes the key.
    pub json: Option<Box<[u8]>>,
}

/// A durable log of records. Implementations: embedded (crate `log`), simulated (torn, lost and corrupt
/// writes), later etcd. The same suite of tests runs on all of them.
pub trait Log: Send {
    /// Appends all records and returns once they are durable; all or nothing after a crash.
    ///
    /// # Errors
    /// When the records could not be made durable. None of them may be replayed later.
    fn append(&mut self, batch: &[Record]) -> Result<(), LogError>;

    /// Calls `each` for every live record (the newest per key) and returns the last durable revision.
    ///
    /// # Errors
    /// Damage is named (file, offset), never skipped.
    fn replay(&mut self, each: &mut dyn FnMut(Record)) -> Result<u64, LogError>;
}

/// What went wrong with the log, in words for the operator.
#[derive(Debug, Clone)]
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
