//! `exec`, `attach`, `run -it`, and `cp` through `tar` in the container.

use super::kinds::Kinds;
use super::logs::{default_container, pods};
use super::{Cluster, cluster, text};
use crate::failure::Failure;
use crate::parse::Call;
use crate::{out, term};
use bytes::Bytes;
use meta::Value;
use remote::{Channels, Told, escape};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// What to run where.
struct Session<'a> {
    cluster: &'a Cluster,
    pod: &'a str,
    container: &'a str,
    /// `exec` or `attach`.
    verb: &'a str,
    command: &'a [String],
    stdin: bool,
    tty: bool,
}

impl Session<'_> {
    fn path(&self) -> String {
        let mut path = format!(
            "/api/v1/namespaces/{}/pods/{}/{}?container={}&stdin={}&stdout=true&stderr={}&tty={}",
            self.cluster.namespace,
            escape(self.pod),
            self.verb,
            escape(self.container),
            self.stdin,
            !self.tty,
            self.tty,
        );
        for word in self.command {
            path.push_str(&format!("&command={}", escape(word)));
        }
        path
    }

    fn failed(&self, error: &remote::Error) -> Failure {
        Failure::kube(format!("{} in {}", self.verb, self.pod), error)
    }

    /// Runs with this program's own streams; the exit code.
    async fn run(&self) -> Result<u8, Failure> {
        let guard = (self.tty && self.stdin).then(term::Raw::enter);
        let source = self.stdin.then(term::stdin);
        let done = self.converse(source, out::write).await;
        drop(guard);
        done
    }

    async fn converse(
        &self,
        source: Option<mpsc::Receiver<Bytes>>,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<u8, Failure> {
        let opened = Channels::open(&self.cluster.kube, &self.path()).await;
        let (input, mut output) = opened.map_err(|e| self.failed(&e))?.split();
        let typing = tokio::spawn(typing(input, source, self.tty));
        let done = loop {
            match output.next().await.map_err(|e| self.failed(&e))? {
                Some(Told::Stdout(bytes)) => sink(&bytes),
                Some(Told::Stderr(bytes)) => out::write_err(&bytes),
                Some(Told::Done(status)) => break Some(status),
                None => break None,
            }
        };
        typing.abort();
        let Some(status) = done else { return Ok(0) };
        match Told::exit_code(&status) {
            Some(0) => Ok(0),
            Some(code) => Err(exited(code)),
            None => {
                let message = text(&status, "/message").to_owned();
                Err(Failure::plain(format!("error: Internal error occurred: {message}")))
            }
        }
    }
}

fn exited(code: i32) -> Failure {
    let plain = format!("command terminated with exit code {code}");
    Failure::plain(plain).code(u8::try_from(code & 0xff).unwrap_or(1))
}

/// What is typed, and the terminal's size.
async fn typing(mut input: remote::Input, source: Option<mpsc::Receiver<Bytes>>, tty: bool) {
    let Ok(mut resized) = signal(SignalKind::window_change()) else { return };
    if tty && let Some((width, height)) = term::size() {
        let _ = input.resize(width, height).await;
    }
    let Some(mut source) = source else {
        return std::future::pending().await;
    };
    loop {
        let sent = tokio::select! {
            bytes = source.recv() => match bytes {
                Some(bytes) => input.stdin(&bytes).await,
                None => {
                    // The container may have ended.
                    let _ = input.end().await;
                    return std::future::pending().await;
                }
            },
            _ = resized.recv(), if tty => match term::size() {
                Some((width, height)) => input.resize(width, height).await,
                None => Ok(()),
            },
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The first pod an argument means, and the container in it.
async fn place(call: &Call, cluster: &Cluster, word: &str) -> Result<(Value, String), Failure> {
    let kinds = Kinds::load(&cluster.kube).await?;
    let pod = pods(cluster, &kinds, word).await?.remove(0);
    let phase = text(&pod, "/status/phase");
    if matches!(phase, "Succeeded" | "Failed") {
        return Err(Failure::plain(format!(
            "error: cannot exec into a container in a completed pod; current phase is {phase}"
        )));
    }
    let container = match call.get("container") {
        Some(name) => name.to_owned(),
        None => {
            let several = pod["spec"]["containers"].as_array().is_some_and(|list| list.len() > 1);
            let default = default_container(&pod).to_owned();
            if several && !call.has("quiet") {
                let names = pod["spec"]["containers"].as_array().into_iter().flatten();
                let names: Vec<&str> = names.map(|c| text(c, "/name")).collect();
                let list = names.join(", ");
                out::write_err(
                    format!("Defaulted container \"{default}\" out of: {list}\n").as_bytes(),
                );
            }
            default
        }
    };
    Ok((pod, container))
}

/// A terminal was asked for and there is none: said, and done without.
fn tty(call: &Call) -> bool {
    let wanted = call.has("tty");
    if wanted && call.has("stdin") && !term::stdin_is_terminal() {
        out::write_err(
            b"Unable to use a TTY - input is not a terminal or the right kind of file\n",
        );
        return false;
    }
    wanted
}

pub async fn exec(call: &Call) -> Result<u8, Failure> {
    let cluster = cluster(call)?;
    let (word, command) = call.args.split_first().expect("the row asks for a pod");
    if command.is_empty() {
        return Err(Failure::plain(
            "error: you must specify at least one command for the container",
        ));
    }
    let (pod, container) = place(call, &cluster, word).await?;
    let session = Session {
        cluster: &cluster,
        pod: text(&pod, "/metadata/name"),
        container: &container,
        verb: "exec",
        command,
        stdin: call.has("stdin"),
        tty: tty(call),
    };
    session.run().await
}

pub async fn attach(call: &Call) -> Result<u8, Failure> {
    let cluster = cluster(call)?;
    let (pod, container) = place(call, &cluster, &call.args[0]).await?;
    let session = Session {
        cluster: &cluster,
        pod: text(&pod, "/metadata/name"),
        container: &container,
        verb: "attach",
        command: &[],
        stdin: call.has("stdin"),
        tty: tty(call),
    };
    session.run().await
}

/// `run -it`: creates the pod, waits until it runs, attaches, and removes it when asked.
pub async fn run_attached(call: &Call, pod: &Value) -> Result<u8, Failure> {
    let cluster = cluster(call)?;
    let path = format!("/api/v1/namespaces/{}/pods", cluster.namespace);
    let made = cluster.kube.post(&path, pod).await;
    let made = made.map_err(|e| Failure::kube("create the pod", &e))?;
    let name = text(&made, "/metadata/name").to_owned();
    let done = attached(call, &cluster, &made, &name).await;
    if call.has("rm") {
        let gone = cluster.kube.delete(&format!("{path}/{}", escape(&name)), None).await;
        gone.map_err(|e| Failure::kube(format!("delete pod \"{name}\""), &e))?;
        out::line(format!("pod \"{name}\" deleted from {} namespace", cluster.namespace));
    }
    done
}

async fn attached(call: &Call, cluster: &Cluster, made: &Value, name: &str) -> Result<u8, Failure> {
    let container = text(made, "/spec/containers/0/name").to_owned();
    let phase = running(cluster, made, name).await?;
    if phase == "Running" {
        let session = Session {
            cluster,
            pod: name,
            container: &container,
            verb: "attach",
            command: &[],
            stdin: call.has("stdin"),
            tty: tty(call),
        };
        out::write_err(b"If you don't see a command prompt, try pressing enter.\n");
        match session.run().await {
            Err(failure)
                if failure.code == 1
                    && failure.plain.as_deref().is_some_and(|p| p.contains("not found")) => {}
            other => return other,
        }
    }
    let path = format!("/api/v1/namespaces/{}/pods/{}/log", cluster.namespace, escape(name));
    let log = cluster.kube.text(&path).await;
    out::write(&log.map_err(|e| Failure::kube(format!("read the log of {name}"), &e))?);
    Ok(0)
}

/// Waits until a pod runs or has ended: its phase.
async fn running(cluster: &Cluster, made: &Value, name: &str) -> Result<String, Failure> {
    let failed = |e: remote::Error| Failure::kube(format!("wait for pod \"{name}\""), &e);
    let path = format!(
        "/api/v1/namespaces/{}/pods?watch=true&fieldSelector={}&resourceVersion={}",
        cluster.namespace,
        escape(&format!("metadata.name={name}")),
        text(made, "/metadata/resourceVersion"),
    );
    let mut watch = cluster.kube.watch(&path, "application/json").await.map_err(failed)?;
    while let Some(event) = watch.next().await.map_err(failed)? {
        let phase = text(&event.object, "/status/phase");
        // The pod runs before its container does when there are several.
        let waits = event.object.pointer("/status/containerStatuses/0/state/waiting").is_some();
        let started = phase == "Running" && !waits;
        if event.kind == "DELETED" || started || matches!(phase, "Succeeded" | "Failed") {
            return Ok(phase.to_owned());
        }
    }
    Err(Failure::plain("error: timed out waiting for the condition"))
}

/// `POD:PATH` or `NAMESPACE/POD:PATH`
fn place_of(text: &str) -> Option<(&str, &str)> {
    let (pod, path) = text.split_once(':')?;
    (!pod.is_empty() && !pod.starts_with(['.', '/'])).then_some((pod, path))
}

pub async fn copy(call: &Call) -> Result<u8, Failure> {
    let (from, to) = (call.args[0].as_str(), call.args[1].as_str());
    match (place_of(from), place_of(to)) {
        (Some((pod, path)), None) => download(call, pod, path, to).await,
        (None, Some((pod, path))) => upload(call, from, pod, path).await,
        _ => Err(Failure::plain("error: one of src or dest must be a local file specification")),
    }
}

async fn in_pod<'a>(call: &Call, pod: &'a str) -> Result<(Cluster, &'a str, String), Failure> {
    let mut cluster = cluster(call)?;
    let pod = match pod.split_once('/') {
        Some((namespace, pod)) => {
            namespace.clone_into(&mut cluster.namespace);
            pod
        }
        None => pod,
    };
    let (_, container) = place(call, &cluster, pod).await?;
    Ok((cluster, pod, container))
}

async fn download(call: &Call, pod: &str, path: &str, to: &str) -> Result<u8, Failure> {
    let (cluster, pod, container) = in_pod(call, pod).await?;
    let path = path.trim_end_matches('/');
    let (dir, name) = path.rsplit_once('/').unwrap_or((".", path));
    let dir = if dir.is_empty() { "/" } else { dir };
    let words = ["tar", "cf", "-", "-C", dir, name].map(str::to_owned);
    let session = Session {
        cluster: &cluster,
        pod,
        container: &container,
        verb: "exec",
        command: &words,
        stdin: false,
        tty: false,
    };
    let mut archive = Vec::new();
    session.converse(None, |bytes| archive.extend_from_slice(bytes)).await?;
    crate::docker::unpack_as(&archive, to, name).map(|()| 0)
}

async fn upload(call: &Call, from: &str, pod: &str, path: &str) -> Result<u8, Failure> {
    let (cluster, pod, container) = in_pod(call, pod).await?;
    let path = path.trim_end_matches('/');
    let test = ["test", "-d", path].map(str::to_owned);
    let ask = Session {
        cluster: &cluster,
        pod,
        container: &container,
        verb: "exec",
        command: &test,
        stdin: false,
        tty: false,
    };
    let is_dir = ask.converse(None, |_| {}).await.is_ok();
    let (dir, name) = match is_dir {
        true => (path, None),
        false => {
            let (dir, name) = path.rsplit_once('/').unwrap_or((".", path));
            (if dir.is_empty() { "/" } else { dir }, Some(name.to_owned()))
        }
    };
    let archive = crate::docker::pack_as(from, name)?;
    let words = ["tar", "xmf", "-", "-C", dir].map(str::to_owned);
    let session = Session { command: &words, stdin: true, ..ask };
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        for chunk in archive.chunks(32 << 10) {
            if sender.send(Bytes::copy_from_slice(chunk)).await.is_err() {
                return;
            }
        }
    });
    session.converse(Some(receiver), out::write).await
}
