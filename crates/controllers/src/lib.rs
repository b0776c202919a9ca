//! What kube-controller-manager decides: one pure function per controller, listed in [`TABLE`].
//!
//! A controller reads a snapshot and answers with a [`Plan`]; crate `control` applies it and plans the key
//! again only when every write of the plan has been answered. So a plan always sees its own writes, and there
//! are no expectations, resyncs or informer caches here. No IO, no clock, no randomness.

mod account_tokens;
mod autoscaler;
mod calls;
mod clusterrole_aggregation;
mod conditions;
mod cronjob;
mod daemonset;
mod deployment;
mod disruption;
mod disruption_target;
mod endpoints;
mod endpointslice;
mod endpointslice_mirroring;
mod events_ttl;
mod expiry;
mod garbage;
mod job;
mod load_balancer;
mod namespace;
mod node;
mod node_fit;
mod node_ttl;
mod plan;
mod pod_gc;
mod pods;
mod policy_status;
mod quota;
mod replicaset;
mod replication;
mod revisions;
mod root_ca;
mod served;
mod service_account;
mod service_cidr;
mod serving;
pub mod simulated;
mod slices;
mod statefulset;
mod table;
mod taint_eviction;
mod ttl_after_finished;
mod volumes;
mod wakes;

pub use plan::{EVERY, Note, Plan, Row, Wake, Warning};
pub use table::TABLE;
