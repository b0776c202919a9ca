//! Connections of clients into pods: logs, exec, attach, port-forward and proxied requests.
//!
//! Knows the wires (WebSocket, SPDY), not who accepted the connection: a face upgrades a request and hands the raw
//! bytes over.

mod forward;
mod logs;
mod node;
mod process;
mod proxy;
mod remote;
mod spdy;
mod websocket;

pub use logs::LogQuery;
pub use node::Page;

use crate::observe::observe;
use crate::ops::Hands;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use kubelet::{ContainerPhase, ContainerSeen};
use meta::{Problem, Reason};
use process::Wish;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use store::Object;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

/// The raw bytes of an upgraded connection.
pub type Io = Box<dyn Duplex>;

/// Both directions of a connection.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Serves an upgraded connection until its end.
pub type Run = Box<dyn FnOnce(Io) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What to answer with `101 Switching Protocols`, and what to do with the connection then.
pub struct Upgrade {
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub run: Run,
}

/// Clients' ways into the pods of this node.
#[derive(Clone)]
pub struct Streams {
    hands: Hands,
}

/// Where a pod's processes run.
#[derive(Clone)]
pub(crate) struct Place {
    sandbox: String,
    /// `None` on the host's network.
    netns: Option<PathBuf>,
}

impl Streams {
    pub(crate) fn new(hands: Hands) -> Self {
        Self { hands }
    }

    /// The log of a container, piece by piece; dropping the receiver ends it.
    ///
    /// # Errors
    /// 400 when the container is not named well, or has no log yet.
    pub fn logs(&self, pod: &Object, query: LogQuery) -> Result<mpsc::Receiver<Bytes>, Problem> {
        let pod = typed::parse::<Pod>(pod);
        let container = choose(&pod, &query.container)?.name;
        let seen = self.containers(&pod, &container);
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let Some(wanted) = newest(&pod, &seen, query.previous) else {
            return Err(if query.previous {
                Problem::bad_request(format!(
                    "previous terminated container {container:?} in pod {name:?} not found"
                ))
            } else {
                let why = waiting(&pod, &container);
                Problem::bad_request(format!(
                    "container {container:?} in pod {name:?} is waiting to start: {why}"
                ))
            });
        };
        let path = self.hands.config.log_path(self.hands.uid(&pod), &container, wanted.attempt);
        let (to, pieces) = mpsc::channel(8);
        let changes = self.hands.engine.watch_pod_container(&wanted.id);
        let (hands, id, running) =
            (self.hands.clone(), wanted.id.clone(), wanted.phase == ContainerPhase::Running);
        let ended = async move {
            let Ok(mut changes) = changes else { return };
            while running && is_running(&hands, &id) && changes.changed().await.is_ok() {}
        };
        tokio::spawn(async move {
            if let Err(error) = logs::read(path.clone(), query, ended, to).await {
                tracing::debug!(%error, path = %path.display(), "log not read to its end");
            }
        });
        Ok(pieces)
    }

    fn containers(&self, pod: &Pod, name: &str) -> Vec<ContainerSeen> {
        let seen = observe(&self.hands.engine, &self.hands.config, self.hands.uid(pod));
        seen.containers.into_iter().filter(|c| c.name == name).collect()
    }

    /// Prepares `exec`, `attach` or `portforward` of a pod as the request's headers ask for.
    ///
    /// # Errors
    /// 400 for a request that asks for no known protocol, or for a container that does not run.
    pub fn upgrade(
        &self,
        subresource: &str,
        pod: &Arc<Object>,
        query: &[(String, String)],
        headers: &HeaderMap,
    ) -> Result<Upgrade, Problem> {
        let pod = typed::parse::<Pod>(pod);
        match subresource {
            "portforward" => self.forward(&pod, query, headers),
            _ => self.remote(subresource, &pod, query, headers),
        }
    }

    fn remote(
        &self,
        subresource: &str,
        pod: &Pod,
        query: &[(String, String)],
        headers: &HeaderMap,
    ) -> Result<Upgrade, Problem> {
        let (wish, container) = wish(query);
        if subresource == "exec" && wish.command.is_empty() {
            return Err(Problem::bad_request(
                "you must specify at least 1 command for the container",
            ));
        }
        if !(wish.stdin || wish.stdout || wish.stderr) {
            return Err(Problem::bad_request(
                "you must specify at least 1 of stdin, stdout, stderr",
            ));
        }
        let container = choose(pod, &container)?;
        let seen = self.containers(pod, &container.name);
        let running = seen.iter().rev().find(|c| c.phase == ContainerPhase::Running);
        let id = running.map(|c| c.id.clone()).ok_or_else(|| not_found(&container.name))?;
        let hands = self.hands.clone();
        let attach_tty = container.tty == Some(true);
        let wish = match subresource {
            "attach" => Wish { command: Vec::new(), tty: attach_tty && wish.tty, ..wish },
            _ => wish,
        };
        let wire = negotiate(headers, &remote::WEBSOCKET, &remote::SPDY)?;
        let (protocol, is_spdy) = (wire.protocol, wire.spdy);
        let run: Run = Box::new(move |io| {
            Box::pin(async move {
                let ends = if is_spdy {
                    remote::spdy(io, protocol, &wish).await
                } else {
                    Some(remote::websocket(io, protocol, &wish))
                };
                let Some(ends) = ends else { return };
                process::serve(&hands, &id, &wish, ends.from, ends.to).await;
                // What the wire still has to say is said; a panic there has been printed.
                let _ = ends.work.await;
            })
        });
        Ok(Upgrade { headers: wire.headers, run })
    }

    fn forward(
        &self,
        pod: &Pod,
        query: &[(String, String)],
        headers: &HeaderMap,
    ) -> Result<Upgrade, Problem> {
        let place = self.place(pod)?;
        let websocket = [forward::TUNNELLED, forward::CHANNELS];
        let wire = negotiate(headers, &websocket, &[forward::SPDY])?;
        let ports: Vec<u16> = query
            .iter()
            .filter(|(key, _)| key == "ports")
            .flat_map(|(_, value)| value.split(','))
            .filter_map(|port| port.parse().ok())
            .collect();
        let protocol = wire.protocol;
        let run: Run = Box::new(move |io| match protocol {
            forward::TUNNELLED => Box::pin(forward::tunnelled(io, place)),
            forward::CHANNELS => Box::pin(forward::channels(io, place, ports)),
            _ => Box::pin(forward::spdy(OwnedIo(io), place)),
        });
        Ok(Upgrade { headers: wire.headers, run })
    }

    fn place(&self, pod: &Pod) -> Result<Place, Problem> {
        let seen = observe(&self.hands.engine, &self.hands.config, self.hands.uid(pod));
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let sandbox = seen.sandboxes.iter().rev().find(|s| s.ready);
        let sandbox = sandbox.and_then(|s| self.hands.engine.sandbox(&s.id).ok());
        let sandbox = sandbox.ok_or_else(|| {
            Problem::bad_request(format!(
                "unable to forward port because pod {name} is not running"
            ))
        })?;
        Ok(Place { sandbox: sandbox.id, netns: sandbox.netns })
    }
}

/// A boxed connection by a name of its own, so that it can be handed to a task.
struct OwnedIo(Io);

impl AsyncRead for OwnedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for OwnedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

fn is_running(hands: &Hands, id: &str) -> bool {
    let seen = hands.engine.pod_container(id);
    seen.is_ok_and(|c| c.phase == engine::pod::PodContainerPhase::Running)
}

/// The attempt whose log is wanted: the newest, or the one that the status calls the last.
fn newest<'a>(pod: &Pod, seen: &'a [ContainerSeen], previous: bool) -> Option<&'a ContainerSeen> {
    let name = &seen.first()?.name;
    if !previous {
        return seen.iter().rev().find(|c| c.phase != ContainerPhase::Created);
    }
    let last = status_of(pod, name)?.last_state.as_ref()?.terminated.as_ref()?;
    let id = last.container_id.as_deref()?.split("://").nth(1)?;
    seen.iter().find(|c| c.id == id)
}

fn status_of<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let lists = [
        &status.container_statuses,
        &status.init_container_statuses,
        &status.ephemeral_container_statuses,
    ];
    lists.into_iter().flatten().flatten().find(|c| c.name == container)
}

/// Why a container has no log, as `validateContainerLogStatus` of pkg/kubelet/kubelet_pods.go says it.
fn waiting(pod: &Pod, container: &str) -> String {
    let found = status_of(pod, container);
    let reason = found.and_then(|c| c.state.as_ref()?.waiting.as_ref()?.reason.clone());
    match reason.as_deref() {
        Some("ErrImagePull" | "ImagePullBackOff") => "trying and failing to pull image".into(),
        Some(reason) => reason.into(),
        None => "ContainerCreating".into(),
    }
}

fn not_found(container: &str) -> Problem {
    Problem::internal(format!("unable to upgrade connection: container not found ({container:?})"))
}

/// The container a client means (pkg/registry/core/pod/strategy.go `validateContainer`).
fn choose(pod: &Pod, name: &str) -> Result<Container, Problem> {
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    if !name.is_empty() {
        let wrong =
            || Problem::bad_request(format!("container {name} is not valid for pod {pod_name}"));
        return crate::ops::container::find(pod, name).ok_or_else(wrong);
    }
    let spec = pod.spec.clone().unwrap_or_default();
    if let [only] = spec.containers.as_slice() {
        return Ok(only.clone());
    }
    let names =
        |all: &[Container]| all.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(" ");
    let mut message = format!(
        "a container name must be specified for pod {pod_name}, choose one of: [{}]",
        names(&spec.containers)
    );
    if let Some(init) = spec.init_containers.filter(|all| !all.is_empty()) {
        message += &format!(" or one of the init containers: [{}]", names(&init));
    }
    Err(Problem::bad_request(message))
}

/// Reads `PodExecOptions` from a URL; gives the container's name as well.
fn wish(query: &[(String, String)]) -> (Wish, String) {
    let mut wish = Wish::default();
    let mut container = String::new();
    for (key, value) in query {
        match key.as_str() {
            "command" => wish.command.push(value.clone()),
            "container" => container.clone_from(value),
            "stdin" => wish.stdin = logs::flag(value),
            "stdout" => wish.stdout = logs::flag(value),
            "stderr" => wish.stderr = logs::flag(value),
            "tty" => wish.tty = logs::flag(value),
            _ => {}
        }
    }
    wish.stderr &= !wish.tty;
    (wish, container)
}

// === negotiation ===

struct Wire {
    protocol: &'static str,
    spdy: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Picks the wire and its protocol.
fn negotiate(
    headers: &HeaderMap,
    websocket: &[&'static str],
    spdy: &[&'static str],
) -> Result<Wire, Problem> {
    let upgrade = joined(headers, "upgrade").to_ascii_lowercase();
    let pick = |ours: &[&'static str], header: &str| {
        let theirs = joined(headers, header);
        let mut offers = theirs.split(',').map(str::trim).filter(|o| !o.is_empty());
        let offered: Vec<&str> = offers.by_ref().collect();
        let found = ours.iter().find(|ours| offered.contains(*ours)).copied();
        (found, offered.is_empty())
    };
    if upgrade == "websocket" {
        let key = joined(headers, "sec-websocket-key");
        let protocol = match pick(websocket, "sec-websocket-protocol") {
            (Some(protocol), _) => protocol,
            // A client that names none speaks the first one.
            (None, true) if websocket.contains(&"channel.k8s.io") => "channel.k8s.io",
            (None, _) => {
                return Err(unknown_protocol(headers, "sec-websocket-protocol", websocket));
            }
        };
        let mut answer = vec![
            (http::header::UPGRADE, HeaderValue::from_static("websocket")),
            (http::header::SEC_WEBSOCKET_ACCEPT, value(&websocket::accept_key(&key))),
        ];
        if !joined(headers, "sec-websocket-protocol").is_empty() {
            let name = http::header::SEC_WEBSOCKET_PROTOCOL;
            answer.push((name, HeaderValue::from_static(protocol)));
        }
        return Ok(Wire { protocol, spdy: false, headers: answer });
    }
    if upgrade != "spdy/3.1" {
        return Err(Problem::bad_request("Upgrade request required"));
    }
    let header = "x-stream-protocol-version";
    let protocol = match pick(spdy, header) {
        (Some(protocol), _) => protocol,
        (None, true) => spdy.last().copied().unwrap_or_default(),
        (None, false) => return Err(unknown_protocol(headers, header, spdy)),
    };
    let answer = vec![
        (http::header::UPGRADE, HeaderValue::from_static("SPDY/3.1")),
        (HeaderName::from_static(header), HeaderValue::from_static(protocol)),
    ];
    Ok(Wire { protocol, spdy: true, headers: answer })
}

fn unknown_protocol(headers: &HeaderMap, header: &str, ours: &[&str]) -> Problem {
    let theirs = joined(headers, header);
    Problem::new(
        Reason::Forbidden,
        format!(
            "unable to upgrade: unable to negotiate protocol: client supports [{theirs}], server accepts {ours:?}"
        ),
    )
}

fn joined(headers: &HeaderMap, name: &str) -> String {
    let all = headers.get_all(name).into_iter().filter_map(|v| v.to_str().ok());
    all.collect::<Vec<_>>().join(", ")
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("base64 is a header's value")
}
