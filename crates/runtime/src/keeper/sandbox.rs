//! Sandboxes: namespaces that live on their own, held by open descriptors of the keeper.
//!
//! A short-lived helper makes them, because making a network namespace may block. Nothing is
//! mounted anywhere; the files are reachable as `/proc/<keeper>/fd/<n>` and vanish with the
//! keeper, like its containers.

use super::exits::next_report;
use super::state::{Sandbox, SandboxKind, Source};
use super::{IN, Keeper};
use crate::child::{self, Report};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::check_sandbox;
use crate::seen::{SandboxSeen, State};
use crate::spec::SandboxSpec;
use crate::sys::process::{self, Forked};
use crate::sys::{self, socket};
use crate::wire::Reply;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

impl SandboxKind {
    const fn file(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
        }
    }

    const fn flag(self) -> i32 {
        match self {
            Self::Net => libc::CLONE_NEWNET,
            Self::Ipc => libc::CLONE_NEWIPC,
            Self::Uts => libc::CLONE_NEWUTS,
        }
    }
}

fn kinds(spec: &SandboxSpec) -> Vec<SandboxKind> {
    let all =
        [(spec.net, SandboxKind::Net), (spec.ipc, SandboxKind::Ipc), (spec.uts, SandboxKind::Uts)];
    all.into_iter().filter(|(wanted, _)| *wanted).map(|(_, kind)| kind).collect()
}

impl Keeper {
    pub(super) fn sandbox(&self, id: &str) -> Result<&Sandbox> {
        let found = self.sandboxes.get(id).filter(|sandbox| sandbox.report.is_none());
        found.ok_or_else(|| Error::not_found("sandbox", id))
    }

    pub(super) fn create_sandbox(&mut self, key: u64, spec: &SandboxSpec) -> Result<()> {
        check_sandbox(spec)?;
        if self.sandboxes.contains_key(&spec.id) {
            return Err(Error::exists("sandbox", &spec.id));
        }
        let fail = |e: io::Error| Error::kernel("make sandbox", &spec.id, &e);
        let (report, theirs) = socket::pair(socket::Kind::Packets).map_err(fail)?;
        sys::set_nonblocking(report.as_fd()).map_err(fail)?;
        let flags = if spec.pid { libc::CLONE_NEWPID } else { 0 };
        let helper = match process::fork(flags, None).map_err(fail)? {
            Forked::Child => run_helper(spec, &theirs),
            Forked::Parent(pid) => pid,
        };
        let source = Source::SandboxReport(spec.id.clone());
        self.watch(report.as_fd(), source, IN).map_err(fail)?;
        let seen = SandboxSeen {
            id: spec.id.clone(),
            net: None,
            ipc: None,
            uts: None,
            pid: if spec.pid { helper } else { 0 },
            created: sys::now(),
            labels: spec.labels.clone(),
        };
        let sandbox = Sandbox {
            seen,
            helper,
            report: Some(report),
            waiting: Some(key),
            failure: None,
            namespaces: Vec::new(),
            kinds: kinds(spec),
        };
        self.sandboxes.insert(spec.id.clone(), sandbox);
        Ok(())
    }

    pub(super) fn on_sandbox_report(&mut self, id: &str) {
        loop {
            let Some(sandbox) = self.sandboxes.get_mut(id) else { return };
            let Some(report) = &sandbox.report else { return };
            let mut fds = Vec::new();
            match next_report(report, &mut fds) {
                Ok(None) => return,
                Ok(Some(Report::Failed(error))) => sandbox.failure = Some(error),
                Ok(Some(Report::Namespaces)) => sandbox.hold(fds),
                Ok(Some(_)) => {}
                Err(()) => return self.sandbox_report_ended(id),
            }
        }
    }

    fn sandbox_report_ended(&mut self, id: &str) {
        let Some(report) = self.sandboxes.get_mut(id).and_then(|s| s.report.take()) else { return };
        self.unwatch(report.as_fd());
        let Some(sandbox) = self.sandboxes.get_mut(id) else { return };
        let key = sandbox.waiting.take();
        let complete = sandbox.namespaces.len() == sandbox.kinds.len();
        let failure = match sandbox.failure.take() {
            None if complete => None,
            None => Some(Error::new(ErrorKind::Kernel, "the sandbox's helper ended early")),
            failure => failure,
        };
        let reply = match failure {
            None => Reply::Sandbox(sandbox.seen.clone()),
            Some(error) => {
                self.sandboxes.remove(id);
                Reply::Failed(error)
            }
        };
        if let Some(key) = key {
            self.reply(key, &reply, Vec::new());
        }
    }

    /// A pause process never ends by itself: whoever killed it broke the sandbox.
    pub(super) fn sandbox_helper_ended(&mut self, id: &str) {
        self.on_sandbox_report(id);
        if let Some(sandbox) = self.sandboxes.get_mut(id) {
            (sandbox.helper, sandbox.seen.pid) = (0, 0);
        }
    }

    pub(super) fn delete_sandbox(&mut self, id: &str) -> Result<()> {
        let inside = |id: &str| {
            self.containers.values().find(|container| {
                let seen = &container.record.seen;
                seen.sandbox.as_deref() == Some(id) && seen.state != State::Exited
            })
        };
        if let Some(container) = inside(id) {
            let text = format!("sandbox `{id}` holds container `{}`", container.record.seen.id);
            return Err(Error::new(ErrorKind::WrongState, text));
        }
        let Some(sandbox) = self.sandboxes.remove(id) else { return Ok(()) };
        if let Some(report) = &sandbox.report {
            self.unwatch(report.as_fd());
        }
        if sandbox.helper > 0 && (sandbox.seen.pid > 0 || sandbox.report.is_some()) {
            let _ = process::kill(sandbox.helper, libc::SIGKILL);
        }
        Ok(())
    }
}

impl Sandbox {
    fn hold(&mut self, fds: Vec<OwnedFd>) {
        let keeper = std::process::id();
        for (kind, fd) in self.kinds.iter().zip(&fds) {
            let path = PathBuf::from(format!("/proc/{keeper}/fd/{}", fd.as_raw_fd()));
            match kind {
                SandboxKind::Net => self.seen.net = Some(path),
                SandboxKind::Ipc => self.seen.ipc = Some(path),
                SandboxKind::Uts => self.seen.uts = Some(path),
            }
        }
        self.namespaces = fds;
    }
}

/// In the helper: makes the namespaces, sends them, stays only as pause process.
fn run_helper(spec: &SandboxSpec, report: &OwnedFd) -> ! {
    let _ = process::close_all_but(&[0, 1, 2, report.as_raw_fd()]);
    process::reset_signals();
    let outcome = make_namespaces(spec).and_then(|fds| {
        let raw: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        child::send(report, &Report::Namespaces, &raw)
    });
    if let Err(error) = outcome {
        let error = Error::kernel("make sandbox", &spec.id, &error);
        let _ = child::send(report, &Report::Failed(error), &[]);
        process::exit_now(1);
    }
    if !spec.pid {
        process::exit_now(0);
    }
    let _ = process::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64);
    child::pause()
}

fn make_namespaces(spec: &SandboxSpec) -> io::Result<Vec<OwnedFd>> {
    let kinds = kinds(spec);
    process::unshare(kinds.iter().fold(0, |flags, kind| flags | kind.flag()))?;
    if spec.net {
        process::loopback_up()?;
    }
    if spec.uts && !spec.hostname.is_empty() {
        process::set_host_name(&spec.hostname)?;
    }
    if spec.uts && !spec.domainname.is_empty() {
        process::set_domain_name(&spec.domainname)?;
    }
    for (name, value) in &spec.sysctls {
        child::sysctl(name, value).map_err(|cause| {
            let cause = crate::errno::text(&cause);
            io::Error::other(format!("set sysctl `{name}` to `{value}`: {cause}"))
        })?;
    }
    let open =
        |kind: &SandboxKind| sys::open(format!("/proc/self/ns/{}", kind.file()), libc::O_RDONLY);
    kinds.iter().map(open).collect()
}
