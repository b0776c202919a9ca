//! The Docker Engine API, v1.24 to v1.50, in front of the engine.
//!
//! Knows the wire protocol (paths, versions, JSON shapes, hijacked streams) and nothing of how
//! containers come to be. It holds no state: every answer is rendered from the engine's.
//! It is not a swarm manager and says so.

mod body;
mod builder;
mod call;
mod changes;
mod detach;
mod handlers;
mod mux;
mod pump;
mod query;
mod refusal;
mod reply;
mod route;
mod routes;
mod server;
mod tls;
mod version;
mod view;

use std::sync::Arc;

use engine::Engine;

pub use builder::{BuildCall, BuildFuture, Builder, Gate};
pub use call::{RawRead, RawWrite};
pub use query::Query;
pub use refusal::Refusal;
pub use server::{connection, serve_tcp, serve_unix};
pub use tls::{TlsFiles, serve_tls};
pub use version::{ApiVersion, DOCKER_RELEASE, MAX, MIN};

/// What the handlers reach: the engine, and the builder once there is one.
pub struct Face {
    pub engine: Arc<Engine>,
    pub builder: Option<Arc<dyn Builder>>,
}
