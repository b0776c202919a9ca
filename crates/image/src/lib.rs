//! Images on one machine: content-addressed blobs, unpacked layers, snapshots for containers, and
//! the ways images come and go (pull, push, load, save, import, commit, build).
//!
//! One [`ImageStore`] per data directory serves the Docker API, the builder, pods and the built-in
//! registry alike. It does not run containers, and it leaves mounting a container's root to the
//! runtime ([`mount`] is for builds, copies and tests).

mod bar;
mod codec;
mod collect;
mod content;
mod create;
mod db;
mod error;
mod flights;
mod gate;
mod hub;
mod layers;
mod names;
mod pack;
mod registry;
mod snapshot;
mod store;
mod tar;
mod transfer;
mod types;
mod unpack;

pub use error::{Error, ErrorKind, Result};
pub use hub::Served;
pub use pack::{PackStyle, Packed, pack};
pub use registry::get as http_get;
pub use registry::{
    Credentials, Distribution, DockerConfig, Found, RegistriesConfig, RegistryConfig,
};
pub use snapshot::{
    FakeSnapshots, OverlaySnapshots, Snapshotter, mount, unmount, unmount_leftovers,
};
pub use store::{Hold, ImageStore};
pub use types::*;
pub use unpack::{Limits, Owners, ReplaceKinds, UnpackOptions, Unpacked, Whiteouts, unpack};

/// Unpacks one layer as a pull does, for the benchmark.
#[doc(hidden)]
pub fn bench_unpack(store: &ImageStore, packed: &mut (dyn std::io::Read + Send)) -> Result<()> {
    let place = layers::Place { diff_id: None, lowest: true };
    store.0.layers.unpack(packed, &place).map(|_| ())
}

#[cfg(test)]
mod tests;
