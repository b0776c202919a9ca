//! The Kubernetes face: a TLS server that turns HTTP into [`api::Request`]s and carries out what the
//! pipeline decides.
//!
//! Here live connections, authentication of requests, limits, streams of watches, compression, health,
//! metrics and the audit log. What a request means is decided in crate `api`, who may do what in crate `auth`.
//! Streams into containers and proxied requests are handed to whoever implements [`Connect`].

mod answer;
mod audit;
mod body;
mod bootstrap;
mod config;
mod connect;
mod decide;
mod exchange;
mod gate;
mod gzip;
mod health;
mod info;
mod intake;
mod limits;
mod listen;
mod local;
mod metrics;
mod server;
mod watch;

pub use audit::{Audit, AuditPolicy, AuditSink, Level, PolicyError};
pub use body::Body;
pub use bootstrap::{Applied, bootstrap};
pub use config::Config;
pub use connect::{Connect, Connection, NoNode};
pub use gate::Gate;
pub use health::{Check, Health};
pub use server::{Deps, Server, Stop};
