//! What a writer asks for and what it gets.

use crate::object::{Draft, Key, Object};
use std::sync::Arc;

/// Operations that happen together or not at all. Each operation gets its own revision, in order.
#[derive(Debug, Clone, Default)]
pub struct Txn {
    pub ops: Vec<Op>,
}

#[derive(Debug, Clone)]
pub enum Op {
    Put { draft: Draft, expect: Expect },
    Delete { key: Key, expect: Expect },
    /// Changes nothing; rejects the transaction when the key is not as expected.
    Check { key: Key, expect: Expect },
}

/// The state a key must be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    Absent,
    Present,
    Revision(u64),
}

/// A committed, durable transaction. One object per operation: the new version for `Put`, the last version
/// (stamped with the revision of its deletion) for `Delete`, none for `Check`.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub revision: u64,
    pub objects: Vec<Option<Arc<Object>>>,
}

/// Why a transaction did not happen. Nothing of it is visible.
#[derive(Debug, Clone)]
pub enum Reject {
    /// `Expect::Absent`, but the key exists.
    Exists(Key),
    /// `Expect::Present` or `Expect::Revision`, but the key does not exist.
    Missing(Key),
    /// `Expect::Revision`, but the key has moved on.
    Changed { key: Key, current: Arc<Object> },
    /// The log could not be written (disk full, input/output error). The store refuses writes until it can.
    Log(Arc<str>),
    /// The writer is shutting down.
    Closed,
}
