//! The built-in kinds: one static row each, with hook functions where a kind has behaviour.
//!
//! A data-only kind is one file and one line in [`TABLE`]. The rows know nothing of HTTP, storage or watching;
//! crate `api` does everything from them. Schemas, protobuf and defaults come from crate `schema`.

mod access;
mod row;

pub use access::{AllowAll, Attributes, Authorizer, Decision, NoTokens, Tokens};
pub use row::*;

/// Every built-in kind, in discovery order of their groups.
pub static TABLE: &[&KindRow] = &[];
