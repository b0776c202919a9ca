//! Talking to registries: configuration, credentials, transport, pull and push.

mod config;
mod credentials;

pub use config::{RegistriesConfig, RegistryConfig};
pub use credentials::Credentials;
