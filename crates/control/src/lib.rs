//! The turn: what changed becomes due keys, due keys become plans, plans become calls through the API
//! pipeline, and a key is planned again only when every call of its last plan has been answered.
//!
//! [`Turn`] has no clock, thread or randomness of its own: [`run`](run::run) drives it in the product, the
//! simulator drives it in virtual time. It decides nothing about the cluster; the rows do.

mod due;
mod flight;
mod notes;
mod run;
mod scheduling;
mod turn;

#[cfg(test)]
mod tests;

pub use run::{Handle, start, start_scheduler};
pub use scheduling::Scheduling;
pub use turn::{Entropy, Turn};
