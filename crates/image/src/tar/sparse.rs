//! Sparse maps: old GNU headers, PAX 0.0, 0.1 and 1.0.

use super::header::{Block, number, text};
use super::pax::{Records, integer};
use super::{BLOCK, Entry};
use crate::{Error, Result};

/// More runs than any real file has; each takes 24 bytes or more in the archive.
const MAX_RUNS: usize = 1 << 20;

pub(super) type Runs = Vec<(u64, u64)>;

fn bad() -> Error {
    Error::invalid("archive/tar: invalid sparse file")
}

/// What PAX records say about sparseness.
pub(super) enum PaxSparse {
    No,
    Map(Runs),
    /// Version 1.0: the map stands in front of the data.
    InData,
}

/// Reads the PAX records of all three versions; sets the entry's real name and size.
pub(super) fn from_pax(records: &Records, entry: &mut Entry) -> Result<PaxSparse> {
    let get = |key: &str| {
        records.iter().rev().find(|(k, _)| k == key.as_bytes()).map(|(_, v)| v.as_slice())
    };
    let version = (get("GNU.sparse.major"), get("GNU.sparse.minor"));
    let in_data = version == (Some(b"1"), Some(b"0"));
    let listed = get("GNU.sparse.map").is_some() || get("GNU.sparse.offset").is_some();
    if !in_data && !listed {
        return Ok(PaxSparse::No);
    }
    if let Some(name) = get("GNU.sparse.name").filter(|n| !n.is_empty() && !n.contains(&0)) {
        entry.path = name.to_vec();
    }
    let size = get("GNU.sparse.realsize").or(get("GNU.sparse.size")).ok_or_else(bad)?;
    entry.size = integer(size)?;
    if in_data {
        return Ok(PaxSparse::InData);
    }
    let numbers: Vec<u64> = match get("GNU.sparse.map") {
        Some([]) => Vec::new(),
        Some(map) => map.split(|b| *b == b',').map(integer).collect::<Result<_>>()?,
        None => records
            .iter()
            .filter(|(k, _)| k == b"GNU.sparse.offset" || k == b"GNU.sparse.numbytes")
            .map(|(_, v)| integer(v))
            .collect::<Result<_>>()?,
    };
    pairs(&numbers).map(PaxSparse::Map)
}

fn pairs(numbers: &[u64]) -> Result<Runs> {
    if !numbers.len().is_multiple_of(2) || numbers.len() / 2 > MAX_RUNS {
        return Err(bad());
    }
    Ok(numbers.chunks_exact(2).map(|p| (p[0], p[1])).collect())
}

/// The first four runs of an old GNU header, its real size, and whether more blocks follow.
pub(super) fn from_gnu(block: &Block) -> Result<(Runs, u64, bool)> {
    let mut runs = Runs::new();
    gnu_runs(&block[386..482], &mut runs)?;
    let real = u64::try_from(number(&block[483..495])?).map_err(|_| bad())?;
    Ok((runs, real, block[482] != 0))
}

/// A continuation block; answers whether another follows.
pub(super) fn more_gnu(block: &Block, runs: &mut Runs) -> Result<bool> {
    gnu_runs(&block[..504], runs)?;
    if runs.len() > MAX_RUNS { Err(bad()) } else { Ok(block[504] != 0) }
}

fn gnu_runs(fields: &[u8], runs: &mut Runs) -> Result<()> {
    for pair in fields.chunks_exact(24) {
        if text(&pair[..12]).is_empty() {
            break;
        }
        let offset = u64::try_from(number(&pair[..12])?).map_err(|_| bad())?;
        let length = u64::try_from(number(&pair[12..])?).map_err(|_| bad())?;
        runs.push((offset, length));
    }
    Ok(())
}

/// Collects the decimal map of version 1.0 block by block.
#[derive(Default)]
pub(super) struct MapInData {
    numbers: Vec<u64>,
    wanted: Option<usize>,
    digits: Vec<u8>,
}

impl MapInData {
    /// Takes one block; `Some` when the map is complete (the rest of the block is padding).
    pub fn block(&mut self, block: &[u8; BLOCK]) -> Result<Option<Runs>> {
        for byte in block {
            if *byte != b'\n' {
                if !byte.is_ascii_digit() || self.digits.len() > 20 {
                    return Err(bad());
                }
                self.digits.push(*byte);
                continue;
            }
            let number: u64 = integer(&std::mem::take(&mut self.digits))?;
            match self.wanted {
                None => {
                    let runs = usize::try_from(number).ok().filter(|n| *n <= MAX_RUNS);
                    self.wanted = Some(runs.ok_or_else(bad)? * 2);
                }
                Some(_) => self.numbers.push(number),
            }
            if self.wanted == Some(self.numbers.len()) {
                return pairs(&self.numbers).map(Some);
            }
        }
        Ok(None)
    }
}

/// Checks order, bounds, and that the runs take exactly `data` bytes of the archive.
pub(super) fn validate(runs: &Runs, size: u64, data: u64) -> Result<()> {
    let (mut end, mut sum) = (0u64, 0u64);
    for (offset, length) in runs {
        if *offset < end {
            return Err(bad());
        }
        end = offset.checked_add(*length).ok_or_else(bad)?;
        sum = sum.checked_add(*length).ok_or_else(bad)?;
    }
    if end > size || sum != data { Err(bad()) } else { Ok(()) }
}
