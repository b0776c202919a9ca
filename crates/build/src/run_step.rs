//! RUN: a container on the tree so far, whose changes become the layer.

use std::sync::Arc;

use dockerfile::{NodeId, Op, Origin, Running};
use engine::config::{Config, HostConfig, LogConfig};
use engine::{CreateRequest, Engine, Pipe, RemoveOptions, WaitCondition};
use image::{Force, Layer, NewImage};
use oci::{Digest, ImageConfig};
use runtime::AttachSpec;
use tokio::io::AsyncReadExt;

use crate::claim::{Access, fresh};
use crate::context::Context;
use crate::error::{BuildError, Doing, Result};
use crate::execute::{Event, Made, Session, blocking};
use crate::mounts::Mounted;
use crate::select::Forest;
use crate::{claim, content, emulation, stubs};

/// Marks containers and images of steps, so that recovery finds them.
pub const LABEL: &str = "io.boxship.build.step";

/// Text and inputs; the contents of cache mounts and secrets do not count.
pub fn recipe(session: &Session, r: &Running, inputs: &[Made]) -> Result<String> {
    let keys: Vec<&str> = inputs.iter().map(|i| i.key.as_str()).collect();
    let mut out = format!(
        "RUN\0{:?}\0{:?}\0{}\0{}\0{}\0{:?}\0{:?}\0{:?}",
        r.args, r.env, r.user, r.cwd, r.network, r.mounts, r.script, keys
    );
    for mount in &r.mounts {
        if let Some(origin @ (Origin::Context | Origin::Named(_))) = &mount.origin {
            let context = session.context_of(origin)?;
            out += &format!("\0{}", context_digest(context, &mount.source)?);
        }
    }
    Ok(out)
}

fn context_digest(context: &Context, source: &str) -> Result<Digest> {
    let ignores = vec![&context.ignore];
    let forest = Forest { root: context.root(), ignores, excludes: None };
    content::digest(&forest, &forest.pick(source)?)
}

/// What a step leaves unless it is taken away; also when the build is cancelled.
struct Leftovers {
    engine: Arc<Engine>,
    image: Option<Digest>,
    container: Option<String>,
}

impl Leftovers {
    async fn remove(&mut self) -> Result<()> {
        let options = RemoveOptions { force: true, volumes: true };
        if let Some(id) = self.container.take() {
            self.engine.remove(&id, options).await?;
        }
        if let Some(image) = self.image.take() {
            self.engine.images.remove(image.as_str(), Force::Yes)?;
        }
        Ok(())
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        if self.container.is_none() && self.image.is_none() {
            return;
        }
        let (container, image) = (self.container.take(), self.image.take());
        let mut rest = Self { engine: self.engine.clone(), image, container };
        tokio::spawn(async move {
            if let Err(e) = rest.remove().await {
                eprintln!("build: cleaning up a cancelled step: {e}");
            }
        });
    }
}

pub async fn execute(
    session: &Arc<Session>,
    node: NodeId,
    inputs: &[Made],
) -> Result<Option<Layer>> {
    let Op::Run(run) = &session.graph.nodes[node].op else {
        return Err(BuildError::new("this step runs nothing"));
    };
    emulation::check(&session.graph.nodes[node].platform)?;
    let mut locks = Vec::new();
    // In the order of ids, so that two steps cannot wait for each other.
    let mut caches: Vec<_> = run.mounts.iter().collect();
    caches.sort_by(|a, b| a.id.cmp(&b.id));
    caches.dedup_by(|a, b| a.id == b.id);
    for mount in caches.into_iter().filter(|m| m.kind == dockerfile::MountKind::Cache) {
        locks.push(session.builder.caches.lock(mount).await);
    }
    let engine = session.builder.engine.clone();
    let mut left = Leftovers { engine: engine.clone(), image: None, container: None };
    let (task, layers, made) = (session.clone(), inputs[0].layers.clone(), inputs.to_vec());
    let image = blocking(move || step_image(&task, node, layers)).await?;
    left.image = Some(image.clone());
    let task = session.clone();
    let (mounted, request) = blocking(move || {
        let Op::Run(run) = &task.graph.nodes[node].op else {
            return Err(BuildError::new("this step runs nothing"));
        };
        let mut host = host_config(&task, run);
        let mut mounted = Mounted::prepare(&task, run, &made, &mut host)?;
        let config = config(run, &image, &mut mounted, &mut host);
        let request = CreateRequest { config, host, ..CreateRequest::default() };
        Ok((mounted, request))
    })
    .await?;
    let (id, _) = engine.create(request).await?;
    left.container = Some(id.clone());
    session.tell(Event::Container(node, id.clone()));
    let code = to_the_end(session, node, &id).await?;
    if code != 0 {
        let tree = match session.request.keep_failed {
            true => Some(failed_tree(session, node, inputs, id, mounted).await?),
            false => None,
        };
        left.remove().await?;
        let command = run.args.join(" ");
        let message = format!("The command '{command}' returned a non-zero code: {code}");
        return Err(BuildError { message, code: Some(code), tree });
    }
    let epoch = session.epoch;
    let layer = blocking(move || commit(&engine, &id, &mounted, epoch)).await;
    // What stands on this step need not wait for its container to go; the build does.
    session.later(async move { left.remove().await });
    layer
}

/// The container's changes, without a copy: it has ended, nothing has them mounted any more.
fn commit(
    engine: &Engine,
    id: &str,
    mounted: &Mounted,
    epoch: Option<i64>,
) -> Result<Option<Layer>> {
    let spec = engine.images.snapshots().get(id)?;
    if let Some(upper) = &spec.upper {
        stubs::remove(upper, &spec.lower, &mounted.targets);
    }
    claim::commit(&engine.images, id, epoch)
}

/// What a failed step left, as an image that starts a shell where the step was.
async fn failed_tree(
    session: &Arc<Session>,
    node: NodeId,
    inputs: &[Made],
    container: String,
    mounted: Mounted,
) -> Result<Digest> {
    let (session, mut layers) = (session.clone(), inputs[0].layers.clone());
    blocking(move || {
        let Op::Run(run) = &session.graph.nodes[node].op else {
            return Err(BuildError::new("this step runs nothing"));
        };
        let engine = &session.builder.engine;
        layers.extend(commit(engine, &container, &mounted, None)?);
        let platform = &session.graph.nodes[node].platform;
        let mut config = ImageConfig {
            os: platform.os.clone(),
            architecture: platform.architecture.clone(),
            comment: format!("{LABEL} {}", fresh()?),
            ..ImageConfig::default()
        };
        config.config.env.clone_from(&run.env);
        config.config.user.clone_from(&run.user);
        config.config.working_dir.clone_from(&run.cwd);
        config.config.cmd = Some(vec!["/bin/sh".to_owned()]);
        let new = NewImage { config, layers, parent: None, names: Vec::new() };
        Ok(engine.images.create_image(new)?)
    })
    .await
}

/// The engine starts containers of images, so the tree so far becomes one without a name.
fn step_image(session: &Session, node: NodeId, layers: Vec<Layer>) -> Result<Digest> {
    let platform = &session.graph.nodes[node].platform;
    let config = ImageConfig {
        os: platform.os.clone(),
        architecture: platform.architecture.clone(),
        // Never the same as another build's, which may be removed at any time.
        comment: format!("{LABEL} {}", fresh()?),
        ..ImageConfig::default()
    };
    let new = NewImage { config, layers, parent: None, names: Vec::new() };
    Ok(session.builder.engine.images.create_image(new)?)
}

fn host_config(session: &Session, run: &Running) -> HostConfig {
    let network = if run.network == "default" { "bridge" } else { run.network.as_str() };
    HostConfig {
        network_mode: network.to_owned(),
        log_config: LogConfig { kind: "none".to_owned(), config: None },
        extra_hosts: Some(session.request.extra_hosts.clone()),
        shm_size: session.request.shm_size,
        memory: session.request.memory,
        ..HostConfig::default()
    }
}

fn config(run: &Running, image: &Digest, mounted: &mut Mounted, host: &mut HostConfig) -> Config {
    let mut env = run.env.clone();
    let named = |env: &[String], pair: &str| {
        let name = pair.split('=').next();
        env.iter().any(|e| e.split('=').next() == name)
    };
    let own = [run.hidden_env.clone(), mounted.env.clone()].concat();
    for pair in own.into_iter().chain(of_machine(mounted, host)) {
        if !named(&env, &pair) {
            env.push(pair);
        }
    }
    Config {
        image: image.as_str().to_owned(),
        entrypoint: Some(run.args.clone()),
        env: Some(env),
        user: run.user.clone(),
        working_dir: run.cwd.clone(),
        attach_stdout: true,
        attach_stderr: true,
        labels: Some([(LABEL.to_owned(), "1".to_owned())].into()),
        ..Config::default()
    }
}

/// Variables that say where the machine's proxy and certificates are. Steps need them behind a
/// corporate gateway; the image never has them.
fn of_machine(mounted: &mut Mounted, host: &mut HostConfig) -> Vec<String> {
    const PROXIES: &[&str] =
        &["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"];
    const BUNDLES: &[&str] = &[
        "SSL_CERT_FILE",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "PIP_CERT",
        "NODE_EXTRA_CA_CERTS",
        "GIT_SSL_CAINFO",
        "CARGO_HTTP_CAINFO",
    ];
    const INSIDE: &str = "/run/boxship/ca-certificates.crt";
    let set = |name: &&&str| std::env::var(name).is_ok_and(|v| !v.is_empty());
    let value = |name: &&str| format!("{name}={}", std::env::var(name).unwrap_or_default());
    let mut out: Vec<String> = PROXIES.iter().filter(set).map(value).collect();
    if let Some(bundle) = BUNDLES.iter().find(|b| set(b)).and_then(|b| std::env::var(b).ok())
        && std::path::Path::new(&bundle).is_file()
    {
        mounted.bind(host, std::path::Path::new(&bundle), INSIDE, Access::Read);
        out.extend(BUNDLES.iter().map(|name| format!("{name}={INSIDE}")));
    }
    out
}

/// Starts it, passes its output on, waits for its end.
async fn to_the_end(session: &Arc<Session>, node: NodeId, id: &str) -> Result<i32> {
    let engine = &session.builder.engine;
    let spec = AttachSpec { stdin: false, stdout: true, stderr: true };
    let attached = engine.attach(id, spec).await?;
    engine.start(id).await?;
    if let Some(streams) = attached.streams().await {
        let out = pass_on(session, node, streams.stdout);
        let err = pass_on(session, node, streams.stderr);
        let (out, err) = tokio::join!(out, err);
        out?;
        err?;
    }
    let (code, error) = engine.wait(id, WaitCondition::NotRunning)?.await;
    if error.is_empty() { Ok(code) } else { Err(BuildError::new(error)) }
}

async fn pass_on(session: &Session, node: NodeId, pipe: Option<Pipe>) -> Result<()> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut buffer = vec![0; 16 << 10];
    loop {
        let count = pipe.read(&mut buffer).await.doing(|| "reading a step's output".to_owned())?;
        if count == 0 {
            return Ok(());
        }
        session.tell(Event::Log(Some(node), buffer[..count].to_vec()));
    }
}
