//! The round of one node: observe, plan (crate `kubelet`), apply, report.
//!
//! Decides nothing about pods. Everything it remembers (probe results, failures, what is under way) may be lost at any
//! instant: containers keep running under the keeper, and a new round learns them from the engine's labels.

mod config;
mod disk;
mod labels;
mod meter;
mod network;
mod observe;
mod ops;
mod register;
mod report;
mod round;
mod storage;
pub mod streams;
mod tls;
mod worker;

pub use config::NodeConfig;
pub use meter::Meter;
pub use round::Node;
pub use streams::Streams;
