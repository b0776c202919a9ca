//! Kubernetes protobuf (gogo proto2 messages), driven by the table: no message type is written by hand.
//!
//! Byte order and presence follow upstream's generated marshallers: fields by ascending number, maps by
//! sorted key, plain Go values written even when zero, pointers, lists and maps only when set.

mod decode;
mod encode;
mod envelope;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

pub use decode::decode_proto;
pub use encode::encode_proto;
pub use envelope::{Envelope, SEAL_TAIL, item_head, open, seal, seal_event, seal_head};

use std::fmt;

/// Why bytes are no message of the type, or a value cannot be written as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtoError {
    pub message: String,
}

impl ProtoError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for ProtoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ProtoError {}
