//! Reads entries from a stream.

use super::header::{self, Block, Flag};
use super::pax::{self, Records};
use super::sparse::{self, MapInData, PaxSparse};
use super::{BLOCK, Entry, Kind};
use crate::error::Doing as _;
use crate::{Error, Result};
use std::io::Read;

/// Longest extended header; Go has the same limit.
const MAX_SPECIAL: u64 = 1 << 20;

/// Pulls entries one after another; between two, the data of the current one is read with
/// [`Reader::data`]. What was not read is skipped.
pub(crate) struct Reader<R> {
    inner: R,
    /// Bytes of the current entry's data not read yet, and the padding behind them.
    left: u64,
    padding: u64,
    global: Records,
}

impl<R: Read> Reader<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, left: 0, padding: 0, global: Records::new() }
    }

    /// The stream behind the last entry (to hash trailing padding).
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The next entry, `None` at the end of the archive.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        let mut local = Records::new();
        let (mut name, mut link) = (None, None);
        loop {
            self.skip()?;
            let Some(block) = self.header_block()? else {
                return Ok(None);
            };
            match header::flag(&block)? {
                Flag::Pax => local = pax::parse(&self.special(&block)?)?,
                Flag::PaxGlobal => {
                    let records = pax::parse(&self.special(&block)?)?;
                    self.global = records;
                }
                Flag::LongName => name = Some(long_text(self.special(&block)?)),
                Flag::LongLink => link = Some(long_text(self.special(&block)?)),
                Flag::Entry(kind) => {
                    return self.entry(&block, kind, local, (name, link)).map(Some);
                }
                Flag::GnuSparse => {
                    return self.gnu_sparse(&block, local, (name, link)).map(Some);
                }
            }
        }
    }

    /// Reads data of the current entry; 0 at its end.
    pub fn data(&mut self, buf: &mut [u8]) -> Result<usize> {
        let want = usize::try_from(self.left).map_or(buf.len(), |left| left.min(buf.len()));
        if want == 0 {
            return Ok(0);
        }
        let got = self.inner.read(&mut buf[..want]).doing("reading the archive")?;
        if got == 0 {
            return Err(truncated());
        }
        self.left -= got as u64;
        Ok(got)
    }

    fn entry(
        &mut self,
        block: &Block,
        kind: Kind,
        local: Records,
        long: (Option<Vec<u8>>, Option<Vec<u8>>),
    ) -> Result<Entry> {
        let mut entry = header::entry(block, kind)?;
        let records = self.overlay(&mut entry, local, long)?;
        // Types without data ignore the size field, as Go does.
        if entry.kind != Kind::File {
            entry.size = 0;
            return Ok(entry);
        }
        self.begin(entry.size);
        match sparse::from_pax(&records, &mut entry)? {
            PaxSparse::No => {}
            PaxSparse::Map(runs) => {
                sparse::validate(&runs, entry.size, self.left)?;
                entry.sparse = Some(runs);
            }
            PaxSparse::InData => {
                let runs = self.map_in_data()?;
                sparse::validate(&runs, entry.size, self.left)?;
                entry.sparse = Some(runs);
            }
        }
        Ok(entry)
    }

    fn gnu_sparse(
        &mut self,
        block: &Block,
        local: Records,
        long: (Option<Vec<u8>>, Option<Vec<u8>>),
    ) -> Result<Entry> {
        let mut entry = header::entry(block, Kind::File)?;
        let (mut runs, real, mut more) = sparse::from_gnu(block)?;
        while more {
            let next = self.block()?.ok_or_else(truncated)?;
            more = sparse::more_gnu(&next, &mut runs)?;
        }
        self.overlay(&mut entry, local, long)?;
        self.begin(entry.size);
        entry.size = real;
        sparse::validate(&runs, real, self.left)?;
        entry.sparse = Some(runs);
        Ok(entry)
    }

    /// Applies global, local and GNU long headers; answers all PAX records.
    fn overlay(
        &mut self,
        entry: &mut Entry,
        local: Records,
        (name, link): (Option<Vec<u8>>, Option<Vec<u8>>),
    ) -> Result<Records> {
        entry.path = name.unwrap_or(std::mem::take(&mut entry.path));
        entry.link = link.unwrap_or(std::mem::take(&mut entry.link));
        let records: Records = self.global.iter().cloned().chain(local).collect();
        if let Some(size) = pax::apply(&records, entry)? {
            entry.size = size;
        }
        Ok(records)
    }

    fn map_in_data(&mut self) -> Result<sparse::Runs> {
        let mut map = MapInData::default();
        loop {
            let mut block = [0; BLOCK];
            if self.left < BLOCK as u64 {
                return Err(Error::invalid("archive/tar: invalid sparse file"));
            }
            self.inner.read_exact(&mut block).map_err(short)?;
            self.left -= BLOCK as u64;
            if let Some(runs) = map.block(&block)? {
                return Ok(runs);
            }
        }
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    fn skip(&mut self) -> Result<()> {
        let rest = self.left + self.padding;
        (self.left, self.padding) = (0, 0);
        if rest == 0 {
            return Ok(());
        }
        let skipped = std::io::copy(&mut (&mut self.inner).take(rest), &mut std::io::sink())
            .doing("reading the archive")?;
        if skipped == rest { Ok(()) } else { Err(truncated()) }
    }

    /// A header; `None` at two zero blocks, or where the stream ends at or after a first one.
    fn header_block(&mut self) -> Result<Option<Block>> {
        let Some(block) = self.block()? else {
            return Ok(None);
        };
        if !header::is_zero(&block) {
            header::verify(&block)?;
            return Ok(Some(block));
        }
        match self.block()? {
            Some(second) if !header::is_zero(&second) => {
                Err(Error::invalid("archive/tar: invalid tar header"))
            }
            _ => Ok(None),
        }
    }

    /// One whole block; `None` at a clean end of the stream.
    fn block(&mut self) -> Result<Option<Block>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..]).doing("reading the archive")? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(truncated()),
                n => filled += n,
            }
        }
        Ok(Some(block))
    }

    /// The data of an extended header.
    fn special(&mut self, block: &Block) -> Result<Vec<u8>> {
        let size = header::size(block)?;
        if size > MAX_SPECIAL {
            return Err(Error::invalid("archive/tar: extended header is too long"));
        }
        let mut data = vec![0; usize::try_from(size).expect("at most 1 MiB")];
        self.inner.read_exact(&mut data).map_err(short)?;
        self.begin(size);
        self.left = 0;
        Ok(data)
    }
}

fn long_text(data: Vec<u8>) -> Vec<u8> {
    header::text(&data).to_vec()
}

fn truncated() -> Error {
    Error::invalid("unexpected EOF")
}

fn short(error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => truncated(),
        _ => Err::<(), _>(error).doing("reading the archive").expect_err("it is an error"),
    }
}
