//! Snapshots: a writable (or read-only) view of layers under a key of the caller's choice.

mod diff;
mod fake;
mod mounting;
mod overlay;

pub use fake::FakeSnapshots;
pub use mounting::{mount, unmount, unmount_leftovers};
pub use overlay::OverlaySnapshots;

use crate::{After, Base, Change, Error, Layer, Result, RootfsSpec, Usage};

/// Keys are `[a-zA-Z0-9_.-]{1,128}`, usually container IDs. Implementations survive restarts:
/// what was prepared is still there, what was removed is gone.
pub trait Snapshotter: Send + Sync {
    /// A fresh writable snapshot. Fails with a conflict when `key` exists.
    fn prepare(&self, key: &str, base: &Base) -> Result<RootfsSpec>;
    /// A read-only snapshot (image volumes, `COPY --from`). Holds its layers until removed.
    fn view(&self, key: &str, base: &Base) -> Result<RootfsSpec>;
    /// Returns when the snapshot would survive a power cut (its content apart).
    fn persist(&self, key: &str) -> Result<()>;
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

/// Refuses keys that would not be plain file names.
fn check_key(key: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let sound = (1..=128).contains(&key.len())
        && key.bytes().all(plain)
        && key.as_bytes()[0].is_ascii_alphanumeric();
    if sound { Ok(()) } else { Err(Error::invalid(format!("invalid snapshot key {key:?}"))) }
}

fn missing(key: &str) -> Error {
    Error::not_found(format!("snapshot {key} does not exist"))
}

fn taken(key: &str) -> Error {
    Error::conflict(format!("snapshot {key} already exists"))
}

#[cfg(test)]
mod tests;
