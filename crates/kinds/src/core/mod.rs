//! The core group, `v1`.

mod data;
mod event;
mod namespace;
mod node;
pub(crate) mod pod;
pub(crate) mod pod_defaults;
mod pod_table;
mod replication;
mod service;
mod volume;

pub use data::{
    BINDING, COMPONENT_STATUS, CONFIG_MAP, ENDPOINTS, LIMIT_RANGE, POD_TEMPLATE, RESOURCE_QUOTA,
    SECRET, SERVICE_ACCOUNT,
};
pub use event::{EVENT, EVENTS_EVENT};
pub use namespace::NAMESPACE;
pub use node::NODE;
pub use pod::POD;
pub use replication::REPLICATION_CONTROLLER;
pub use service::SERVICE;
pub(crate) use volume::default_claim as claim_defaults;
pub use volume::{PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM};
