//! Words of container images, shared by the image store, the builder, the engine and the registry.
//!
//! Digests, references, media types, manifests, indexes, image configs and platforms, as the OCI
//! image specification 1.1 and Docker's schema 2 write them. Pure data: no IO, no clock. It does
//! not know where blobs lie or how registries are reached.

pub mod config;
pub mod digest;
pub mod manifest;
pub mod media;
pub mod platform;
pub mod reference;

pub use config::{Config, Healthcheck, History, ImageConfig, RootFs};
pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use manifest::{Descriptor, Document, Index, Manifest};
pub use media::Compression;
pub use platform::Platform;
pub use reference::{Reference, ReferenceError};
