//! Talking to registries: configuration, credentials, transport, pull and push.

mod auth;
mod config;
mod credentials;
mod errors;
mod fetch;
mod follow;
mod proxy;
mod pull;
mod push;
mod session;
mod tls;
mod transport;

pub use config::{RegistriesConfig, RegistryConfig};
pub use credentials::{Credentials, DockerConfig};
