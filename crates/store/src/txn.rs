//! What a writer asks for and what it gets.

use crate::draft::Draft;
use crate::object::{Key, Object};
use std::sync::Arc;

/// Operations that happen together or not at all. Each operation gets its own revision, in order.
#[derive(Debug, Clone, Default)]
pub struct Txn {
    pub ops: Vec<Op>,
}

#[derive(Debug, Clone)]
pub enum Op {
    /// A write that repeats what is stored changes nothing and takes no revision.
    Put {
        draft: Draft,
        expect: Expect,
    },
    Delete {
        key: Key,
        expect: Expect,
    },
    /// Changes nothing; rejects the transaction when the key is not as expected.
    Check {
        key: Key,
        expect: Expect,
    },
}

/// The state a key must be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Either way: create or replace.
    Any,
    Absent,
    Present,
    Revision(u64),
}

/// A committed, durable transaction. One object per operation: the new (or repeated) version for `Put`, the last version
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
    /// The log could not be written (disk full, input/output error). Later writes are tried afresh.
    Log(Arc<str>),
    /// The writer is shutting down.
    Closed,
}

impl std::fmt::Display for Reject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exists(key) => write!(f, "{} already exists", Path(key)),
            Self::Missing(key) => write!(f, "{} does not exist", Path(key)),
            Self::Changed { key, current } => {
                write!(f, "{} has changed: it is at revision {}", Path(key), current.revision)
            }
            Self::Log(cause) => write!(f, "the write could not be made durable: {cause}"),
            Self::Closed => f.write_str("the store is closed"),
        }
    }
}

impl std::error::Error for Reject {}

struct Path<'a>(&'a Key);

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Key { resource, namespace, name } = self.0;
        match &**namespace {
            "" => write!(f, "{resource}/{name}"),
            namespace => write!(f, "{resource}/{namespace}/{name}"),
        }
    }
}
