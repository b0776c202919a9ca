//! The builder: one per engine. From a request to an image.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use dockerfile::{Check, Lowered, Options};
use engine::Engine;
use oci::Platform;
use tokio::sync::mpsc;

use crate::cache::{Cache, CacheRow, Pruned};
use crate::context::Context;
use crate::error::{BuildError, Doing, Result};
use crate::execute::{self, Event, Session};
use crate::mounts::Caches;
use crate::{BuildRequest, Built, base, finish, recover};

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
        checked(&file, &request, &events)?;
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
            build_platform: Platform::host(),
            contexts: BTreeMap::new(),
            network: request.network.clone(),
            images: BTreeMap::new(),
        };
        loop {
            match dockerfile::lower(file, &options)? {
                Lowered::Graph(graph) => return Ok(*graph),
                Lowered::NeedImages(names) => {
                    for name in names {
                        let known = base::known(&self.engine.images, &name, request, events);
                        let known = known.await?;
                        options.images.insert(name, known);
                    }
                }
            }
        }
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

/// Tells what the build checks find; with `error=true` a finding ends the build.
fn checked(
    file: &dockerfile::Dockerfile,
    request: &BuildRequest,
    events: &mpsc::UnboundedSender<Event>,
) -> Result<()> {
    let given = request.build_args.get("BUILDKIT_DOCKERFILE_CHECK").or(file.check.as_ref());
    let check = Check::parse(given.map_or("", String::as_str)).map_err(BuildError::new)?;
    let mut rules = Vec::new();
    for warning in dockerfile::lint(file, &check) {
        let (rule, detail, line) = (warning.rule, warning.detail, warning.line);
        // Nobody listening is no reason to stop.
        let _ = events.send(Event::Warning(format!("{rule}: {detail} (line {line})")));
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    if check.error && !rules.is_empty() {
        let text = format!("lint violation found for rules: {}", rules.join(", "));
        return Err(BuildError::new(text));
    }
    Ok(())
}

/// Whether cache mounts are emptied too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneMounts {
    No,
    Yes,
}
