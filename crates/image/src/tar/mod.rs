//! The tar format as layers use it: ustar, PAX and GNU, with sparse files in all their dialects.
//!
//! Rules follow Go's `archive/tar` (`reader.go`, `strconv.go`, `sparse`), which produced and reads
//! most layers. This module parses and prints; it never touches a file system.

mod header;
mod pax;
mod reader;
mod sparse;
mod writer;

pub(crate) use reader::Reader;
pub(crate) use writer::Writer;

pub(crate) const BLOCK: usize = 512;

/// What an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink,
    Symlink,
    Char,
    Block,
    Dir,
    Fifo,
}

/// One entry with its extended headers already applied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub path: Vec<u8>,
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Size of the file; of a sparse file with its holes.
    pub size: u64,
    /// Seconds and nanoseconds since the epoch.
    pub mtime: (i64, u32),
    /// Target of hard and symbolic links.
    pub link: Vec<u8>,
    pub device: (u32, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Data runs `(offset, length)` of a sparse file, ascending and inside `size`.
    pub sparse: Option<Vec<(u64, u64)>>,
}

#[cfg(test)]
mod tests;
