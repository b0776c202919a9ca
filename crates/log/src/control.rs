//! What an operator does to a log in use: key rotation, online backup.

use crate::disk::Disk;
use crate::record::Codec;
use crate::snapshot;
use crate::wal::failed;
use std::io::{self, Write};
use store::{LogError, View};

/// What an operator may do while the log is in use.
#[derive(Clone)]
pub struct Control<D: Disk> {
    disk: D,
    codec: Codec,
}

impl<D: Disk> Control<D> {
    pub(crate) fn new(disk: D, codec: Codec) -> Self {
        Self { disk, codec }
    }

    /// Seals with a fresh key from now on, writes everything anew with it, then forgets the older keys.
    ///
    /// # Errors
    /// When something could not be written; whatever is on the disk can still be read with the key file.
    pub fn rotate(&self, store: &store::Store) -> Result<(), LogError> {
        let keys = &self.codec.keys;
        let save = || keys.save(&self.disk).map_err(|error| failed("the key file", &error));
        keys.add().map_err(|error| failed("a new key", &error))?;
        if let Err(error) = save() {
            keys.withdraw();
            return Err(error);
        }
        store.snapshot()?;
        keys.retire();
        save()
    }

    /// Writes the view to `out` as a backup: see [`restore`](crate::restore). Returns its size. Sealed
    /// records stay sealed, so a restore also needs the key file.
    ///
    /// # Errors
    /// Those of `out`; what was written so far is of no use then.
    pub fn backup(&self, view: &View, out: &mut dyn Write) -> io::Result<u64> {
        snapshot::write(view, &self.codec, out)
    }
}
