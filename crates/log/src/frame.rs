//! The bytes of every file: a header, then frames, each with its checksums.
//!
//! ```text
//! header  magic 8 | kind 1 | format 1 | zero 2 | revision 8 | zero 8 | crc32 of the 28 before
//! frame   length 4 | crc32 of payload 4 | zero 4 | crc32 of the 12 before | payload | zeros to a multiple of 16
//! ```
//! Little-endian. Frame headers lie on multiples of 16, so none spans two disk sectors: after a power
//! failure one is either wholly there or wholly not.

use crc32fast::hash;
use std::io::{self, Read};

pub(crate) const HEADER: usize = 32;
pub(crate) const FRAME: usize = 16;
const MAGIC: &[u8; 8] = b"BOXSHIP\n";
const FORMAT: u8 = 1;
/// What a disk writes at once.
pub(crate) const SECTOR: usize = 512;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Segment = 1,
    Snapshot = 2,
}

pub(crate) fn header(kind: Kind, revision: u64) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[..8].copy_from_slice(MAGIC);
    out[8] = kind as u8;
    out[9] = FORMAT;
    out[12..20].copy_from_slice(&revision.to_le_bytes());
    let crc = hash(&out[..28]);
    out[28..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The revision in a header, or what is wrong with it.
pub(crate) fn parse_header(kind: Kind, bytes: &[u8; HEADER]) -> Result<u64, String> {
    if bytes[..8] != *MAGIC {
        return Err("this is not a file of the store".into());
    }
    if bytes[28..] != hash(&bytes[..28]).to_le_bytes() {
        return Err("the header is damaged".into());
    }
    if bytes[9] != FORMAT {
        let format = bytes[9];
        return Err(format!("it has format {format}, this program knows format {FORMAT}"));
    }
    if bytes[8] != kind as u8 {
        return Err(format!("it is not a {kind:?}"));
    }
    Ok(u64::from_le_bytes(bytes[12..20].try_into().expect("eight bytes")))
}

/// Starts a frame in `out`; the payload is appended after it.
pub(crate) fn begin(out: &mut Vec<u8>) {
    out.clear();
    out.resize(FRAME, 0);
}

/// Fills in the header of the frame begun in `out` and pads it.
pub(crate) fn finish(out: &mut Vec<u8>) -> io::Result<()> {
    let length = u32::try_from(out.len() - FRAME)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a group of more than 4 GiB"))?;
    let crc = hash(&out[FRAME..]);
    out[..4].copy_from_slice(&length.to_le_bytes());
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    let crc = hash(&out[..12]);
    out[12..16].copy_from_slice(&crc.to_le_bytes());
    out.resize(out.len().next_multiple_of(FRAME), 0);
    Ok(())
}

/// Length and checksum of the payload; `None` when this is no frame header.
pub(crate) fn parse_frame(bytes: &[u8]) -> Option<(usize, u32)> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    if word(12)? != hash(&bytes[..12]) {
        return None;
    }
    Some((word(0)? as usize, word(4)?))
}

/// What stands at some place of a file.
pub(crate) enum Next {
    /// The payload is in the buffer.
    Frame,
    /// The file ends here, or only holds zeros from here as far as one header reaches.
    End,
    /// Neither.
    Bad,
}

/// Reads frames one after the other.
pub(crate) struct Frames<R> {
    from: R,
    /// Where the next frame starts.
    pub at: u64,
}

impl<R: Read> Frames<R> {
    /// After the header.
    pub fn new(from: R) -> Self {
        Self { from, at: HEADER as u64 }
    }

    /// Reads the next payload into `payload`. After anything but a frame, `at` is where that stands.
    pub fn next(&mut self, payload: &mut Vec<u8>) -> io::Result<Next> {
        payload.clear();
        (&mut self.from).take(FRAME as u64).read_to_end(payload)?;
        if payload.iter().all(|byte| *byte == 0) {
            return Ok(Next::End);
        }
        let Some((length, crc)) = parse_frame(payload) else { return Ok(Next::Bad) };
        payload.clear();
        let padded = length.next_multiple_of(FRAME);
        (&mut self.from).take(padded as u64).read_to_end(payload)?;
        if payload.len() < padded || hash(&payload[..length]) != crc {
            return Ok(Next::Bad);
        }
        payload.truncate(length);
        self.at += (FRAME + padded) as u64;
        Ok(Next::Frame)
    }
}

/// What follows the last good frame of the last segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    Clean,
    /// A write that never was acknowledged: power failed in the middle of it.
    Torn,
    Damaged,
}

/// Judges what follows `at` in `file` (from some sector on). A torn write leaves sectors unwritten, which are zeros (segments
/// are filled with zeros before they are written to), and nothing valid comes after it; everything else
/// is damage to something that may have been acknowledged.
pub(crate) fn judge(file: &[u8], at: usize) -> Tail {
    let rest = file.get(at..).unwrap_or_default();
    if rest.iter().all(|byte| *byte == 0) {
        return Tail::Clean;
    }
    if (FRAME..rest.len()).step_by(FRAME).any(|later| valid(&rest[later..])) {
        return Tail::Damaged;
    }
    let start = &rest[..rest.len().min(FRAME)];
    if start.iter().all(|byte| *byte == 0) {
        return Tail::Torn;
    }
    match parse_frame(start) {
        Some((length, _)) if FRAME + length <= rest.len() => {
            if unwritten_sector(file, at + FRAME, length) { Tail::Torn } else { Tail::Damaged }
        }
        // Space is laid out before it is written to, so a frame never reaches beyond the end by itself.
        _ => Tail::Damaged,
    }
}

fn valid(bytes: &[u8]) -> bool {
    let Some((length, crc)) = parse_frame(bytes) else { return false };
    bytes.get(FRAME..FRAME + length).is_some_and(|payload| length > 0 && hash(payload) == crc)
}

fn unwritten_sector(file: &[u8], from: usize, length: usize) -> bool {
    let to = from + length;
    let first = from.next_multiple_of(SECTOR);
    (first..to).step_by(SECTOR).any(|at| file[at..to.min(at + SECTOR)].iter().all(|b| *b == 0))
}
