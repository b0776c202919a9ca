//! Snapshots: a writable (or read-only) view of layers under a key of the caller's choice.

use crate::{After, Base, Change, Layer, Result, RootfsSpec, Usage};

/// Keys are `[a-zA-Z0-9_.-]{1,128}`, usually container IDs. Implementations survive restarts:
/// what was prepared is still there, what was removed is gone.
pub trait Snapshotter: Send + Sync {
    /// A fresh writable snapshot. Fails with a conflict when `key` exists.
    fn prepare(&self, key: &str, base: &Base) -> Result<RootfsSpec>;
    /// A read-only snapshot (image volumes, `COPY --from`). Holds its layers until removed.
    fn view(&self, key: &str, base: &Base) -> Result<RootfsSpec>;
    /// The directories of an existing snapshot.
    fn get(&self, key: &str) -> Result<RootfsSpec>;
    /// Forgets the snapshot and frees its bytes; succeeds when it is not there. It must be
    /// unmounted.
    fn remove(&self, key: &str) -> Result<()>;
    /// All keys, sorted.
    fn keys(&self) -> Vec<String>;
    /// What the snapshot itself holds, without its layers.
    fn usage(&self, key: &str) -> Result<Usage>;
    /// Against its base, sorted by path.
    fn diff(&self, key: &str) -> Result<Vec<Change>>;
    /// The changes as a new layer; its tar is reproducible (sorted paths, no access times).
    fn commit(&self, key: &str, after: After) -> Result<Layer>;
}

/// Mounts a snapshot or view at `target`.
pub fn mount(_spec: &RootfsSpec, _target: &std::path::Path) -> Result<()> {
    Err(crate::Error::internal("mounting is not implemented yet"))
}

/// Unmounts what [`mount`] mounted.
pub fn unmount(_target: &std::path::Path) -> Result<()> {
    Err(crate::Error::internal("mounting is not implemented yet"))
}
