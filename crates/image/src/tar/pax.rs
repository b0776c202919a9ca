//! PAX records: `LENGTH KEY=VALUE\n`.

use super::Entry;
use crate::{Error, Result};

const XATTR: &[u8] = b"SCHILY.xattr.";

/// Records in order. Later ones win; sparse 0.0 repeats keys on purpose.
pub(super) type Records = Vec<(Vec<u8>, Vec<u8>)>;

fn bad(what: &str) -> Error {
    Error::invalid(format!("archive/tar: invalid PAX record: {what}"))
}

pub(super) fn parse(mut data: &[u8]) -> Result<Records> {
    let mut records = Records::new();
    while !data.is_empty() {
        let space =
            data.iter().take(20).position(|b| *b == b' ').ok_or_else(|| bad("no length"))?;
        let length: usize = std::str::from_utf8(&data[..space])
            .ok()
            .and_then(|n| n.parse().ok())
            .ok_or_else(|| bad("length is no number"))?;
        if length <= space + 1 || length > data.len() || data[length - 1] != b'\n' {
            return Err(bad("wrong length"));
        }
        let record = &data[space + 1..length - 1];
        let equals = record.iter().position(|b| *b == b'=').ok_or_else(|| bad("no equals sign"))?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if key.is_empty() || key.contains(&0) {
            return Err(bad("key"));
        }
        records.push((key.to_vec(), value.to_vec()));
        data = &data[length..];
    }
    Ok(records)
}

/// Applies `records` to `entry`. Returns the size of the data in the archive if a record sets it.
pub(super) fn apply(records: &Records, entry: &mut Entry) -> Result<Option<u64>> {
    let mut size = None;
    for (key, value) in records {
        match key.as_slice() {
            b"path" if !value.is_empty() => entry.path = no_nul(value)?,
            b"linkpath" if !value.is_empty() => entry.link = no_nul(value)?,
            b"uid" => entry.uid = integer(value)?,
            b"gid" => entry.gid = integer(value)?,
            b"size" => size = Some(integer(value)?),
            b"mtime" => entry.mtime = time(value)?,
            key if key.starts_with(XATTR) => {
                let name = no_nul(&key[XATTR.len()..])?;
                entry.xattrs.retain(|(known, _)| *known != name);
                entry.xattrs.push((name, value.clone()));
            }
            _ => {}
        }
    }
    Ok(size)
}

fn no_nul(value: &[u8]) -> Result<Vec<u8>> {
    if value.contains(&0) { Err(bad("NUL in a name")) } else { Ok(value.to_vec()) }
}

pub(super) fn integer<N: std::str::FromStr>(value: &[u8]) -> Result<N> {
    std::str::from_utf8(value).ok().and_then(|v| v.parse().ok()).ok_or_else(|| bad("number"))
}

/// `seconds[.fraction]`, possibly negative.
fn time(value: &[u8]) -> Result<(i64, u32)> {
    let text = std::str::from_utf8(value).map_err(|_| bad("time"))?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| bad("time"))?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad("time"));
    }
    let padded: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: u32 = padded.parse().map_err(|_| bad("time"))?;
    Ok(match (whole.starts_with('-'), nanos) {
        (true, n) if n > 0 => {
            (seconds.checked_sub(1).ok_or_else(|| bad("time"))?, 1_000_000_000 - n)
        }
        _ => (seconds, nanos),
    })
}

/// One record, its length included in its length.
pub(super) fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let body = key.len() + value.len() + 3;
    let mut length = body + decimal_len(body);
    if decimal_len(length) != decimal_len(body) {
        length = body + decimal_len(length);
    }
    let mut out = length.to_string().into_bytes();
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
    out
}

fn decimal_len(n: usize) -> usize {
    n.to_string().len()
}

pub(super) fn xattr_key(name: &[u8]) -> Vec<u8> {
    [XATTR, name].concat()
}
