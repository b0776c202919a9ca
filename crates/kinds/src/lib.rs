//! The built-in kinds: one static row each, with hook functions where a kind has behaviour.
//!
//! A data-only kind is one file and one line in [`TABLE`]. The rows know nothing of HTTP, storage or watching;
//! crate `api` does everything from them. Schemas, protobuf and defaults come from crate `schema`.

mod access;
mod admission;
mod admit;
mod core;
mod policy;
mod row;
mod rows;
mod table;

pub use access::{AllowAll, Attributes, Authorizer, Decision, NoTokens, Tokens};
pub use admission::{Admit, AdmitRow, Also, AlsoChange, Extras, Operation};
pub use admit::ADMISSION;
pub use row::*;
pub use table::{elapsed, joined_pairs, plain, selector_text, text};

/// Group and plural of the kind whose objects define further kinds.
pub const DEFINITIONS: (&str, &str) = ("apiextensions.k8s.io", "customresourcedefinitions");

/// Every built-in kind, in discovery order of their groups.
pub static TABLE: &[&KindRow] = &[
    &core::BINDING,
    &core::COMPONENT_STATUS,
    &core::CONFIG_MAP,
    &core::ENDPOINTS,
    &core::EVENT,
    &core::LIMIT_RANGE,
    &core::NAMESPACE,
    &core::NODE,
    &core::PERSISTENT_VOLUME_CLAIM,
    &core::PERSISTENT_VOLUME,
    &core::POD,
    &core::POD_TEMPLATE,
    &core::REPLICATION_CONTROLLER,
    &core::RESOURCE_QUOTA,
    &core::SECRET,
    &core::SERVICE_ACCOUNT,
    &core::SERVICE,
    &core::EVENTS_EVENT,
];
