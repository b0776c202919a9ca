//! Selection fields as logs keep them, so that a start parses no JSON.

use crate::codec::{Reader, put_bytes, put_number};
use crate::intern::Pool;
use crate::object::{Head, Key, Owner};
use meta::Time;
use std::sync::Arc;

/// How selection fields are got from the JSON of an object whose stored ones are outdated.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Changes whenever `parse` would answer differently for the same object: stored fields of another
    /// version are parsed anew at start.
    pub version: u32,
    pub parse: fn(&Key, &[u8]) -> Head,
}

/// The stored form: version of the parser, place of the revision in the JSON, fields.
pub(crate) fn encode(version: u32, version_at: u32, head: &Head) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    put_number(&mut out, version.into());
    put_number(&mut out, version_at.into());
    put_bytes(&mut out, head.uid.as_bytes());
    put_time(&mut out, Some(head.created));
    put_time(&mut out, head.deleted);
    put_number(&mut out, head.generation as u64);
    put_pairs(&mut out, &head.labels);
    put_number(&mut out, head.owners.len() as u64);
    head.owners.iter().for_each(|owner| put_owner(&mut out, owner));
    put_number(&mut out, head.finalizers.len() as u64);
    head.finalizers.iter().for_each(|f| put_bytes(&mut out, f.as_bytes()));
    put_pairs(&mut out, &head.fields);
    out
}

/// The place of the revision, and the fields unless another version of the parser made them.
/// `None` when the bytes are not what [`encode`] writes.
pub(crate) fn decode(version: u32, bytes: &[u8], pool: &mut Pool) -> Option<(u32, Option<Head>)> {
    let mut from = Reader::new(bytes);
    let stored = from.number()?;
    let version_at = u32::try_from(from.number()?).ok()?;
    if stored != u64::from(version) {
        return Some((version_at, None));
    }
    let head = Head {
        uid: from.text()?.into(),
        created: time(&mut from)??,
        deleted: time(&mut from)?,
        generation: from.number()? as i64,
        labels: pairs(&mut from, pool)?,
        owners: many(&mut from, pool, owner)?,
        finalizers: many(&mut from, pool, text)?,
        fields: pairs(&mut from, pool)?,
    };
    from.rest().is_empty().then_some((version_at, Some(head)))
}

fn put_time(out: &mut Vec<u8>, time: Option<Time>) {
    out.push(u8::from(time.is_some()));
    if let Some(time) = time {
        out.extend_from_slice(&time.0.to_le_bytes());
    }
}

fn time(from: &mut Reader<'_>) -> Option<Option<Time>> {
    if from.byte()? == 0 {
        return Some(None);
    }
    let mut bytes = [0; 8];
    for byte in &mut bytes {
        *byte = from.byte()?;
    }
    Some(Some(Time(i64::from_le_bytes(bytes))))
}

fn put_pairs(out: &mut Vec<u8>, pairs: &[(Arc<str>, Arc<str>)]) {
    put_number(out, pairs.len() as u64);
    for (key, value) in pairs {
        put_bytes(out, key.as_bytes());
        put_bytes(out, value.as_bytes());
    }
}

fn pairs(from: &mut Reader<'_>, pool: &mut Pool) -> Option<Box<[(Arc<str>, Arc<str>)]>> {
    many(from, pool, |from, pool| Some((text(from, pool)?, text(from, pool)?)))
}

fn text(from: &mut Reader<'_>, pool: &mut Pool) -> Option<Arc<str>> {
    from.text().map(|text| pool.text(text))
}

fn many<T>(
    from: &mut Reader<'_>,
    pool: &mut Pool,
    one: fn(&mut Reader<'_>, &mut Pool) -> Option<T>,
) -> Option<Box<[T]>> {
    let count = usize::try_from(from.number()?).ok()?;
    // Every entry takes at least one byte, so a damaged count cannot ask for more than there is.
    if count > from.rest().len() {
        return None;
    }
    (0..count).map(|_| one(from, pool)).collect()
}

fn put_owner(out: &mut Vec<u8>, owner: &Owner) {
    out.push(u8::from(owner.controller) | u8::from(owner.blocks) << 1);
    for text in [&owner.uid, &owner.api_version, &owner.kind, &owner.name] {
        put_bytes(out, text.as_bytes());
    }
}

fn owner(from: &mut Reader<'_>, pool: &mut Pool) -> Option<Owner> {
    let flags = from.byte()?;
    Some(Owner {
        uid: text(from, pool)?,
        api_version: text(from, pool)?,
        kind: text(from, pool)?,
        name: text(from, pool)?,
        controller: flags & 1 != 0,
        blocks: flags & 2 != 0,
    })
}

#[cfg(test)]
mod tests;
