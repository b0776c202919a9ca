//! Compression of archives: detected by content, never by name.

use crate::error::Doing as _;
use crate::{Error, Result};
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Output allowed beyond [`MAX_RATIO`] times the input, so that small archives may compress well.
const RATIO_FLOOR: u64 = 1 << 30;
/// gzip cannot exceed 1032; what does better than this is not a file system.
const MAX_RATIO: u64 = 1000;
const BUFFER: usize = 256 << 10;

/// How the bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
    Xz,
}

/// By the first bytes. Upstream: moby `go-archive/compression/compression.go`.
pub(crate) fn detect(head: &[u8]) -> Result<Packing> {
    let skippable = head.len() >= 4 && head[0] & 0xf0 == 0x50 && head[1..4] == [0x2a, 0x4d, 0x18];
    Ok(match head {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
        _ if skippable => Packing::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Packing::Xz,
        [b'B', b'Z', b'h', ..] => {
            return Err(Error::invalid("bzip2 archives are not supported: use gzip, zstd or xz"));
        }
        _ => Packing::Plain,
    })
}

/// Unpacked bytes of a packed stream, guarded against decompression bombs.
pub(crate) fn decoder<'a>(packed: impl Read + Send + 'a) -> Result<Box<dyn Read + Send + 'a>> {
    let consumed = Arc::new(AtomicU64::new(0));
    let counted = Counted { inner: packed, count: consumed.clone() };
    let mut input = BufReader::with_capacity(BUFFER, counted);
    let packing = detect(input.fill_buf().doing("reading the archive")?)?;
    let plain: Box<dyn Read + Send + 'a> = match packing {
        Packing::Plain => return Ok(Box::new(input)),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Packing::Zstd => {
            Box::new(zstd::Decoder::with_buffer(input).doing("reading the zstd archive")?)
        }
        Packing::Xz => Box::new(lzma_rust2::XzReader::new(input, true)),
    };
    Ok(Box::new(Guarded { inner: plain, consumed, produced: 0 }))
}

/// A gzip stream at the level Docker's engines use for pushing, or zstd at its default.
pub(crate) fn gzip<W: Write>(out: W) -> flate2::write::GzEncoder<W> {
    flate2::write::GzEncoder::new(out, flate2::Compression::new(5))
}

struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let got = self.inner.read(buf)?;
        self.count.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}

struct Guarded<R> {
    inner: R,
    consumed: Arc<AtomicU64>,
    produced: u64,
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let got = self.inner.read(buf).map_err(|e| match e.kind() {
            std::io::ErrorKind::InvalidInput
            | std::io::ErrorKind::InvalidData
            | std::io::ErrorKind::UnexpectedEof => {
                Error::invalid(format!("cannot decompress the archive: {e}")).into()
            }
            _ => e,
        })?;
        self.produced += got as u64;
        let allowed = self.consumed.load(Ordering::Relaxed) * MAX_RATIO + RATIO_FLOOR;
        if self.produced > allowed {
            return Err(Error::invalid("refusing the archive: it is a decompression bomb").into());
        }
        Ok(got)
    }
}
