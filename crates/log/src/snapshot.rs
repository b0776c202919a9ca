//! Everything at one revision in one file: what a start reads first, and what a backup is.

use crate::frame::{self, Frames, HEADER, Kind, Next};
use crate::record::{Broken, Codec};
use std::io::{self, Read, Write};
use store::codec::{Reader, put_number};
use store::{LogError, Record, View};

/// Payloads are closed at this size: what reading holds in memory at a time.
const CHUNK: usize = 256 << 10;

/// The name of the snapshot at `revision`. Sorts by revision.
pub(crate) fn name(revision: u64) -> String {
    format!("snapshot-{revision:016x}")
}

/// Writes the view; syncing is the caller's. Returns how many bytes it took.
pub(crate) fn write(view: &View, codec: &Codec, out: &mut dyn Write) -> io::Result<u64> {
    out.write_all(&frame::header(Kind::Snapshot, view.revision()))?;
    let (mut count, mut bytes) = (0u64, HEADER as u64);
    let mut chunk = Vec::new();
    begin(&mut chunk, MORE);
    let walked = view.records(&mut |record| {
        codec.put(&mut chunk, &record);
        count += 1;
        if chunk.len() >= CHUNK {
            bytes += flush(&mut chunk, out).map_err(|error| log_error(&error))?;
            begin(&mut chunk, MORE);
        }
        Ok(())
    });
    walked.map_err(|error| io::Error::other(error.message))?;
    bytes += flush(&mut chunk, out)?;
    begin(&mut chunk, LAST);
    put_number(&mut chunk, count);
    bytes += flush(&mut chunk, out)?;
    Ok(bytes)
}

/// First byte of a payload: records follow, or the count of all records.
const MORE: u8 = 1;
const LAST: u8 = 2;

fn begin(chunk: &mut Vec<u8>, what: u8) {
    frame::begin(chunk);
    chunk.push(what);
}

fn flush(chunk: &mut Vec<u8>, out: &mut dyn Write) -> io::Result<u64> {
    frame::finish(chunk)?;
    out.write_all(chunk)?;
    Ok(chunk.len() as u64)
}

fn log_error(error: &io::Error) -> LogError {
    LogError { message: error.to_string(), transient: true }
}

/// Hands every record to `each`; answers revision and size. A snapshot is only ever read whole: whatever is
/// not as it was written is damage.
pub(crate) fn read(
    place: &str,
    mut from: impl Read,
    codec: &Codec,
    each: &mut dyn FnMut(Record<'_>) -> Result<(), LogError>,
) -> Result<(u64, u64), LogError> {
    let revision = read_header(place, &mut from, Kind::Snapshot)?;
    let mut frames = Frames::new(from);
    let (mut payload, mut count) = (Vec::new(), 0u64);
    loop {
        let at = frames.at;
        let damaged = |what: &str| damage(place, at, what);
        match frames.next(&mut payload).map_err(|error| unreadable(place, &error))? {
            Next::Frame => {}
            Next::End | Next::Bad => return Err(damaged("the snapshot is damaged or cut off")),
        }
        let Some((what, records)) = payload.split_first() else {
            return Err(damaged("an empty frame"));
        };
        if *what == LAST {
            let complete = Reader::new(records).number() == Some(count);
            let size = frames.at;
            return match complete && ends(frames, &mut payload, place)? {
                true => Ok((revision, size)),
                false => Err(damaged("the snapshot does not end where it should")),
            };
        }
        codec
            .each(records, &mut |record| {
                count += 1;
                each(record)
            })
            .map_err(|broken| broken_at(place, at, broken))?;
    }
}

fn ends<R: Read>(mut frames: Frames<R>, rest: &mut Vec<u8>, place: &str) -> Result<bool, LogError> {
    let next = frames.next(rest).map_err(|error| unreadable(place, &error))?;
    Ok(matches!(next, Next::End) && rest.is_empty())
}

pub(crate) fn read_header(place: &str, from: &mut impl Read, kind: Kind) -> Result<u64, LogError> {
    let mut bytes = [0; HEADER];
    from.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damage(place, 0, "the header is cut off"),
        _ => unreadable(place, &error),
    })?;
    frame::parse_header(kind, &bytes).map_err(|what| damage(place, 0, &what))
}

pub(crate) fn broken_at(place: &str, at: u64, broken: Broken) -> LogError {
    match broken {
        Broken::Record(what) => damage(place, at, &what),
        Broken::Refused(LogError { message, transient }) => {
            LogError { message: format!("{place}, offset {at}: {message}"), transient }
        }
    }
}

pub(crate) fn damage(place: &str, at: u64, what: &str) -> LogError {
    let message = format!(
        "{place}, offset {at}: {what}; hint: restore a backup, nothing was changed on the disk"
    );
    LogError { message, transient: false }
}

pub(crate) fn unreadable(place: &str, error: &io::Error) -> LogError {
    LogError { message: format!("{place} cannot be read: {error}"), transient: false }
}
