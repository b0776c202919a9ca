//! Prints entries: ustar where it fits, PAX records where it does not. Equal entries always give
//! equal bytes; times are cut to seconds, as Docker's archives have them.

use super::{BLOCK, Entry, Kind, pax};
use crate::Result;
use crate::error::Doing as _;
use std::io::{Read, Write};

const OCTAL_8G: u64 = 0o777_7777_7777;
const OCTAL_ID: u32 = 0o777_7777;

pub(crate) struct Writer<W> {
    inner: W,
}

impl<W: Write> Writer<W> {
    pub fn new(inner: W) -> Self {
        Self { inner }
    }

    /// An entry without data, or the header before [`Writer::data`].
    pub fn entry(&mut self, entry: &Entry) -> Result<()> {
        let records = records(entry);
        if !records.is_empty() {
            let base = entry.path.rsplit(|b| *b == b'/').find(|p| !p.is_empty()).unwrap_or(b"x");
            let head = header(&Plain {
                path: &[b"PaxHeaders.0/", &base[..base.len().min(80)]].concat(),
                flag: b'x',
                size: records.len() as u64,
                mode: 0o644,
                entry: None,
            });
            self.put(&head)?;
            self.put(&records)?;
            self.pad(records.len() as u64)?;
        }
        let head = header(&Plain {
            path: &entry.path,
            flag: flag(entry.kind),
            size: if entry.kind == Kind::File { entry.size } else { 0 },
            mode: entry.mode,
            entry: Some(entry),
        });
        self.put(&head)
    }

    /// Exactly `size` bytes of `data`; fails when the file ends earlier (it changed meanwhile).
    pub fn data(&mut self, data: &mut dyn Read, size: u64) -> Result<()> {
        let copied =
            std::io::copy(&mut data.take(size), &mut self.inner).doing("writing the archive")?;
        if copied != size {
            return Err(crate::Error::conflict("file changed as we read it"));
        }
        self.pad(size)
    }

    /// A whole small file.
    pub fn file(&mut self, path: &str, bytes: &[u8], mtime: i64) -> Result<()> {
        self.entry(&Entry {
            path: path.into(),
            kind: Kind::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: bytes.len() as u64,
            mtime: (mtime, 0),
            link: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
            sparse: None,
        })?;
        self.put(bytes)?;
        self.pad(bytes.len() as u64)
    }

    /// The two zero blocks.
    pub fn finish(mut self) -> Result<W> {
        self.put(&[0; 2 * BLOCK])?;
        Ok(self.inner)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.inner.write_all(bytes).doing("writing the archive")
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let rest = usize::try_from(size % BLOCK as u64).expect("below 512");
        if rest == 0 { Ok(()) } else { self.put(&[0; BLOCK][rest..]) }
    }
}

struct Plain<'a> {
    path: &'a [u8],
    flag: u8,
    size: u64,
    mode: u32,
    entry: Option<&'a Entry>,
}

fn header(plain: &Plain<'_>) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    copy(&mut block[0..100], plain.path);
    octal(&mut block[100..108], u64::from(plain.mode));
    let id = |id: u32| u64::from(if id <= OCTAL_ID { id } else { 0 });
    octal(&mut block[108..116], plain.entry.map_or(0, |e| id(e.uid)));
    octal(&mut block[116..124], plain.entry.map_or(0, |e| id(e.gid)));
    octal(&mut block[124..136], if plain.size <= OCTAL_8G { plain.size } else { 0 });
    let mtime = plain.entry.map_or(0, |e| u64::try_from(e.mtime.0).unwrap_or(0));
    octal(&mut block[136..148], if mtime <= OCTAL_8G { mtime } else { 0 });
    block[156] = plain.flag;
    block[257..265].copy_from_slice(b"ustar\x0000");
    if let Some(entry) = plain.entry {
        copy(&mut block[157..257], &entry.link);
        octal(&mut block[329..337], u64::from(entry.device.0));
        octal(&mut block[337..345], u64::from(entry.device.1));
    }
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
    octal(&mut block[148..155], sum);
    block
}

fn records(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::new();
    let plain = |bytes: &[u8]| bytes.len() <= 100 && bytes.is_ascii();
    let mut add = |key: &[u8], value: &[u8]| out.extend(pax::record(key, value));
    if !plain(&entry.path) {
        add(b"path", &entry.path);
    }
    if !plain(&entry.link) {
        add(b"linkpath", &entry.link);
    }
    if entry.kind == Kind::File && entry.size > OCTAL_8G {
        add(b"size", entry.size.to_string().as_bytes());
    }
    if entry.uid > OCTAL_ID {
        add(b"uid", entry.uid.to_string().as_bytes());
    }
    if entry.gid > OCTAL_ID {
        add(b"gid", entry.gid.to_string().as_bytes());
    }
    if entry.mtime.0 < 0 || entry.mtime.0.unsigned_abs() > OCTAL_8G {
        add(b"mtime", entry.mtime.0.to_string().as_bytes());
    }
    for (name, value) in &entry.xattrs {
        add(&pax::xattr_key(name), value);
    }
    out
}

const fn flag(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::Char => b'3',
        Kind::Block => b'4',
        Kind::Dir => b'5',
        Kind::Fifo => b'6',
    }
}

fn copy(field: &mut [u8], bytes: &[u8]) {
    let n = bytes.len().min(field.len());
    field[..n].copy_from_slice(&bytes[..n]);
}

/// Zero-padded octal with a closing NUL.
fn octal(field: &mut [u8], value: u64) {
    let text = format!("{value:0width$o}", width = field.len() - 1);
    copy(field, text.as_bytes());
}
