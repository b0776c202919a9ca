//! What kube-scheduler decides: which node a pod goes to, or why none will do.
//!
//! [`Scheduler`] is a state machine without IO, clock or threads: it takes in changes, keeps an incremental
//! picture of the cluster ([`Cluster`]), and hands out one [`Decision`] after another. Crate `control` carries
//! them out. Everything it holds can be dropped and rebuilt from a view.

mod cluster;
mod decide;
mod needs;
mod node;
mod plugins;
mod preempt;
mod queue;
mod resources;
mod scheduler;
mod table;
mod tally;
mod terms;

#[cfg(test)]
mod tests;

pub use cluster::Cluster;
pub use decide::{Cycle, Rejection, Verdict};
pub use needs::PodNeeds;
pub use node::NodeView;
pub use resources::Resources;
pub use scheduler::{Decision, Nomination, Scheduler, Verdicts};
pub use table::{PLUGINS, Plugin};
