//! The engine: the stores it owns, how it opens, and the pump of the keeper's events.

use std::path::PathBuf;
use std::sync::Arc;

use image::ImageStore;
use runtime::Runtime;

use crate::check::Machine;
use crate::containers::Containers;
use crate::error::{Doing, EngineError, Result};
use crate::events::Events;
use crate::execs::Execs;
use crate::networks::Networks;
use crate::sandboxes::Sandboxes;
use crate::volumes::Volumes;

/// How to open an engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Names every network, cgroup and table; engines with different names do not meet.
    pub name: String,
    /// Everything the engine owns lies below.
    pub data_dir: PathBuf,
}

/// The machine's container engine. One per data directory.
pub struct Engine {
    pub config: EngineConfig,
    pub machine: Machine,
    pub events: Events,
    pub images: ImageStore,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) containers: Containers,
    pub(crate) execs: Execs,
    pub(crate) volumes: Volumes,
    pub(crate) networks: Networks,
    pub(crate) sandboxes: Sandboxes,
}

impl Engine {
    /// Opens the data directory and recovers: running containers are adopted, ends that happened
    /// meanwhile are recorded, half-made things go, restart policies are honoured.
    ///
    /// Must be called inside a tokio runtime.
    pub async fn open(
        config: EngineConfig,
        runtime: Arc<dyn Runtime>,
        images: ImageStore,
    ) -> Result<Arc<Self>> {
        let dir = |name: &str| config.data_dir.join(name);
        let (containers, halves) = Containers::open(dir("containers"))?;
        let engine = Arc::new(Self {
            machine: machine(),
            events: Events::default(),
            images,
            runtime,
            containers,
            execs: Execs::default(),
            volumes: Volumes::open(dir("volumes"))?,
            networks: Networks::open(&config.name, dir("networks"))?,
            sandboxes: Sandboxes::open(dir("sandboxes"))?,
            config,
        });
        crate::recover::recover(&engine, halves).await?;
        Ok(engine)
    }

    /// Runs something that blocks on a thread made for that.
    pub(crate) async fn blocking<T, F>(self: &Arc<Self>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Arc<Self>) -> Result<T> + Send + 'static,
    {
        let engine = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&engine)).await;
        done.doing(|| "a worker thread failed".to_owned())?
    }

    /// The engine's cgroup, parent of all containers.
    pub(crate) fn cgroup(&self) -> String {
        format!("/{}", self.config.name)
    }
}

fn machine() -> Machine {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Machine {
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        cgroup_v2: std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
    }
}

impl From<runtime::Error> for EngineError {
    fn from(e: runtime::Error) -> Self {
        use crate::error::Kind;
        let kind = match e.kind {
            runtime::ErrorKind::NotFound => Kind::NotFound,
            runtime::ErrorKind::Exists | runtime::ErrorKind::WrongState => Kind::Conflict,
            // Docker answers 400 to a command that cannot be executed.
            runtime::ErrorKind::Invalid
            | runtime::ErrorKind::ExecNotFound
            | runtime::ErrorKind::ExecDenied => Kind::Invalid,
            runtime::ErrorKind::Kernel => Kind::System,
            runtime::ErrorKind::KeeperLost => Kind::Unavailable,
        };
        Self::new(kind, e.message)
    }
}

impl From<image::Error> for EngineError {
    fn from(e: image::Error) -> Self {
        use crate::error::Kind;
        let kind = match e.kind {
            image::ErrorKind::NotFound => Kind::NotFound,
            image::ErrorKind::Conflict => Kind::Conflict,
            image::ErrorKind::Invalid => Kind::Invalid,
            image::ErrorKind::Unauthorized => Kind::Unauthorized,
            image::ErrorKind::Denied => Kind::Forbidden,
            image::ErrorKind::Unavailable | image::ErrorKind::Internal => Kind::System,
        };
        Self::new(kind, e.to_string())
    }
}
