//! What kube-controller-manager decides: one pure function per controller, listed in [`TABLE`].
//!
//! A controller reads a snapshot and answers with a [`Plan`]; crate `control` applies it and plans the key
//! again only when every write of the plan has been answered. So a plan always sees its own writes, and there
//! are no expectations, resyncs or informer caches here. No IO, no clock, no randomness.

mod deployment;
mod plan;
mod pods;
mod replicaset;
mod table;
mod wakes;

pub use plan::{Note, Plan, Row, Wake, Warning};
pub use table::TABLE;
