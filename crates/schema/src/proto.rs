//! Kubernetes protobuf, driven by the table.
use crate::graph::Type;
use meta::Value;
use std::fmt;

/// Why bytes are no message of the type, or a value cannot be written as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtoError {
    pub message: String,
}

impl fmt::Display for ProtoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ProtoError {}

/// The `k8s\0` envelope (`runtime.Unknown`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope<'a> {
    pub api_version: &'a str,
    pub kind: &'a str,
    pub raw: &'a [u8],
    pub content_type: &'a str,
}

/// Opens an envelope.
pub fn open(_bytes: &[u8]) -> Result<Envelope<'_>, ProtoError> {
    Err(ProtoError { message: "open: not built yet".into() })
}

/// Seals an envelope.
pub fn seal(_envelope: &Envelope<'_>) -> Vec<u8> {
    Vec::new()
}

/// One bare message to JSON form.
pub fn decode_proto(_bytes: &[u8], _ty: &Type) -> Result<Value, ProtoError> {
    Err(ProtoError { message: "decode_proto: not built yet".into() })
}

/// A value to one bare message.
pub fn encode_proto(_value: &Value, _ty: &Type) -> Result<Vec<u8>, ProtoError> {
    Err(ProtoError { message: "encode_proto: not built yet".into() })
}
