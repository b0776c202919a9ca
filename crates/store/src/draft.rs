//! Objects on their way in: canonical JSON with the place of `resourceVersion` left open.

use crate::object::{Body, Head, Key, Object};
use std::sync::Arc;

/// An object about to be written: canonical JSON without `metadata.resourceVersion`, which the writer
/// inserts at `version_at`.
#[derive(Debug, Clone)]
pub struct Draft {
    pub key: Key,
    pub head: Head,
    pub json: Vec<u8>,
    /// Byte offset in `json` where `"resourceVersion":"N"` (with the commas it needs) goes.
    pub version_at: usize,
    /// Whether a comma goes before / after the inserted member.
    pub comma: Comma,
}

/// Which side of the inserted `resourceVersion` needs a comma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comma {
    Before,
    After,
    Neither,
}

impl Draft {
    /// From a value with a `metadata` object (an empty one is added when there is none);
    /// `resourceVersion` inside is dropped.
    pub fn new(key: Key, head: Head, mut value: meta::Value) -> Self {
        if let Some(object) = value.as_object_mut() {
            let metadata = object.entry("metadata").or_insert_with(|| meta::Map::new().into());
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.remove("resourceVersion");
            }
        }
        let (json, version_at, comma) = place(&value);
        Self { key, head, json, version_at, comma }
    }

    /// The bytes of this draft at `revision`.
    pub fn stamp(&self, revision: u64) -> Box<[u8]> {
        self.body(revision).json
    }

    /// The object this draft becomes when it is the first version of its key.
    pub fn object(self, revision: u64) -> Object {
        self.version(revision, revision)
    }

    pub(crate) fn version(self, revision: u64, born: u64) -> Object {
        let body = self.body(revision);
        Object::new(self.key, Arc::new(self.head), revision, born, body)
    }

    pub(crate) fn body(&self, revision: u64) -> Body {
        let (lead, tail) = self.member();
        let digits = revision.to_string();
        let (before, after) = self.json.split_at(self.version_at);
        let parts = [before, lead, digits.as_bytes(), tail, after];
        let version_at = u32::try_from(before.len() + lead.len())
            .expect("metadata starts within the first 4 GiB: request bodies are bounded");
        Body { json: parts.concat().into_boxed_slice(), version_at }
    }

    fn member(&self) -> (&'static [u8], &'static [u8]) {
        match self.comma {
            Comma::Before => (b",\"resourceVersion\":\"", b"\""),
            Comma::After => (b"\"resourceVersion\":\"", b"\","),
            Comma::Neither => (b"\"resourceVersion\":\"", b"\""),
        }
    }

    /// Whether writing this over `current` would change nothing but the revision.
    pub(crate) fn repeats(&self, current: &Object) -> bool {
        let (lead, tail) = self.member();
        let (before, after) = self.json.split_at(self.version_at);
        let (head, rest) = current.body.around(current.revision);
        head.len() == before.len() + lead.len()
            && head.starts_with(before)
            && rest.len() == tail.len() + after.len()
            && rest.ends_with(after)
    }
}

/// Serialises member by member, so that the place of `resourceVersion` (sorted among the metadata keys) is known.
fn place(value: &meta::Value) -> (Vec<u8>, usize, Comma) {
    let mut out = vec![b'{'];
    let mut found = (1, Comma::Neither);
    for (i, (key, member)) in value.as_object().into_iter().flatten().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(&mut out, key);
        out.push(b':');
        match member.as_object() {
            Some(metadata) if key == "metadata" => found = place_in(&mut out, metadata),
            _ => write(&mut out, member),
        }
    }
    out.push(b'}');
    (out, found.0, found.1)
}

fn place_in(out: &mut Vec<u8>, metadata: &meta::Map) -> (usize, Comma) {
    out.push(b'{');
    let mut found = None;
    for (i, (key, member)) in metadata.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        if found.is_none() && key.as_str() > "resourceVersion" {
            found = Some((out.len(), Comma::After));
        }
        write(out, key);
        out.push(b':');
        write(out, member);
    }
    let last = if metadata.is_empty() { Comma::Neither } else { Comma::Before };
    let found = found.unwrap_or((out.len(), last));
    out.push(b'}');
    found
}

fn write<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("values with string keys serialise");
}
