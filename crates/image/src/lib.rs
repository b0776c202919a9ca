//! Images on one machine: content-addressed blobs, unpacked layers, snapshots for containers, and
//! the ways images come and go (pull, push, load, save, import, commit, build).
//!
//! One [`ImageStore`] per data directory serves the Docker API, the builder, pods and the built-in
//! registry alike. It does not run containers, and it leaves mounting a container's root to the
//! runtime ([`mount`] is for builds, copies and tests).

mod bar;
mod error;
mod registry;
mod snapshot;
mod store;
mod types;

pub use error::{Error, ErrorKind, Result};
pub use registry::{Credentials, RegistriesConfig, RegistryConfig};
pub use snapshot::{Snapshotter, mount, unmount};
pub use store::ImageStore;
pub use types::*;
