//! New children: containers and execs.

use super::log::{LogWriter, Stream};
use super::record::{Record, start_ticks};
use super::state::{Container, ContainerIo, Exec, Source, Waits};
use super::{IN, Keeper};
use crate::cgroup;
use crate::child::{self, Wires};
use crate::error::{Error, Result};
use crate::plan::{self, InitPlan, Joins};
use crate::seen::{ContainerSeen, ExecSeen, State};
use crate::spec::{ContainerSpec, ExecSpec, Namespace, ProcessSpec, Stdin};
use crate::sys::process::{self, Forked};
use crate::sys::{self, socket};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Both sides of a child's wires.
struct Cabling {
    child: Wires,
    report: OwnedFd,
    start: Option<OwnedFd>,
    /// Our ends of stdin, stdout, stderr.
    ours: [Option<OwnedFd>; 3],
}

impl Cabling {
    /// `stdin`: whether anybody may write; `start`: whether the child waits.
    fn new(process: &ProcessSpec, stdin: Stdin, start: Option<()>) -> io::Result<Self> {
        let (report, child_report) = socket::pair(socket::Kind::Packets)?;
        sys::set_nonblocking(report.as_fd())?;
        let (start_read, start_write) = start.map(|()| sys::pipe()).transpose()?.unzip();
        let mut cabling = Self {
            child: Wires { report: child_report, start: start_read, stdio: None, target: None },
            report,
            start: start_write,
            ours: [None, None, None],
        };
        if process.tty.is_none() {
            let (out_read, out_write) = sys::pipe()?;
            let (err_read, err_write) = sys::pipe()?;
            let (input, ours) = match stdin {
                Stdin::Closed => (sys::open("/dev/null", libc::O_RDONLY)?, None),
                _ => sys::pipe().map(|(read, write)| (read, Some(write)))?,
            };
            cabling.child.stdio = Some([input, out_write, err_write]);
            cabling.ours = [ours, Some(out_read), Some(err_read)];
        }
        Ok(cabling)
    }
}

impl Keeper {
    /// Answers when the child has reported, or has ended.
    pub(super) fn create(&mut self, key: u64, spec: &ContainerSpec) -> Result<()> {
        if self.containers.contains_key(&spec.id) {
            return Err(Error::exists("container", &spec.id));
        }
        let joins = self.joins(spec)?;
        let plan = plan::container(spec, &self.host, &joins)?;
        let pid_ns = self.pid_namespace(spec)?;
        let mut container = self.new_container(spec, &plan)?;
        container.waiting.push((key, Waits::Create));
        let save = |keeper: &Self, record: &Record| {
            keeper.records.save(record).map_err(|e| Error::kernel("record", &spec.id, &e))
        };
        save(self, &container.record)?;
        let spawned = cgroup::apply::make(&self.host.layout, &plan.cgroup)
            .and_then(|()| self.spawn_container(spec, &plan, pid_ns.as_ref(), &mut container));
        if let Err(error) = spawned {
            self.clear_cgroup(&container.record.seen.cgroup);
            let _ = self.records.remove(&spec.id);
            return Err(error);
        }
        let saved = save(self, &container.record);
        let pid = container.record.seen.pid;
        self.containers.insert(spec.id.clone(), container);
        if let Err(error) = saved {
            // The exit tells the client.
            let _ = process::kill(pid, libc::SIGKILL);
            self.container_failed(&spec.id, error);
        }
        Ok(())
    }

    fn new_container(&self, spec: &ContainerSpec, plan: &InitPlan) -> Result<Container> {
        let path = spec.logs.path.display();
        let log = LogWriter::open(&spec.logs).map_err(|e| Error::kernel("open log", path, &e))?;
        let seen = ContainerSeen {
            id: spec.id.clone(),
            sandbox: spec.sandbox.clone(),
            pid: 0,
            state: State::Created,
            paused: false,
            oom: false,
            created: sys::now(),
            started: None,
            exit: None,
            warnings: plan.warnings.clone(),
            labels: spec.labels.clone(),
            cgroup: format!("{}/{}", spec.cgroup_parent.trim_end_matches('/'), spec.id),
        };
        let boot = self.records.boot.clone();
        Ok(Container {
            record: Record { seen, answered: false, started_ticks: 0, boot },
            own_pids: spec.namespaces.pid == Namespace::New,
            report: None,
            start: None,
            waiting: Vec::new(),
            failure: None,
            status: None,
            io: ContainerIo {
                terminal: spec.process.tty.is_some(),
                once: spec.stdin == Stdin::Once,
                log,
                ..ContainerIo::default()
            },
            oom_watch: None,
            oom_kills: 0,
        })
    }

    fn spawn_container(
        &mut self,
        spec: &ContainerSpec,
        plan: &InitPlan,
        pid_ns: Option<&OwnedFd>,
        container: &mut Container,
    ) -> Result<()> {
        let fail = |e: io::Error| Error::kernel("start process of", &spec.id, &e);
        let cabling = Cabling::new(&spec.process, spec.stdin, Some(())).map_err(fail)?;
        let (report, start, [stdin, out, err]) = (cabling.report, cabling.start, cabling.ours);
        let pid = self.fork(plan, cabling.child, pid_ns).map_err(fail)?;
        container.record.seen.pid = pid;
        container.record.started_ticks = start_ticks(pid).unwrap_or(0);
        container.start = start;
        self.watch(report.as_fd(), Source::ContainerReport(spec.id.clone()), IN).map_err(fail)?;
        container.report = Some(report);
        for (fd, stream) in [(out, Stream::Stdout), (err, Stream::Stderr)] {
            let Some(fd) = fd else { continue };
            sys::set_nonblocking(fd.as_fd()).map_err(fail)?;
            let source = Source::Output(spec.id.clone(), stream);
            self.watch(fd.as_fd(), source, IN).map_err(fail)?;
            container.io.outputs[stream as usize] = Some(fd);
        }
        if let Some(stdin) = stdin {
            sys::set_nonblocking(stdin.as_fd()).map_err(fail)?;
            container.io.stdin = Some(stdin);
        }
        self.watch_oom(container);
        Ok(())
    }

    /// Forks into a process namespace when one is given.
    fn fork(&self, plan: &InitPlan, wires: Wires, pid_ns: Option<&OwnedFd>) -> io::Result<i32> {
        let unified = plan.cgroup.unified.as_ref();
        let unified = unified.map(|dir| sys::open(dir, libc::O_DIRECTORY)).transpose()?;
        if let Some(ns) = pid_ns {
            process::setns(ns.as_fd(), libc::CLONE_NEWPID)?;
        }
        let forked = process::fork(plan.clone_flags, unified.as_ref().map(AsFd::as_fd));
        if let Ok(Forked::Child) = forked {
            child::run(plan, wires);
        }
        if pid_ns.is_some() {
            process::setns(self.own_pid_ns.as_fd(), libc::CLONE_NEWPID)?;
        }
        match forked? {
            Forked::Parent(pid) => Ok(pid),
            Forked::Child => process::exit_now(1),
        }
    }

    /// Namespace files for everything that is neither new nor the host's.
    fn joins(&self, spec: &ContainerSpec) -> Result<Joins> {
        let sandbox = spec.sandbox.as_deref().map(|id| self.sandbox(id)).transpose()?;
        let seen = sandbox.map(|sandbox| &sandbox.seen);
        let of = |wanted: &Namespace, file: &str, pinned: Option<&PathBuf>| match wanted {
            Namespace::New | Namespace::Host => Ok(None),
            Namespace::Path(path) => Ok(Some(path.clone())),
            Namespace::Container(id) => self.namespace_of(id, file).map(Some),
            Namespace::Sandbox => match seen {
                Some(_) => Ok(pinned.cloned()),
                None => Err(Error::invalid("a sandbox namespace needs a sandbox")),
            },
        };
        let ns = &spec.namespaces;
        Ok(Joins {
            net: of(&ns.net, "net", seen.and_then(|seen| seen.net.as_ref()))?,
            ipc: of(&ns.ipc, "ipc", seen.and_then(|seen| seen.ipc.as_ref()))?,
            uts: of(&ns.uts, "uts", seen.and_then(|seen| seen.uts.as_ref()))?,
            cgroup: of(&ns.cgroup, "cgroup", None)?,
        })
    }

    fn namespace_of(&self, id: &str, file: &str) -> Result<PathBuf> {
        let pid = self.live(id)?.record.seen.pid;
        Ok(PathBuf::from(format!("/proc/{pid}/ns/{file}")))
    }

    fn pid_namespace(&self, spec: &ContainerSpec) -> Result<Option<OwnedFd>> {
        let path = match &spec.namespaces.pid {
            Namespace::New | Namespace::Host => return Ok(None),
            Namespace::Path(path) => path.clone(),
            Namespace::Container(id) => self.namespace_of(id, "pid")?,
            Namespace::Sandbox => {
                let id = spec.sandbox.as_deref().unwrap_or_default();
                match self.sandbox(id)?.seen.pid {
                    0 => return Err(Error::invalid("the sandbox does not share processes")),
                    pid => PathBuf::from(format!("/proc/{pid}/ns/pid")),
                }
            }
        };
        open_ns(&path).map(Some)
    }

    /// Answers when the program runs, or could not be started.
    pub(super) fn exec(&mut self, key: u64, spec: &ExecSpec) -> Result<()> {
        if self.execs.contains_key(&spec.id) {
            return Err(Error::exists("exec", &spec.id));
        }
        let container = self.live(&spec.container)?;
        let seen = &container.record.seen;
        if seen.state != State::Running {
            return Err(super::requests::wrong_state(seen, "is not running"));
        }
        let pid = seen.pid;
        let dirs = self.host.layout.dirs(&seen.cgroup);
        let procs = dirs.iter().map(|dir| dir.join("cgroup.procs")).filter(|file| file.exists());
        let mut plan = plan::exec(spec, &self.host, pid, procs.collect())?;
        if self.host.layout.is_v2() {
            plan.cgroup.unified = dirs.into_iter().next();
            plan.steps.retain(|step| !matches!(step, plan::Step::JoinCgroup(_)));
        }
        let pid_ns = open_ns(Path::new(&format!("/proc/{pid}/ns/pid")))?;
        let fail = |e: io::Error| Error::kernel("start process in", &spec.container, &e);
        let stdin = if spec.stdin { Stdin::Open } else { Stdin::Closed };
        let mut cabling = Cabling::new(&spec.process, stdin, None).map_err(fail)?;
        cabling.child.target = Some(process::pidfd_open(pid).map_err(fail)?);
        let exec_pid = self.fork(&plan, cabling.child, Some(&pid_ns)).map_err(fail)?;
        let source = Source::ExecReport(spec.id.clone());
        self.watch(cabling.report.as_fd(), source, IN).map_err(fail)?;
        let (id, container) = (spec.id.clone(), spec.container.clone());
        let exec = Exec {
            seen: ExecSeen { id, container, pid: exec_pid, warnings: plan.warnings },
            report: Some(cabling.report),
            waiting: Some(key),
            failure: None,
            terminal: None,
            client: cabling.ours,
        };
        self.execs.insert(spec.id.clone(), exec);
        Ok(())
    }

    /// Out-of-memory kills wake the loop: an eventfd on v1, inotify on v2.
    fn watch_oom(&mut self, container: &mut Container) {
        let id = &container.record.seen.id;
        let dir = self.host.layout.dir("memory", &container.record.seen.cgroup);
        let v2 = self.host.layout.is_v2();
        let open = |dir: PathBuf| -> io::Result<OwnedFd> {
            if v2 {
                return sys::inotify_modify(dir.join("memory.events"));
            }
            let event = sys::eventfd()?;
            let control = sys::open(dir.join("memory.oom_control"), libc::O_RDONLY)?;
            let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
            std::fs::write(dir.join("cgroup.event_control"), line)?;
            Ok(event)
        };
        let Some(Ok(fd)) = dir.map(open) else { return };
        if self.watch(fd.as_fd(), Source::Oom(id.clone()), IN).is_ok() {
            container.oom_watch = Some(fd);
        }
    }
}

pub(super) fn open_ns(path: &Path) -> Result<OwnedFd> {
    sys::open(path, libc::O_RDONLY).map_err(|e| Error::kernel("open namespace", path.display(), &e))
}
