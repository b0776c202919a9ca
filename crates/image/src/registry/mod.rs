//! Talking to registries: configuration, credentials, transport, pull and push.

mod auth;
mod config;
mod credentials;
mod errors;
mod fetch;
mod follow;
mod get;
mod proxy;
mod pull;
mod push;
mod remote;
mod session;
mod tls;
mod transport;

pub use config::{RegistriesConfig, RegistryConfig};
pub use credentials::{Credentials, DockerConfig};
pub use get::get;
pub use remote::{Distribution, Found};
