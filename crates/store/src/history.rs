//! Changes since the last compaction, for watches, for controllers, and for reading the past.

use crate::object::Object;
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
