//! Goldens: nodes and pods in, decisions out.

#![allow(clippy::unwrap_used)]

mod plugins;
mod preemption;
mod properties;
mod waiting;
mod world;
