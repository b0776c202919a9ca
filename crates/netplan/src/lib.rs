//! Pure networking decisions: what the firewall shall hold, which address goes to whom, what a
//! name means. No IO, no clock, no randomness; the crate `net` carries the results out.
//!
//! It has never heard of Kubernetes objects or of Docker's API: inputs are small structs that the
//! node loop and the engine fill.

pub mod bridge;
pub mod dns;
#[cfg(test)]
mod golden;
pub mod ingress;
pub mod ipam;
pub mod lb;
pub mod nft;
pub mod ports;
pub mod proxy;
