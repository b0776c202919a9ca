//! JSON and YAML as Go's decoders read them.
use crate::graph::Type;
use meta::Value;
use std::fmt;

/// A decoded value with what a strict decoder objects to.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// As Go would serialise it again: nulls dropped, always-present fields present.
    pub value: Value,
    /// In upstream's order; at most 100, each once.
    pub findings: Vec<Finding>,
}

/// One objection of the strict decoder. `Display` gives upstream's text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Finding {
    /// `unknown field "spec.foo"`
    Unknown(String),
    /// `duplicate field "spec.replicas"`
    Duplicate(String),
    /// `yaml: unmarshal errors:\n  line 4: key "replicas" already set in map`
    Yaml(String),
}

/// Why bytes are not a value of the type at all: Go's text, without upstream's outer wrapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(path) => write!(f, "unknown field {path:?}"),
            Self::Duplicate(path) => write!(f, "duplicate field {path:?}"),
            Self::Yaml(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

/// Decodes JSON of the given type.
pub fn decode_json(_bytes: &[u8], _ty: &Type) -> Result<Decoded, DecodeError> {
    Err(DecodeError { message: "decode_json: not built yet".into() })
}

/// Decodes one YAML (or JSON) document of the given type.
pub fn decode_yaml(_bytes: &[u8], _ty: &Type) -> Result<Decoded, DecodeError> {
    Err(DecodeError { message: "decode_yaml: not built yet".into() })
}
