//! The builder: one per engine. From a request to an image.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dockerfile::{Check, Dockerfile, Graph, Lowered, NamedContext, Options, Warning};
use engine::Engine;
use oci::Platform;
use tokio::sync::{RwLock, mpsc};

use crate::cache::Cache;
use crate::context::Context;
use crate::error::{BuildError, Result};
use crate::execute::{self, Event, Session, blocking};
use crate::fetch::http::Downloads;
use crate::mounts::Caches;
use crate::{BuildRequest, Built, Named, base, epoch, finish, recover, remote_cache};

/// Where the builder keeps things.
#[derive(Debug, Clone)]
pub struct BuilderConfig {
    pub data_dir: PathBuf,
    /// Bytes that everything kept for later builds may take together.
    pub cache_limit: u64,
}

pub struct Builder {
    pub(crate) engine: Arc<Engine>,
    pub(crate) cache: Cache,
    pub(crate) caches: Caches,
    pub(crate) downloads: Downloads,
    pub(crate) work: PathBuf,
    /// Bytes of everything kept.
    pub(crate) limit: u64,
    /// Read by every build: what is shared among builds is removed only while none runs.
    pub(crate) running: RwLock<()>,
}

impl Builder {
    /// Opens the data directory and removes what interrupted builds left.
    pub async fn open(engine: Arc<Engine>, config: BuilderConfig) -> Result<Arc<Self>> {
        let work = config.data_dir.join("work");
        recover::clean(&engine, &work).await?;
        let cache_dir = config.data_dir.join("cache");
        let cache = Cache::open(engine.images.clone(), cache_dir)?;
        let caches = Caches::new(config.data_dir.join("mounts"));
        let downloads = Downloads { root: config.data_dir.join("downloads") };
        downloads.clean();
        let (limit, running) = (config.cache_limit, RwLock::default());
        Ok(Arc::new(Self { engine, cache, caches, downloads, work, limit, running }))
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
        let running = self.running.read().await;
        let text = context.dockerfile(&request.dockerfile)?;
        let file = dockerfile::parse(&text)?;
        let check = check_of(&file, &request)?;
        let graph = self.lower(&file, &request, &events).await?;
        tell(&findings(&file, &context, &graph, &check), &check, &events)?;
        let warn = |text: String| drop(events.send(Event::Warning(text)));
        let imported = remote_cache::import(&self.engine.images, &request, &warn).await;
        let session = Arc::new(Session {
            builder: self.clone(),
            context,
            contexts: folders(&request)?,
            imported,
            executed: AtomicBool::new(false),
            leaving: std::sync::Mutex::default(),
            epoch: epoch::of(&request)?,
            request,
            graph,
            events: events.clone(),
        });
        let made = execute::run(&session).await;
        let left = session.left().await;
        let made = made?;
        left?;
        let task = session.clone();
        let built = blocking(move || finish::image(&task, &made)).await?;
        let _ = events.send(Event::Image(built.id.clone()));
        for name in &built.names {
            let _ = events.send(Event::Tagged(name.familiar()));
        }
        drop((hold, running));
        if session.executed.load(Ordering::Relaxed) {
            self.tidy_up();
        }
        Ok(built)
    }

    /// The build checks alone, as `docker build --check` prints them; findings are an error.
    pub async fn check(
        &self,
        request: &BuildRequest,
        mut context: Context,
        events: &mpsc::UnboundedSender<Event>,
    ) -> Result<()> {
        let text = context.dockerfile(&request.dockerfile)?;
        let file = dockerfile::parse(&text)?;
        let check = check_of(&file, request)?;
        let graph = self.lower(&file, request, events).await?;
        let found = findings(&file, &context, &graph, &check);
        for warning in &found {
            let report = dockerfile::report(&file, &request.dockerfile, warning);
            // Nobody listening is no reason to stop.
            let _ = events.send(Event::Log(None, report.into_bytes()));
        }
        match found.len() {
            0 => {
                let text = "Check complete, no warnings found.\n";
                let _ = events.send(Event::Log(None, text.into()));
                Ok(())
            }
            1 => Err(BuildError::new("Check complete, 1 warning has been found!")),
            n => Err(BuildError::new(format!("Check complete, {n} warnings have been found!"))),
        }
    }

    /// Keeps the limit; nobody waits for it.
    fn tidy_up(self: &Arc<Self>) {
        let builder = self.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(e) = builder.enforce() {
                eprintln!("build: keeping the cache below its limit: {e}");
            }
        });
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
            contexts: request.contexts.iter().map(named).collect(),
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
}

fn named((name, context): (&String, &Named)) -> (String, NamedContext) {
    let context = match context {
        Named::Image(image) => NamedContext::Image(image.clone()),
        Named::Folder(_) => NamedContext::Folder,
    };
    (name.clone(), context)
}

/// The named contexts that are folders, with the `.dockerignore` of each.
fn folders(request: &BuildRequest) -> Result<BTreeMap<String, Context>> {
    let mut out = BTreeMap::new();
    for (name, context) in &request.contexts {
        if let Named::Folder(path) = context {
            out.insert(name.clone(), Context::named(path)?);
        }
    }
    Ok(out)
}

/// The directive, unless the build argument says otherwise.
fn check_of(file: &dockerfile::Dockerfile, request: &BuildRequest) -> Result<Check> {
    let given = request.build_args.get("BUILDKIT_DOCKERFILE_CHECK").or(file.check.as_ref());
    Check::parse(given.map_or("", String::as_str)).map_err(BuildError::new)
}

/// What all checks find, in order of lines.
fn findings(file: &Dockerfile, context: &Context, graph: &Graph, check: &Check) -> Vec<Warning> {
    let mut found = dockerfile::lint(file, check);
    let more = dockerfile::ignored(file, &context.ignore).into_iter().chain(graph.warnings.clone());
    found.extend(more.filter(|w| !check.skips(w.rule)));
    found.sort_by_key(|w| w.line);
    found
}

/// Tells what the build checks find; with `error=true` a finding ends the build.
fn tell(found: &[Warning], check: &Check, events: &mpsc::UnboundedSender<Event>) -> Result<()> {
    let mut rules = Vec::new();
    for Warning { rule, detail, line } in found {
        // Nobody listening is no reason to stop.
        let _ = events.send(Event::Warning(format!("{rule}: {detail} (line {line})")));
        if !rules.contains(rule) {
            rules.push(*rule);
        }
    }
    if check.error && !rules.is_empty() {
        let text = format!("lint violation found for rules: {}", rules.join(", "));
        return Err(BuildError::new(text));
    }
    Ok(())
}
