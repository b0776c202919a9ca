//! Records as bytes, sealed where they must be.

use crate::keys::Keys;
use std::sync::Arc;
use store::codec::{Reader, put_bytes, put_number};
use store::{LogError, Record, Stored};

const STORED: u8 = 1;
const SEALED: u8 = 2;

/// Turns records into bytes and back.
#[derive(Clone)]
pub(crate) struct Codec {
    pub keys: Keys,
    /// Resources whose objects are sealed.
    pub sealed: Arc<[String]>,
}

impl Codec {
    pub fn put(&self, out: &mut Vec<u8>, record: &Record<'_>) {
        let seal = record.stored.is_some() && self.sealed.iter().any(|r| r == record.resource);
        out.push((u8::from(record.stored.is_some()) * STORED) | (u8::from(seal) * SEALED));
        let from = out.len();
        put_number(out, record.revision);
        put_number(out, record.born);
        put_bytes(out, record.resource.as_bytes());
        put_bytes(out, record.namespace.as_bytes());
        put_bytes(out, record.name.as_bytes());
        let Some(stored) = record.stored else { return };
        if seal {
            let about = out[from..].to_vec();
            let mut plain = Vec::with_capacity(stored.head.len() + stored.json.len() + 32);
            put_stored(&mut plain, stored);
            let mut sealed = Vec::with_capacity(plain.len() + 64);
            self.keys.seal(&about, plain, &mut sealed);
            put_bytes(out, &sealed);
        } else {
            put_stored(out, stored);
        }
    }

    /// Hands every record of a payload to `each`; the error of `each`, or what is wrong with the payload.
    pub fn each(
        &self,
        payload: &[u8],
        each: &mut dyn FnMut(Record<'_>) -> Result<(), LogError>,
    ) -> Result<(), Broken> {
        let mut from = Reader::new(payload);
        while !from.rest().is_empty() {
            self.one(&mut from, each)?;
        }
        Ok(())
    }

    fn one(
        &self,
        from: &mut Reader<'_>,
        each: &mut dyn FnMut(Record<'_>) -> Result<(), LogError>,
    ) -> Result<(), Broken> {
        let flags = from.byte().ok_or_else(garbled)?;
        let start = from.rest();
        let mut record = names(from).ok_or_else(garbled)?;
        let about = &start[..start.len() - from.rest().len()];
        if flags & SEALED != 0 {
            let sealed = from.bytes().ok_or_else(garbled)?;
            let plain = self.keys.open(about, sealed).map_err(Broken::Record)?;
            record.stored = Some(stored(&mut Reader::new(&plain)).ok_or_else(garbled)?);
            return each(record).map_err(Broken::Refused);
        }
        if flags & STORED != 0 {
            record.stored = Some(stored(from).ok_or_else(garbled)?);
        }
        each(record).map_err(Broken::Refused)
    }
}

/// Why a payload could not be handed on.
pub(crate) enum Broken {
    Record(String),
    /// The receiver did not want it.
    Refused(LogError),
}

fn garbled() -> Broken {
    Broken::Record("a record is garbled although its checksum is right".into())
}

fn names<'a>(from: &mut Reader<'a>) -> Option<Record<'a>> {
    Some(Record {
        revision: from.number()?,
        born: from.number()?,
        resource: from.text()?,
        namespace: from.text()?,
        name: from.text()?,
        stored: None,
    })
}

fn put_stored(out: &mut Vec<u8>, stored: Stored<'_>) {
    put_bytes(out, stored.head);
    put_bytes(out, stored.json);
}

fn stored<'a>(from: &mut Reader<'a>) -> Option<Stored<'a>> {
    Some(Stored { head: from.bytes()?, json: from.bytes()? })
}
