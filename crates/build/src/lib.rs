//! Builds images: executes a `dockerfile` graph on the engine and the image store.
//!
//! Layers go straight into the one image store; nothing is copied between a builder and it. Steps
//! that do not depend on each other run at the same time. What a step made is kept under a key of
//! everything that went into it, up to a limit of bytes. It parses nothing and speaks no wire
//! protocol: progress is a channel of [`Event`]s.

mod agent;
mod base;
mod builder;
mod cache;
mod claim;
mod classic;
mod content;
mod context;
mod copy;
mod copy_step;
mod emulation;
mod epoch;
mod error;
mod execute;
mod export;
mod fetch;
mod finish;
mod mounts;
mod owner;
mod plain;
mod raw;
mod recover;
mod remote_cache;
mod rooted;
mod run_step;
mod select;
mod stubs;
mod usage;
mod workdir_step;

pub use builder::{Builder, BuilderConfig};
pub use cache::{CacheRow, Pruned};
pub use classic::Classic;
pub use context::Context;
pub use error::{BuildError, Result};
pub use execute::{Event, Source};
pub use export::Exporter;
pub use plain::Plain;
pub use raw::Raw;
pub use usage::{PruneMounts, PruneOptions, RowKind};

use std::collections::BTreeMap;
use std::path::PathBuf;

use image::DockerConfig;
use oci::{Digest, Platform, Reference};

/// What a caller wants built.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// Path within the context.
    pub dockerfile: String,
    /// Names of the result.
    pub names: Vec<Reference>,
    /// A stage's name or number.
    pub target: Option<String>,
    pub build_args: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    pub platform: Platform,
    /// `default`, `none` or `host`; for RUN.
    pub network: String,
    pub extra_hosts: Vec<String>,
    pub no_cache: bool,
    /// Stages whose steps are not taken from the cache.
    pub no_cache_filter: Vec<String>,
    /// Base images are looked up in their registry even when they are here.
    pub pull: bool,
    /// By id, for `RUN --mount=type=secret`.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// `--build-context` by name.
    pub contexts: BTreeMap<String, Named>,
    /// Images (names or ids) whose cache rows may be used.
    pub cache_from: Vec<String>,
    /// The image carries its own cache rows.
    pub cache_inline: bool,
    /// Everything the build made is registered as one image too ([`Built::cache`]).
    pub cache_export: bool,
    /// A failed RUN leaves its tree as an image ([`BuildError::tree`]), for looking into it.
    pub keep_failed: bool,
    /// Agents' sockets by id, for `RUN --mount=type=ssh`.
    pub ssh: BTreeMap<String, PathBuf>,
    /// Credentials for the registries of base images.
    pub auths: DockerConfig,
    /// Bytes of `/dev/shm`; 0 is the default.
    pub shm_size: i64,
    /// Bytes of memory for RUN; 0 is no limit.
    pub memory: i64,
}

impl Default for BuildRequest {
    fn default() -> Self {
        Self {
            dockerfile: "Dockerfile".to_owned(),
            names: Vec::new(),
            target: None,
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            platform: Platform::host(),
            network: "default".to_owned(),
            extra_hosts: Vec::new(),
            no_cache: false,
            no_cache_filter: Vec::new(),
            pull: false,
            secrets: BTreeMap::new(),
            contexts: BTreeMap::new(),
            cache_from: Vec::new(),
            cache_inline: false,
            cache_export: false,
            keep_failed: false,
            ssh: BTreeMap::new(),
            auths: DockerConfig::default(),
            shm_size: 0,
            memory: 0,
        }
    }
}

/// What a name of `--build-context` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// An image's name.
    Image(String),
    /// A folder of this machine.
    Folder(PathBuf),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    pub id: Digest,
    pub names: Vec<Reference>,
    /// The image that carries the cache of the whole build.
    pub cache: Option<Digest>,
}

#[cfg(test)]
mod tests;
