//! Backups: a snapshot in a file of its own, checked before anything is made of it.

use crate::disk::{Disk, Sink, replace};
use crate::keys::{FILE, Keys};
use crate::record::Codec;
use crate::{segment, snapshot};
use std::io::{self, BufReader, BufWriter, Read, Write};
use store::LogError;

/// Reads a backup wholly (named `place` in errors) and answers its revision and how many objects it has.
///
/// # Errors
/// Damage, by offset; sealed records that `keys` do not open.
pub fn verify(place: &str, from: impl Read, keys: &Keys) -> Result<(u64, u64), LogError> {
    let codec = Codec { keys: keys.clone(), sealed: [].into() };
    let mut objects = 0;
    let (revision, _) = snapshot::read(place, BufReader::new(from), &codec, &mut |_| {
        objects += 1;
        Ok(())
    })?;
    Ok((revision, objects))
}

/// Makes a log of a backup that [`verify`] accepted, on a disk that has none yet. `keys` become its keys.
///
/// # Errors
/// When the disk already holds a log, or cannot be written. What was begun does not pass for a log.
pub fn restore<D: Disk>(
    disk: &D,
    revision: u64,
    from: &mut dyn Read,
    keys: &Keys,
) -> Result<(), LogError> {
    copy(disk, revision, from, keys).map_err(|error| LogError {
        message: format!("the backup cannot be restored: {error}"),
        transient: error.kind() != io::ErrorKind::AlreadyExists,
    })
}

fn copy<D: Disk>(disk: &D, revision: u64, from: &mut dyn Read, keys: &Keys) -> io::Result<()> {
    let log = |name: &String| name.starts_with("log-") || name.starts_with("snapshot-");
    if let Some(name) = disk.names()?.iter().find(|name| log(name) || *name == FILE) {
        let message = format!("there already is a log: {}", disk.place(name));
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    let temporary = "restored.tmp";
    let mut out = BufWriter::new(Sink::new(disk.create(temporary)?));
    io::copy(from, &mut out)?;
    out.flush()?;
    out.get_mut().sync()?;
    replace(disk, FILE, keys.text().as_bytes())?;
    segment::create(disk, revision)?;
    disk.rename(temporary, &snapshot::name(revision))?;
    disk.sync_names()
}
