//! One 512-byte header block.

use super::{BLOCK, Entry, Kind};
use crate::{Error, Result};

pub(super) type Block = [u8; BLOCK];

/// The type flags that matter, before extended headers are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag {
    Entry(Kind),
    Pax,
    PaxGlobal,
    LongName,
    LongLink,
    GnuSparse,
}

pub(super) fn is_zero(block: &Block) -> bool {
    block.iter().all(|b| *b == 0)
}

/// Checks the checksum, which old tars computed over signed bytes.
pub(super) fn verify(block: &Block) -> Result<()> {
    let want = number(&block[148..156])?;
    let (mut unsigned, mut signed) = (0i64, 0i64);
    for (at, byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&at) { b' ' } else { *byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    match want == unsigned || want == signed {
        true => Ok(()),
        false => Err(Error::invalid("archive/tar: invalid tar header")),
    }
}

pub(super) fn flag(block: &Block) -> Result<Flag> {
    Ok(match block[156] {
        b'0' | 0 | b'7' => Flag::Entry(Kind::File),
        b'1' => Flag::Entry(Kind::HardLink),
        b'2' => Flag::Entry(Kind::Symlink),
        b'3' => Flag::Entry(Kind::Char),
        b'4' => Flag::Entry(Kind::Block),
        b'5' => Flag::Entry(Kind::Dir),
        b'6' => Flag::Entry(Kind::Fifo),
        b'x' => Flag::Pax,
        b'g' => Flag::PaxGlobal,
        b'L' => Flag::LongName,
        b'K' => Flag::LongLink,
        b'S' => Flag::GnuSparse,
        other => return Err(Error::invalid(format!("unhandled tar header type {other}"))),
    })
}

/// The plain fields of a header.
pub(super) fn entry(block: &Block, kind: Kind) -> Result<Entry> {
    let device = match kind {
        Kind::Char | Kind::Block => (number_u32(&block[329..337])?, number_u32(&block[337..345])?),
        _ => (0, 0),
    };
    let path = path(block);
    let kind = match kind {
        // V7 archives mark folders by the slash only.
        Kind::File if path.ends_with(b"/") => Kind::Dir,
        kind => kind,
    };
    Ok(Entry {
        path,
        kind,
        mode: u32::try_from(number(&block[100..108])? & 0o7777).unwrap_or(0),
        uid: number_u32(&block[108..116])?,
        gid: number_u32(&block[116..124])?,
        size: size(block)?,
        mtime: (number(&block[136..148])?, 0),
        link: text(&block[157..257]).to_vec(),
        device,
        xattrs: Vec::new(),
        sparse: None,
    })
}

pub(super) fn size(block: &Block) -> Result<u64> {
    u64::try_from(number(&block[124..136])?)
        .map_err(|_| Error::invalid("archive/tar: negative size in header"))
}

fn path(block: &Block) -> Vec<u8> {
    let name = text(&block[0..100]);
    let posix = &block[257..263] == b"ustar\0";
    let prefix = if posix { text(&block[345..500]) } else { b"" };
    if prefix.is_empty() {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}

pub(super) fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    &field[..end]
}

fn number_u32(field: &[u8]) -> Result<u32> {
    u32::try_from(number(field)?)
        .map_err(|_| Error::invalid("archive/tar: number out of range in header"))
}

/// Octal text, or two's complement base 256 when the first bit is set.
pub(super) fn number(field: &[u8]) -> Result<i64> {
    let bad = || Error::invalid("archive/tar: invalid number in tar header");
    if field.first().is_some_and(|b| b & 0x80 != 0) {
        let negative = field[0] & 0x40 != 0;
        let first = i128::from(if negative { field[0] } else { field[0] & 0x7f }.cast_signed());
        let value = field[1..].iter().try_fold(first, |value, byte| {
            let next = (value << 8) | i128::from(*byte);
            i64::try_from(next).ok().map(|_| next)
        });
        return value.and_then(|v| i64::try_from(v).ok()).ok_or_else(bad);
    }
    let digits: Vec<u8> = field
        .iter()
        .copied()
        .skip_while(|b| *b == b' ' || *b == 0)
        .take_while(|b| *b != b' ' && *b != 0)
        .collect();
    digits
        .iter()
        .try_fold(0i64, |value, digit| match digit {
            b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
            _ => None,
        })
        .ok_or_else(bad)
}
