//! Header blocks: name/value pairs through one compressor for the whole session.

use super::dictionary::dictionary;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use std::collections::BTreeMap;
use std::io;

/// A block that inflates to more is refused.
const BLOCK_MAX: usize = 64 << 10;

/// The client's compressor state.
pub(super) struct Inflate(Decompress);

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("SPDY headers: {what}"))
}

impl Inflate {
    pub fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// The headers of the next block; names in lower case.
    pub fn headers(&mut self, block: &[u8]) -> io::Result<BTreeMap<String, String>> {
        pairs(&self.inflate(block)?)
    }

    fn inflate(&mut self, mut block: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let (read, wrote) = (self.0.total_in(), self.0.total_out());
            let status = match self.0.decompress(block, &mut piece, FlushDecompress::Sync) {
                Err(e) if e.needs_dictionary().is_some() => {
                    let known = self.0.set_dictionary(&dictionary());
                    known.map_err(|_| bad("another dictionary"))?;
                    Status::Ok
                }
                Err(_) => return Err(bad("not compressed as they should be")),
                Ok(status) => status,
            };
            let read = usize::try_from(self.0.total_in() - read).unwrap_or(0);
            let wrote = usize::try_from(self.0.total_out() - wrote).unwrap_or(0);
            block = block.get(read..).unwrap_or_default();
            out.extend_from_slice(&piece[..wrote]);
            if out.len() > BLOCK_MAX {
                return Err(bad("too large"));
            }
            let idle = read == 0 && wrote == 0 && status != Status::Ok;
            if status == Status::StreamEnd || idle || (block.is_empty() && wrote < piece.len()) {
                return Ok(out);
            }
        }
    }
}

fn pairs(bytes: &[u8]) -> io::Result<BTreeMap<String, String>> {
    let mut rest = bytes;
    let mut out = BTreeMap::new();
    for _ in 0..number(&mut rest)? {
        let name = text(&mut rest)?.to_ascii_lowercase();
        out.insert(name, text(&mut rest)?);
    }
    Ok(out)
}

fn number(rest: &mut &[u8]) -> io::Result<usize> {
    let (head, tail) = rest.split_first_chunk::<4>().ok_or_else(|| bad("cut short"))?;
    *rest = tail;
    Ok(u32::from_be_bytes(*head) as usize)
}

fn text(rest: &mut &[u8]) -> io::Result<String> {
    let len = number(rest)?;
    let (head, tail) = rest.split_at_checked(len).ok_or_else(|| bad("cut short"))?;
    *rest = tail;
    Ok(String::from_utf8_lossy(head).into_owned())
}

/// Our compressor: its state goes on from block to block.
pub(super) struct Deflate(Compress);

impl Deflate {
    pub fn new() -> Self {
        let mut compress = Compress::new(Compression::fast(), true);
        let known = compress.set_dictionary(&dictionary());
        debug_assert!(known.is_ok(), "a fresh compressor takes a dictionary");
        Self(compress)
    }

    /// A block without headers: all that the server ever says.
    pub fn empty(&mut self) -> Vec<u8> {
        self.block(&0_u32.to_be_bytes())
    }

    pub fn block(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + 128);
        let done = self.0.compress_vec(bytes, &mut out, FlushCompress::Sync);
        debug_assert!(done.is_ok(), "memory is enough");
        out
    }
}
