//! Whole clusters in one thread: the real store on a simulated disk, the real API pipeline, controllers and
//! scheduler, and kubelets that only pretend, all in virtual time and all decided by a seed.
//!
//! A [`Scenario`] is what users and fate do; [`run`] plays it. Every change is judged by the oracles while
//! faults last; then everything heals and the cluster must come to rest as asked for, in bounded virtual time.
//! The same scenario on the same program always runs alike, so a scenario file is a bug report.
//! Nothing here runs in the product.

mod converge;
mod generate;
mod kubelet;
mod luck;
mod minimise;
mod mirror;
mod oracle;
mod scenario;
mod server;
mod user;
mod world;

pub use generate::scenario;
pub use minimise::minimise;
pub use scenario::{Op, Scenario, Step};
pub use world::{Outcome, Violation, run};
