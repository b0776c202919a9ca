//! What kinds look like: the schemas of every built-in kind and of CustomResourceDefinitions, and what
//! can be driven by them: decoding, normalising, pruning, defaulting, validation, protobuf, OpenAPI.
//!
//! No kind is named here; the facts come from a generated table. No IO, no clock.

mod crd;
mod decode;
mod facts;
mod gotime;
mod graph;
mod leaf;
mod lexer;
mod openapi;
mod presence;
mod proto;
mod rules;
mod shape;
mod validate;
mod yaml;

pub use crd::{compile, schemaless};
pub use decode::{DecodeError, Decoded, Finding, decode_json};
pub use facts::{MessageId, group_version, kind, message, messages, named};
pub use graph::{Field, Inline, List, ListKind, Presence, Scalar, Shape, Str, Struct, Type};
pub use openapi::{
    CustomSchema, ServedResource, ServedSubresource, encode_v2, openapi_v2, openapi_v3,
};
pub use proto::{
    Envelope, ProtoError, SEAL_TAIL, decode_proto, encode_proto, item_head, open, seal, seal_event,
    seal_head,
};
pub use rules::{Pattern, Rules};
pub use shape::{apply_defaults, normalise, prune};
pub use validate::{duplicates, validate};
pub use yaml::{Converted, decode_yaml, yaml_to_json};
