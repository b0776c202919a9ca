//! The daemon's side of the keeper.
//!
//! Calls may come from many threads: each takes a connection of its own from a pool. Reading and
//! writing cgroup files of a container happens here, not in the keeper.

use crate::api::{Events, Runtime};
use crate::cgroup::{self, Layout};
use crate::error::{Error, ErrorKind, Result};
use crate::resources::Resources;
use crate::seen::{ContainerSeen, Event, ExecStarted, NodeSeen, SandboxSeen, State, Stats, Stdio};
use crate::spec::{AttachSpec, ContainerSpec, ExecSpec, SandboxSpec, TtySize};
use crate::sys::process;
use crate::wire::{self, Inbox, Reply, Request, Streams};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// How to find the keeper, and how to start it when there is none.
#[derive(Debug, Clone)]
pub struct KeeperOptions {
    /// Directory of its own: socket, lock, records. Made when missing.
    pub root: PathBuf,
    /// The program that becomes the keeper.
    pub program: PathBuf,
    /// Arguments before `--root <root>`, for example `["keeper"]`.
    pub args: Vec<String>,
    /// cgroup v1 only: moving a process between cgroups costs 5 to 20 ms, because the kernel
    /// waits for a grace period. This asks it to favour such moves (`favordynmods`), for the
    /// whole machine and until it is rebooted, at a small cost for every fork and exit.
    pub favor_dynmods: bool,
}

/// A connection pool to one keeper.
#[derive(Debug)]
pub struct Keeper {
    socket: PathBuf,
    layout: Layout,
    pid: i32,
    idle: Mutex<Vec<OwnedFd>>,
}

impl Keeper {
    /// Connects to the keeper of this root, starting it first when none answers.
    pub fn open(options: &KeeperOptions) -> Result<Self> {
        // One that is just being killed may still take connections: then once more.
        for _ in 0..3 {
            match Self::connect(&options.root) {
                Err(error) if error.kind == ErrorKind::KeeperLost => {}
                other => return other,
            }
            spawn(options)?;
        }
        Self::connect(&options.root)
    }

    /// Connects to a keeper that runs already.
    pub fn connect(root: &Path) -> Result<Self> {
        let socket = root.join(crate::keeper::SOCKET);
        let mut keeper =
            Self { socket, layout: Layout::detect(), pid: 0, idle: Mutex::new(Vec::new()) };
        match keeper.ask(&Request::Hello)?.0 {
            Reply::Hello { version: wire::VERSION, pid } => keeper.pid = pid,
            Reply::Hello { version, .. } => {
                let text = format!("the keeper speaks version {version}, not {}", wire::VERSION);
                return Err(Error::new(ErrorKind::WrongState, text));
            }
            other => return Err(unexpected(&other)),
        }
        Ok(keeper)
    }

    /// The keeper's process.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The cgroup hierarchies of this machine, as the keeper uses them.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// One container.
    pub fn inspect(&self, id: &str) -> Result<ContainerSeen> {
        let mut seen = self.container(&Request::Inspect(id.to_string()))?;
        self.complete(&mut seen);
        Ok(seen)
    }

    /// Adds what the kernel knows and the keeper does not watch.
    fn complete(&self, seen: &mut ContainerSeen) {
        if seen.state != State::Exited {
            seen.paused = cgroup::freeze::is_frozen(&self.layout, &seen.cgroup);
            seen.oom |= cgroup::stats::oom_kills(&self.layout, &seen.cgroup) > 0;
        }
    }

    fn ask(&self, request: &Request) -> Result<(Reply, Vec<OwnedFd>)> {
        let lost = |error: io::Error| Error::lost(&error);
        let pooled = self.idle.lock().unwrap_or_else(|e| e.into_inner()).pop();
        let stream = match pooled {
            Some(stream) => stream,
            None => UnixStream::connect(&self.socket).map_err(lost)?.into(),
        };
        wire::send(stream.as_fd(), request, &[]).map_err(lost)?;
        let mut inbox = Inbox::default();
        let reply = inbox.receive(&stream).map_err(lost)?;
        self.idle.lock().unwrap_or_else(|e| e.into_inner()).push(stream);
        match reply {
            Reply::Failed(error) => Err(error),
            reply => Ok((reply, inbox.fds)),
        }
    }

    fn done(&self, request: &Request) -> Result<()> {
        match self.ask(request)?.0 {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn container(&self, request: &Request) -> Result<ContainerSeen> {
        match self.ask(request)?.0 {
            Reply::Container(seen) => Ok(*seen),
            other => Err(unexpected(&other)),
        }
    }

    /// The cgroup of a container that has processes.
    fn live_cgroup(&self, id: &str) -> Result<String> {
        let seen = self.container(&Request::Inspect(id.to_string()))?;
        match seen.state {
            State::Exited => {
                let text = format!("container `{id}` is not running");
                Err(Error::new(ErrorKind::WrongState, text))
            }
            _ => Ok(seen.cgroup),
        }
    }
}

impl Runtime for Keeper {
    fn create_sandbox(&self, spec: &SandboxSpec) -> Result<SandboxSeen> {
        match self.ask(&Request::CreateSandbox(spec.clone()))?.0 {
            Reply::Sandbox(seen) => Ok(seen),
            other => Err(unexpected(&other)),
        }
    }

    fn delete_sandbox(&self, id: &str) -> Result<()> {
        self.done(&Request::DeleteSandbox(id.to_string()))
    }

    fn create(&self, spec: &ContainerSpec) -> Result<ContainerSeen> {
        self.container(&Request::Create(Box::new(spec.clone())))
    }

    fn start(&self, id: &str) -> Result<ContainerSeen> {
        self.container(&Request::Start(id.to_string()))
    }

    fn signal(&self, id: &str, signal: i32) -> Result<()> {
        self.done(&Request::Signal(id.to_string(), signal))?;
        match signal {
            // A frozen process on v1 does not even die; docker thaws it too.
            libc::SIGKILL => self.unpause(id).or(Ok(())),
            _ => Ok(()),
        }
    }

    fn kill_all(&self, id: &str) -> Result<()> {
        self.done(&Request::KillAll(id.to_string()))
    }

    fn pause(&self, id: &str) -> Result<()> {
        cgroup::freeze::freeze(&self.layout, &self.live_cgroup(id)?)
    }

    fn unpause(&self, id: &str) -> Result<()> {
        cgroup::freeze::thaw(&self.layout, &self.live_cgroup(id)?)
    }

    fn update(&self, id: &str, resources: &Resources) -> Result<()> {
        let cgroup = self.live_cgroup(id)?;
        cgroup::apply::update(&self.layout, &cgroup, resources).map(drop)
    }

    fn stats(&self, id: &str) -> Result<Stats> {
        Ok(cgroup::stats::read(&self.layout, &self.live_cgroup(id)?))
    }

    fn attach(&self, id: &str, spec: &AttachSpec) -> Result<Stdio> {
        match self.ask(&Request::Attach(id.to_string(), *spec))? {
            (Reply::Attached(streams), fds) => Ok(stdio(streams, fds)),
            (other, _) => Err(unexpected(&other)),
        }
    }

    fn resize(&self, id: &str, size: TtySize) -> Result<()> {
        self.done(&Request::Resize(id.to_string(), size))
    }

    fn exec(&self, spec: &ExecSpec) -> Result<ExecStarted> {
        match self.ask(&Request::Exec(Box::new(spec.clone())))? {
            (Reply::Exec(seen, streams), fds) => {
                Ok(ExecStarted { seen, stdio: stdio(streams, fds) })
            }
            (other, _) => Err(unexpected(&other)),
        }
    }

    fn exec_resize(&self, exec: &str, size: TtySize) -> Result<()> {
        self.done(&Request::ExecResize(exec.to_string(), size))
    }

    fn exec_signal(&self, exec: &str, signal: i32) -> Result<()> {
        self.done(&Request::ExecSignal(exec.to_string(), signal))
    }

    fn reopen_log(&self, id: &str) -> Result<()> {
        self.done(&Request::ReopenLog(id.to_string()))
    }

    fn delete(&self, id: &str) -> Result<()> {
        self.done(&Request::Delete(id.to_string()))
    }

    fn observe(&self) -> Result<NodeSeen> {
        match self.ask(&Request::Observe)?.0 {
            Reply::Node(mut node) => {
                node.containers.iter_mut().for_each(|seen| self.complete(seen));
                Ok(node)
            }
            other => Err(unexpected(&other)),
        }
    }

    fn events(&self) -> Result<Box<dyn Events>> {
        let lost = |error: io::Error| Error::lost(&error);
        let stream: OwnedFd = UnixStream::connect(&self.socket).map_err(lost)?.into();
        wire::send(stream.as_fd(), &Request::Subscribe, &[]).map_err(lost)?;
        let mut subscription = Subscription { stream, inbox: Inbox::default() };
        match subscription.receive()? {
            Reply::Done => Ok(Box::new(subscription)),
            other => Err(unexpected(&other)),
        }
    }
}

fn unexpected(reply: &Reply) -> Error {
    Error::new(ErrorKind::KeeperLost, format!("the keeper answered out of turn: {reply:?}"))
}

fn stdio(streams: Streams, fds: Vec<OwnedFd>) -> Stdio {
    let mut fds = fds.into_iter();
    Stdio {
        stdin: streams.stdin.then(|| fds.next()).flatten(),
        stdout: streams.stdout.then(|| fds.next()).flatten(),
        stderr: streams.stderr.then(|| fds.next()).flatten(),
    }
}

/// A connection that carries events.
#[derive(Debug)]
pub struct Subscription {
    stream: OwnedFd,
    inbox: Inbox,
}

impl Subscription {
    fn receive(&mut self) -> Result<Reply> {
        self.inbox.receive(&self.stream).map_err(|error| Error::lost(&error))
    }
}

impl AsFd for Subscription {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Events for Subscription {
    fn next(&mut self) -> Result<Event> {
        match self.receive()? {
            Reply::Event(event) => Ok(event),
            other => Err(unexpected(&other)),
        }
    }
}

/// Starts a keeper; it goes into the background once its socket listens.
fn spawn(options: &KeeperOptions) -> Result<()> {
    let program = options.program.display();
    let fail = |e: io::Error| Error::kernel("start keeper", &program, &e);
    let mut command = std::process::Command::new(&options.program);
    command.args(&options.args).arg("--root").arg(&options.root).stdin(std::process::Stdio::null());
    if options.favor_dynmods {
        command.arg("--favor-dynmods");
    }
    command.current_dir("/").stdout(std::process::Stdio::null());
    let output = command.stderr(std::process::Stdio::piped()).output().map_err(fail)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let text = format!("the keeper `{program}` did not start: {}", text.trim());
    Err(Error::new(ErrorKind::KeeperLost, text))
}

/// Asks a keeper to end: it kills its containers and goes. For uninstalling and tests.
pub fn stop(keeper: &Keeper) -> Result<()> {
    let pid = keeper.pid();
    let pidfd = process::pidfd_open(pid).map_err(|e| Error::kernel("find", "keeper", &e))?;
    process::kill(pid, libc::SIGTERM).map_err(|e| Error::kernel("stop", "keeper", &e))?;
    crate::sys::wait_readable(pidfd.as_fd()).map_err(|e| Error::kernel("wait for", "keeper", &e))
}
