//! Runs the graph: every step as soon as what it stands on is made, independent ones together.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use dockerfile::{Base, Graph, NodeId, Op, Origin};
use image::Layer;
use oci::Digest;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::builder::Builder;
use crate::cache::Row;
use crate::context::Context;
use crate::error::{BuildError, Doing, Result};
use crate::fetch::{self, Fetched};
use crate::{BuildRequest, copy_step, run_step, workdir_step};

/// Progress, in the order it happens; steps may overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The texts of all steps, once, with the node each waits for.
    Steps(Vec<(String, Option<NodeId>)>),
    Started(NodeId),
    /// A container runs the step.
    Container(NodeId, String),
    /// Output, of a node or of the build.
    Log(Option<NodeId>, Vec<u8>),
    /// Made, or found in the cache; with a short id to show.
    Done(NodeId, String, Source),
    Warning(String),
    Image(Digest),
    Tagged(String),
}

/// Where a step's result came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Cache,
    Execution,
    /// A base image: nothing was to be done.
    Base,
}

/// One build.
pub struct Session {
    pub builder: Arc<Builder>,
    pub context: Context,
    /// `--build-context` folders.
    pub contexts: BTreeMap<String, Context>,
    /// Rows of `--cache-from`.
    pub imported: BTreeMap<String, Row>,
    pub epoch: Option<i64>,
    /// Whether anything was made that was not there before.
    pub executed: AtomicBool,
    /// Containers of steps on their way out.
    pub leaving: Mutex<Vec<JoinHandle<Result<()>>>>,
    pub request: BuildRequest,
    pub graph: Graph,
    pub events: mpsc::UnboundedSender<Event>,
}

/// A file tree that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// Digest of everything that went into it.
    pub key: String,
    /// Bottom first.
    pub layers: Vec<Layer>,
    /// The topmost one is this step's own.
    pub own_layer: bool,
    /// Not a base: it has a row in the cache.
    pub is_step: bool,
    pub created: String,
}

impl Session {
    pub fn tell(&self, event: Event) {
        // Nobody listening is no reason to stop; a client that left cancels the build elsewhere.
        let _ = self.events.send(event);
    }

    /// `2/3` style errors name the step's instruction.
    fn failed(&self, node: NodeId, e: BuildError) -> BuildError {
        let step = self.graph.steps.iter().find(|s| s.node == Some(node));
        match (e.code, step) {
            (None, Some(step)) if !matches!(self.graph.nodes[node].op, Op::Base(_)) => {
                BuildError::new(format!(
                    "{} (line {}: {})",
                    e.message, self.graph.nodes[node].line, step.text
                ))
            }
            _ => e,
        }
    }

    /// Does something beside the steps; the build waits for it at its end. A build that is dropped
    /// does not stop it.
    pub fn later(&self, work: impl Future<Output = Result<()>> + Send + 'static) {
        let task = tokio::spawn(work);
        self.leaving.lock().expect("no panic happens under this lock").push(task);
    }

    /// Waits for everything that was put off.
    pub async fn left(&self) -> Result<()> {
        let leaving = {
            let mut all = self.leaving.lock().expect("no panic happens under this lock");
            std::mem::take(&mut *all)
        };
        let mut first = Ok(());
        for task in leaving {
            first = first.and(task.await.doing(|| "a build task failed".to_owned()).flatten());
        }
        first
    }

    /// A row of this machine, or of what `--cache-from` brought, which then becomes one.
    fn cached(&self, key: &str) -> Result<Option<Row>> {
        if let Some(row) = self.builder.cache.find(key) {
            return Ok(Some(row));
        }
        let imported = self.imported.get(key).cloned();
        if let Some(row) = &imported {
            self.builder.cache.put(key, row)?;
        }
        Ok(imported)
    }

    /// The build context, or a named one.
    pub fn context_of(&self, origin: &Origin) -> Result<&Context> {
        let Origin::Named(name) = origin else { return Ok(&self.context) };
        let found = self.contexts.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let missing = || BuildError::new(format!("the build context {name} was not given"));
        found.map(|(_, context)| context).ok_or_else(missing)
    }

    fn may_use_cache(&self, node: NodeId) -> bool {
        let stage = &self.graph.nodes[node].stage;
        let filtered = |f: &String| f.eq_ignore_ascii_case(stage);
        !self.request.no_cache && !self.request.no_cache_filter.iter().any(filtered)
    }
}

type Slot = watch::Sender<Option<Made>>;

/// All nodes; gives what each made.
pub async fn run(session: &Arc<Session>) -> Result<Vec<Made>> {
    let graph = &session.graph;
    let steps = graph.steps.iter().map(|s| (s.text.clone(), s.node)).collect();
    session.tell(Event::Steps(steps));
    let slots: Vec<Slot> = graph.nodes.iter().map(|_| watch::Sender::new(None)).collect();
    let slots = Arc::new(slots);
    let mut tasks = JoinSet::new();
    for node in 0..graph.nodes.len() {
        let (session, slots) = (session.clone(), slots.clone());
        tasks.spawn(async move {
            let mut inputs = Vec::new();
            for input in session.graph.nodes[node].op.inputs() {
                let mut slot = slots[input].subscribe();
                let made = slot.wait_for(Option::is_some).await.ok().and_then(|m| m.clone());
                inputs.push(made.ok_or_else(|| BuildError::new("a step before failed"))?);
            }
            let made = one(&session, node, &inputs).await.map_err(|e| session.failed(node, e))?;
            slots[node].send_replace(Some(made));
            Ok::<(), BuildError>(())
        });
    }
    // The first failure drops the set, which cancels the others.
    while let Some(done) = tasks.join_next().await {
        done.doing(|| "a build task failed".to_owned())??;
    }
    let made = slots.iter().map(|s| s.borrow().clone());
    made.map(|m| m.ok_or_else(|| BuildError::new("a step was not executed"))).collect()
}

async fn one(session: &Arc<Session>, node: NodeId, inputs: &[Made]) -> Result<Made> {
    session.tell(Event::Started(node));
    let op = &session.graph.nodes[node].op;
    if let Op::Base(base) = op {
        let made = self::base(session, base)?;
        session.tell(Event::Done(node, short(&made.key), Source::Base));
        return Ok(made);
    }
    let fetched = match op {
        Op::Copy(copying) if fetch::is_needed(op) => fetch::all(session, copying).await?,
        _ => Vec::new(),
    };
    let fetched = Arc::new(fetched);
    let key = key(session, node, inputs, &fetched).await?;
    let cached = match session.may_use_cache(node) {
        true => session.cached(&key)?,
        false => None,
    };
    let source = if cached.is_some() { Source::Cache } else { Source::Execution };
    let row = match cached {
        Some(row) => row,
        None => {
            session.executed.store(true, Ordering::Relaxed);
            let layer = execute(session, node, inputs, fetched).await?;
            let step = session.graph.steps.iter().find(|s| s.node == Some(node));
            let description = step.map(|s| s.text.clone()).unwrap_or_default();
            let row = Row { layer, created: now(), description };
            session.builder.cache.put(&key, &row)?;
            row
        }
    };
    session.tell(Event::Done(node, short(&key), source));
    let mut layers = inputs[0].layers.clone();
    let own_layer = row.layer.is_some();
    layers.extend(row.layer);
    Ok(Made { key, layers, own_layer, is_step: true, created: row.created })
}

fn base(session: &Session, base: &Base) -> Result<Made> {
    let (key, layers, created) = match base {
        Base::Scratch => (Digest::sha256(b"scratch").hex().to_owned(), Vec::new(), String::new()),
        Base::Image(id) => {
            let image = session.builder.engine.images.get(id)?;
            (id.hex().to_owned(), image.layers, image.config.created.clone())
        }
    };
    Ok(Made { key, layers, own_layer: false, is_step: false, created })
}

async fn execute(
    session: &Arc<Session>,
    node: NodeId,
    inputs: &[Made],
    fetched: Arc<Vec<Option<Fetched>>>,
) -> Result<Option<Layer>> {
    if matches!(session.graph.nodes[node].op, Op::Run(_)) {
        return run_step::execute(session, node, inputs).await;
    }
    let (session, inputs) = (session.clone(), inputs.to_vec());
    blocking(move || match &session.graph.nodes[node].op {
        Op::Copy(copying) => copy_step::execute(&session, copying, &inputs, &fetched),
        Op::Workdir { path, .. } => workdir_step::execute(&session, path, &inputs[0]),
        Op::Base(_) | Op::Run(_) => Err(BuildError::new("this step makes no files")),
    })
    .await
}

/// Everything that goes into a step, as one digest.
async fn key(
    session: &Arc<Session>,
    node: NodeId,
    inputs: &[Made],
    fetched: &Arc<Vec<Option<Fetched>>>,
) -> Result<String> {
    let (session, inputs, fetched) = (session.clone(), inputs.to_vec(), fetched.clone());
    blocking(move || {
        let op = &session.graph.nodes[node].op;
        let recipe = match op {
            Op::Copy(copying) => copy_step::recipe(&session, copying, &inputs, &fetched)?,
            Op::Run(running) => run_step::recipe(&session, running, &inputs)?,
            Op::Workdir { path, .. } => format!("WORKDIR\0{path}\0{}", inputs[0].key),
            Op::Base(_) => return Err(BuildError::new("a base has no recipe")),
        };
        let epoch = session.epoch.map(|e| format!("\0epoch {e}")).unwrap_or_default();
        Ok(Digest::sha256(format!("{recipe}{epoch}").as_bytes()).hex().to_owned())
    })
    .await
}

/// Runs something that blocks on a thread made for that.
pub async fn blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.doing(|| "a worker thread failed".to_owned())?
}

pub fn now() -> String {
    jiff::Timestamp::now().to_string()
}

fn short(key: &str) -> String {
    key.chars().take(12).collect()
}
