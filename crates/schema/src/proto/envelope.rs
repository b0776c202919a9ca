//! `k8s\0` and `runtime.Unknown`, in which every protobuf body and every object inside a watch event
//! travels (k8s.io/apimachinery `pkg/runtime/serializer/protobuf/protobuf.go`).

use super::ProtoError;
use super::wire::{BYTES, Fields, put_bytes, put_nested, put_tag, put_varint};

const MAGIC: &[u8] = b"k8s\0";

/// An opened `runtime.Unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Envelope<'a> {
    pub api_version: &'a str,
    pub kind: &'a str,
    /// The bare message, or JSON when `content_type` says so.
    pub raw: &'a [u8],
    pub content_encoding: &'a str,
    pub content_type: &'a str,
}

/// Opens an envelope, magic included.
pub fn open(bytes: &[u8]) -> Result<Envelope<'_>, ProtoError> {
    let body = bytes.strip_prefix(MAGIC).ok_or_else(|| {
        ProtoError::new("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    })?;
    let mut out = Envelope::default();
    let mut fields = Fields::new(body);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => {
                let mut inner = Fields::new(wire.bytes("TypeMeta")?);
                while let Some((number, wire)) = inner.next()? {
                    match number {
                        1 => out.api_version = wire.text("APIVersion")?,
                        2 => out.kind = wire.text("Kind")?,
                        _ => {}
                    }
                }
            }
            2 => out.raw = wire.bytes("Raw")?,
            3 => out.content_encoding = wire.text("ContentEncoding")?,
            4 => out.content_type = wire.text("ContentType")?,
            _ => {}
        }
    }
    Ok(out)
}

/// Seals an envelope, magic included.
pub fn seal(envelope: &Envelope<'_>) -> Vec<u8> {
    let mut out = seal_head(envelope.api_version, envelope.kind, envelope.raw.len());
    out.reserve(envelope.raw.len() + 8);
    out.extend_from_slice(envelope.raw);
    put_bytes(&mut out, 3, envelope.content_encoding.as_bytes());
    put_bytes(&mut out, 4, envelope.content_type.as_bytes());
    out
}

/// What goes before the `raw` bytes of an envelope: for a message that is sent in pieces. [`SEAL_TAIL`] goes after.
pub fn seal_head(api_version: &str, kind: &str, raw: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(api_version.len() + kind.len() + 24);
    out.extend_from_slice(MAGIC);
    let header = put_nested(&mut out, 1, |out| {
        put_bytes(out, 1, api_version.as_bytes());
        put_bytes(out, 2, kind.as_bytes());
        Ok::<(), std::convert::Infallible>(())
    });
    let Ok(()) = header;
    out.extend(item_head(raw));
    out
}

/// An empty content encoding (field 3) and an empty content type (field 4).
pub const SEAL_TAIL: &[u8] = &[3 << 3 | BYTES, 0, 4 << 3 | BYTES, 0];

/// What goes before each item of a list message (its `items` are field 2) of `length` bytes.
pub fn item_head(length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(8);
    put_tag(&mut out, 2, BYTES);
    put_varint(&mut out, length as u64);
    out
}

/// One `metav1.WatchEvent` whose object is a sealed envelope, as a protobuf watch streams it. The frame's
/// length prefix is not part of it.
pub fn seal_event(event: &str, sealed: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(sealed.len() + 32);
    put_bytes(&mut out, 1, event.as_bytes());
    let Ok(()) = put_nested(&mut out, 2, |out| {
        put_bytes(out, 1, sealed);
        Ok::<(), std::convert::Infallible>(())
    });
    out
}
