//! Stored objects as protobuf: each version is encoded once for all lists and watches that want it.

use crate::answer::Page;
use crate::catalog::Served;
use crate::encode::list_meta;
use crate::object::{fits, from_stored};
use crate::reply::{Chunk, Rope};
use bytes::Bytes;
use meta::{Gvk, Problem, Value};
use serde_json::json;
use std::sync::Arc;
use store::Object;

/// The bare message of an object at its stored version.
struct Message(Vec<u8>);

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A message as shared bytes, the way [`Chunk`] wants them.
struct Shared(Arc<Message>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0.0
    }
}

/// The enveloped message of a value, by its own `apiVersion` and `kind`.
pub fn value(value: &Value) -> Result<Vec<u8>, Problem> {
    let [api_version, kind] = names(value);
    let raw = bare(value)?;
    Ok(schema::seal(&schema::Envelope {
        api_version,
        kind,
        raw: &raw,
        ..schema::Envelope::default()
    }))
}

fn names(value: &Value) -> [&str; 2] {
    ["apiVersion", "kind"].map(|key| value.get(key).and_then(Value::as_str).unwrap_or_default())
}

fn bare(value: &Value) -> Result<Vec<u8>, Problem> {
    let [api_version, kind] = names(value);
    let gvk = Gvk::parse(api_version, kind);
    let ty = schema::kind(&gvk)
        .ok_or_else(|| Problem::internal(format!("no protobuf schema for {gvk}")))?;
    schema::encode_proto(value, &ty).map_err(Problem::internal)
}

fn message(served: &Served, object: &Object) -> Result<Bytes, Problem> {
    let make = |object: &Object| bare(&from_stored(served, object)).map(Message);
    // Another version's message is another form: it is not kept under the same name.
    let made = if fits(served, object) { object.form(make)? } else { Arc::new(make(object)?) };
    Ok(Bytes::from_owner(Shared(made)))
}

/// The enveloped message of a stored object.
pub fn object(served: &Served, object: &Object) -> Result<Rope, Problem> {
    let raw = message(served, object)?;
    let head = schema::seal_head(&served.api_version(), &served.gvk.kind, raw.len());
    Ok(Rope(vec![Chunk::Bytes(head.into()), Chunk::Bytes(raw), Chunk::Static(schema::SEAL_TAIL)]))
}

/// The enveloped message of a list: its metadata, then items as they are kept.
pub fn page(served: &Served, page: &Page) -> Result<Rope, Problem> {
    let list = json!({
        "kind": served.list_kind, "apiVersion": served.api_version(),
        "metadata": list_meta(page), "items": [],
    });
    let mut rope = Vec::with_capacity(2 * page.items.len() + 3);
    rope.push(Chunk::Static(b""));
    rope.push(Chunk::Bytes(bare(&list)?.into()));
    for object in &page.items {
        let raw = message(served, object)?;
        rope.push(Chunk::Bytes(schema::item_head(raw.len()).into()));
        rope.push(Chunk::Bytes(raw));
    }
    let length = rope.iter().map(|chunk| chunk.as_slice().len()).sum();
    rope[0] =
        Chunk::Bytes(schema::seal_head(&served.api_version(), &served.list_kind, length).into());
    rope.push(Chunk::Static(schema::SEAL_TAIL));
    Ok(Rope(rope))
}
