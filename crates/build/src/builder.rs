//! The builder: one per engine. From a request to an image.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use dockerfile::{KnownImage, Lowered, Options};
use engine::Engine;
use image::{PullRequest, Reporter};
use oci::Reference;
use tokio::sync::mpsc;

use crate::cache::{Cache, CacheRow, Pruned};
use crate::context::Context;
use crate::error::{BuildError, Doing, Result};
use crate::execute::{self, Event, Session};
use crate::mounts::Caches;
use crate::{BuildRequest, Built, finish, recover};

/// Where the builder keeps things.
#[derive(Debug, Clone)]
pub struct BuilderConfig {
    pub data_dir: PathBuf,
    /// Bytes that cached layers may take together.
    pub cache_limit: u64,
}

pub struct Builder {
    pub(crate) engine: Arc<Engine>,
    pub(crate) cache: Cache,
    pub(crate) caches: Caches,
    pub(crate) work: PathBuf,
}

impl Builder {
    /// Opens the data directory and removes what interrupted builds left.
    pub async fn open(engine: Arc<Engine>, config: BuilderConfig) -> Result<Arc<Self>> {
        let work = config.data_dir.join("work");
        recover::clean(&engine, &work).await?;
        let cache_dir = config.data_dir.join("cache");
        let cache = Cache::open(engine.images.clone(), cache_dir, config.cache_limit)?;
        let caches = Caches::new(config.data_dir.join("mounts"));
        Ok(Arc::new(Self { engine, cache, caches, work }))
    }

    /// Where contexts are unpacked.
    pub fn work_dir(&self) -> &std::path::Path {
        &self.work
    }

    /// Builds; dropping the future stops it and takes everything unfinished away.
    pub async fn build(
        self: &Arc<Self>,
        request: BuildRequest,
        mut context: Context,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<Built> {
        let hold = self.engine.images.hold();
        let text = context.dockerfile(&request.dockerfile)?;
        let file = dockerfile::parse(&text)?;
        for warning in dockerfile::lint(&file) {
            // Nobody listening is no reason to stop.
            let _ = events.send(Event::Warning(format!(
                "{}: {} (line {})",
                warning.rule, warning.detail, warning.line
            )));
        }
        let graph = self.lower(&file, &request, &events).await?;
        let session = Arc::new(Session {
            builder: self.clone(),
            context,
            request,
            graph,
            events: events.clone(),
        });
        let made = execute::run(&session).await?;
        let (builder, task) = (self.clone(), session.clone());
        let built = tokio::task::spawn_blocking(move || {
            let built = finish::image(&task, &made)?;
            builder.cache.enforce()?;
            Ok::<_, BuildError>(built)
        });
        let built = built.await.doing(|| "a worker thread failed".to_owned())??;
        let _ = events.send(Event::Image(built.id.clone()));
        for name in &built.names {
            let _ = events.send(Event::Tagged(name.familiar()));
        }
        drop(hold);
        Ok(built)
    }

    /// Lowers, looking up images until nothing is missing.
    async fn lower(
        &self,
        file: &dockerfile::Dockerfile,
        request: &BuildRequest,
        events: &mpsc::UnboundedSender<Event>,
    ) -> Result<dockerfile::Graph> {
        let mut options = Options {
            target: request.target.clone(),
            build_args: request.build_args.clone(),
            labels: request.labels.clone(),
            platform: request.platform.clone(),
            network: request.network.clone(),
            images: BTreeMap::new(),
        };
        loop {
            match dockerfile::lower(file, &options)? {
                Lowered::Graph(graph) => return Ok(*graph),
                Lowered::NeedImages(names) => {
                    for name in names {
                        let known = self.known(&name, request, events).await?;
                        options.images.insert(name, known);
                    }
                }
            }
        }
    }

    async fn known(
        &self,
        name: &str,
        request: &BuildRequest,
        events: &mpsc::UnboundedSender<Event>,
    ) -> Result<KnownImage> {
        let images = &self.engine.images;
        let here = images.resolve(name).ok();
        let id = match here {
            Some(id) if !request.pull => id,
            _ => {
                let _ = events.send(Event::Log(None, format!("Pulling {name}\n").into_bytes()));
                let pull = PullRequest {
                    reference: Reference::parse_tagged(name)
                        .doing(|| format!("invalid reference {name}"))?,
                    platform: Some(request.platform.clone()),
                    auth: None,
                    reporter: Reporter::none(),
                };
                images.pull(pull).await?.id
            }
        };
        Ok(KnownImage { config: images.config(&id)?, id })
    }

    /// Rows of the cache, longest unused first.
    pub fn cache_rows(&self) -> Vec<CacheRow> {
        self.cache.rows()
    }

    /// Frees what has not been used since `until`; the contents of cache mounts only with `all`.
    pub fn prune(&self, until: SystemTime, mounts: PruneMounts) -> Result<Pruned> {
        let hold = self.engine.images.hold();
        let mut pruned = self.cache.prune(until)?;
        if mounts == PruneMounts::Yes {
            pruned.bytes += self.caches.clear()?;
        }
        drop(hold);
        Ok(pruned)
    }
}

/// Whether cache mounts are emptied too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneMounts {
    No,
    Yes,
}
