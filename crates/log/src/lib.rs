//! The durable log under the store: checksummed segments, snapshots, sealed secrets, backups.
//!
//! One code on two disks: [`RealDisk`] is a directory, [`SimDisk`] a simulated one that tears, loses and
//! corrupts what was not synced. All objects live in the store's memory; here is only what a start needs:
//! the newest snapshot and the segments after it.
//!
//! It does not know what the records mean, and it never repairs damage: everything but the torn,
//! never acknowledged end of the last segment is refused by file and offset.

mod backup;
mod control;
mod disk;
mod frame;
mod keys;
mod record;
mod segment;
mod sim;
mod snapshot;
mod wal;

pub use backup::{restore, verify};
pub use control::Control;
pub use disk::{Disk, DiskFile, RealDisk};
pub use keys::Keys;
pub use sim::{SimDisk, SimFile};
pub use wal::{Aside, Options, Wal};
