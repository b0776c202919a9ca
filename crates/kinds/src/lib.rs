//! The built-in kinds: one static row each, with hook functions where a kind has behaviour.
//!
//! A data-only kind is one file and one line in [`TABLE`]. The rows know nothing of HTTP, storage or watching;
//! crate `api` does everything from them. Schemas, protobuf and defaults come from crate `schema`.

mod access;
mod admission;
mod admissionregistration;
mod admit;
mod allocate;
mod apps;
mod autoscaling;
mod batch;
mod check;
mod cluster;
mod core;
mod extension;
mod flowcontrol;
mod metrics;
mod networking;
mod policy;
mod rbac;
mod resource;
mod review;
mod row;
mod rows;
mod storage;
mod system;
mod table;

pub use access::{AllowAll, Attributes, Authorizer, Decision, NoTokens, Tokens};
pub use admission::{Admit, AdmitRow, Also, AlsoChange, Extras, Operation};
pub use admit::ADMISSION;
pub use extension::{instance_goes, is_terminating};
pub use row::*;
pub use rows::keep_status as keep_custom_status;
pub use system::system_objects;
pub use table::{elapsed, joined_pairs, list, plain, selector_text, text};

/// Group and plural of the kind whose objects define further kinds.
pub const DEFINITIONS: (&str, &str) = ("apiextensions.k8s.io", "customresourcedefinitions");

/// Kinds that are measured instead of stored; served where somebody measures.
pub static MEASURED: &[&KindRow] = &[&metrics::NODE_METRICS, &metrics::POD_METRICS];

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
    &extension::API_SERVICE,
    &apps::CONTROLLER_REVISION,
    &apps::DAEMON_SET,
    &apps::DEPLOYMENT,
    &apps::REPLICA_SET,
    &apps::STATEFUL_SET,
    &core::EVENTS_EVENT,
    &review::SELF_SUBJECT_REVIEW,
    &review::TOKEN_REVIEW,
    &review::LOCAL_SUBJECT_ACCESS_REVIEW,
    &review::SELF_SUBJECT_ACCESS_REVIEW,
    &review::SELF_SUBJECT_RULES_REVIEW,
    &review::SUBJECT_ACCESS_REVIEW,
    &autoscaling::HORIZONTAL_POD_AUTOSCALER,
    &batch::CRON_JOB,
    &batch::JOB,
    &cluster::CERTIFICATE_SIGNING_REQUEST,
    &networking::INGRESS_CLASS,
    &networking::INGRESS,
    &networking::IP_ADDRESS,
    &networking::NETWORK_POLICY,
    &networking::SERVICE_CIDR,
    &policy::POD_DISRUPTION_BUDGET,
    &rbac::CLUSTER_ROLE_BINDING,
    &rbac::CLUSTER_ROLE,
    &rbac::ROLE_BINDING,
    &rbac::ROLE,
    &storage::CSI_DRIVER,
    &storage::CSI_NODE,
    &storage::CSI_STORAGE_CAPACITY,
    &storage::STORAGE_CLASS,
    &storage::VOLUME_ATTACHMENT,
    &storage::VOLUME_ATTRIBUTES_CLASS,
    &admissionregistration::MUTATING_WEBHOOK,
    &admissionregistration::VALIDATING_POLICY,
    &admissionregistration::VALIDATING_POLICY_BINDING,
    &admissionregistration::VALIDATING_WEBHOOK,
    &extension::CUSTOM_RESOURCE_DEFINITION,
    &cluster::PRIORITY_CLASS,
    &cluster::LEASE,
    &cluster::RUNTIME_CLASS,
    &networking::ENDPOINT_SLICE,
    &flowcontrol::FLOW_SCHEMA,
    &flowcontrol::PRIORITY_LEVEL_CONFIGURATION,
    &resource::DEVICE_CLASS,
    &resource::RESOURCE_CLAIM,
    &resource::RESOURCE_CLAIM_TEMPLATE,
    &resource::RESOURCE_SLICE,
];
