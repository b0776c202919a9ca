//! The file being appended to.

use crate::disk::{Disk, DiskFile};
use crate::frame::{HEADER, Kind, header};
use std::io;

/// Space is filled with zeros this far ahead (as far again as there is, within bounds): overwriting needs
/// one disk write per sync, growing two.
const AHEAD: std::ops::RangeInclusive<u64> = (64 << 10)..=(1 << 20);

pub(crate) struct Segment<F> {
    file: F,
    /// Where the next frame goes.
    end: u64,
    /// Everything up to here is laid out and durable, as zeros after `end`.
    room: u64,
    /// Bytes after `end` that a failed write may have left, still to be wiped.
    dirty: u64,
}

/// The name of the segment with the records after `revision`. Sorts by revision.
pub(crate) fn name(revision: u64) -> String {
    format!("log-{revision:016x}")
}

/// A new, empty, durable segment.
pub(crate) fn create<D: Disk>(disk: &D, revision: u64) -> io::Result<Segment<D::File>> {
    let (name, temporary) = (name(revision), format!("{}.tmp", name(revision)));
    let mut file = disk.create(&temporary)?;
    file.write_at(0, &header(Kind::Segment, revision))?;
    file.sync()?;
    disk.rename(&temporary, &name)?;
    disk.sync_names()?;
    Ok(Segment { file, end: HEADER as u64, room: HEADER as u64, dirty: 0 })
}

/// An old one whose good frames end at `end`; whatever follows is wiped.
pub(crate) fn resume<D: Disk>(disk: &D, revision: u64, end: u64) -> io::Result<Segment<D::File>> {
    let file = disk.open(&name(revision))?;
    let size = file.size()?;
    let dirty = size.saturating_sub(end);
    let mut segment = Segment { file, end, room: size.max(end), dirty };
    segment.wipe()?;
    Ok(segment)
}

impl<F: DiskFile> Segment<F> {
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Writes a frame and returns once it is durable. After an error nothing of it will be read back, unless
    /// the disk also refuses to have it wiped; then the wiping is tried again before the next frame.
    pub fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.wipe()?;
        self.lay_out(frame.len() as u64)?;
        let written = self.file.write_at(self.end, frame).and_then(|()| self.file.sync());
        if let Err(error) = written {
            self.dirty = frame.len() as u64;
            // The first error is the one to tell; a second one shows when the wiping is tried again.
            let _ = self.wipe();
            return Err(error);
        }
        self.end += frame.len() as u64;
        Ok(())
    }

    fn lay_out(&mut self, more: u64) -> io::Result<()> {
        let wanted = self.end + more;
        if wanted <= self.room {
            return Ok(());
        }
        let ahead = self.end.next_power_of_two().clamp(*AHEAD.start(), *AHEAD.end());
        let room = wanted.next_multiple_of(ahead);
        self.zero(self.room, room)?;
        self.file.sync()?;
        self.room = room;
        Ok(())
    }

    fn wipe(&mut self) -> io::Result<()> {
        if self.dirty == 0 {
            return Ok(());
        }
        self.zero(self.end, self.end + self.dirty)?;
        self.file.sync()?;
        self.dirty = 0;
        Ok(())
    }

    fn zero(&mut self, from: u64, to: u64) -> io::Result<()> {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        let mut at = from;
        while at < to {
            let part = (to - at).min(ZEROS.len() as u64);
            self.file.write_at(at, &ZEROS[..part as usize])?;
            at += part;
        }
        Ok(())
    }
}
