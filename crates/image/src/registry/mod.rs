//! Talking to registries: configuration, credentials, transport, pull and push.

mod client;
mod config;
mod credentials;
mod pull;

pub(crate) use client::Client;
pub use config::{RegistriesConfig, RegistryConfig};
pub use credentials::Credentials;
