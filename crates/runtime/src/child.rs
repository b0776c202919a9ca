//! The interpreter: runs an [`InitPlan`] in a freshly forked child, up to the exec.
//!
//! It runs in a copy of the single-threaded keeper, so ordinary Rust works. Every step either
//! succeeds or is reported to the keeper with the step's name; the child then ends, and with it
//! everything it made except cgroups, which the keeper removes.

mod files;
mod identity;
mod init;
mod mounts;
mod program;

use crate::errno;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{InitPlan, Step};
use crate::sys::{self, process, socket};
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

pub use files::{open_below, sysctl};
pub use init::pause;

/// What a child tells the keeper, one packet each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Report {
    Warning(String),
    /// Comes with the terminal's master.
    Terminal,
    /// All set, waiting for the word.
    Ready,
    Failed(Error),
    /// A sandbox helper's last word, with the namespaces it made.
    Namespaces,
}

/// Longest packet; a message beyond is cut.
pub const REPORT_MAX: usize = 8192;

pub fn send(socket: &OwnedFd, report: &Report, fds: &[i32]) -> io::Result<()> {
    let mut report = report.clone();
    if let Report::Failed(error) = &mut report {
        let end = error.message.floor_char_boundary(REPORT_MAX / 4);
        error.message.truncate(end);
    }
    let bytes = serde_json::to_vec(&report)?;
    socket::send(socket.as_fd(), &bytes, fds).map(drop)
}

/// What the child gets from the keeper.
#[derive(Debug)]
pub struct Wires {
    pub report: OwnedFd,
    /// A byte means go, end of file means the keeper is gone. Execs have none.
    pub start: Option<OwnedFd>,
    /// Standard streams; `None` when a terminal will be opened.
    pub stdio: Option<[OwnedFd; 3]>,
    /// Execs only: the container's first process.
    pub target: Option<OwnedFd>,
}

/// State that steps hand to later steps.
struct Child {
    wires: Wires,
    /// `/proc/<own pid>` of the host's proc, reachable after the root has changed.
    proc_self: OwnedFd,
    /// The container's root, once mounted.
    root: Option<OwnedFd>,
    /// Shared mount sources by target.
    kept: Vec<(String, OwnedFd)>,
    /// The container's side of the terminal.
    terminal: Option<OwnedFd>,
    program: CString,
}

/// Runs the plan; never returns.
pub fn run(plan: &InitPlan, wires: Wires) -> ! {
    if let Err(error) = prepare(&wires) {
        fail(&wires.report, Error::kernel("prepare", "child", &error));
    }
    let proc_self = sys::open("/proc/self", libc::O_PATH | libc::O_DIRECTORY);
    let proc_self = match proc_self {
        Ok(fd) => fd,
        Err(error) => fail(&wires.report, Error::kernel("open", "/proc/self", &error)),
    };
    let mut child = Child {
        wires,
        proc_self,
        root: None,
        kept: Vec::new(),
        terminal: None,
        program: CString::default(),
    };
    for step in &plan.steps {
        if let Err(error) = child.step(step) {
            fail(&child.wires.report, error);
        }
    }
    process::exit_now(0)
}

/// Nothing of the keeper may be visible: other descriptors, signal settings, its umask.
fn prepare(wires: &Wires) -> io::Result<()> {
    // The first three are replaced later; until then nothing else may take their numbers.
    let mut keep = vec![0, 1, 2, wires.report.as_raw_fd()];
    keep.extend(wires.start.iter().map(AsRawFd::as_raw_fd));
    keep.extend(wires.target.iter().map(AsRawFd::as_raw_fd));
    keep.extend(wires.stdio.iter().flatten().map(AsRawFd::as_raw_fd));
    process::close_all_but(&keep)?;
    process::reset_signals();
    process::umask(0);
    Ok(())
}

fn fail(report: &OwnedFd, error: Error) -> ! {
    // Nobody is left to tell when this fails: the keeper sees the end of file.
    let _ = send(report, &Report::Failed(error), &[]);
    process::exit_now(1)
}

impl Child {
    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::JoinCgroup(procs) => crate::cgroup::apply::join(procs),
            Step::Limits(writes) => {
                let warnings = crate::cgroup::apply::write_all(writes)?;
                warnings.into_iter().for_each(|warning| self.warn(warning));
                Ok(())
            }
            Step::MountCgroupV1 { target, dirs } => self.mount_cgroup_v1(target, dirs),
            Step::EnterUser(maps) => self.enter_user(maps),
            Step::FindProgram { name, path } => self.find_program(name, path),
            Step::WaitForStart => self.wait_for_start(),
            Step::StayAsInit => init::stay(&self.wires.report),
            Step::Execute { args, env } => Err(self.execute(args, env)),
            other => self.simple(other).map_err(|cause| step_error(other, &cause)),
        }
    }

    /// Steps whose errors are plain errnos.
    fn simple(&mut self, step: &Step) -> io::Result<()> {
        match step {
            Step::JoinNamespace { kind, file } => {
                process::setns(sys::open(file, libc::O_RDONLY)?.as_fd(), *kind)
            }
            Step::Unshare(flags) => process::unshare(*flags),
            Step::HostName(name) => process::set_host_name(name),
            Step::DomainName(name) => process::set_domain_name(name),
            Step::LoopbackUp => process::loopback_up(),
            Step::Sysctl { name, value } => files::sysctl(name, value),
            Step::KeepShared(mount) => self.keep_shared(mount),
            Step::StopPropagation => mounts::stop_propagation(),
            Step::MountRoot { rootfs, on } => self.mount_root(rootfs, on),
            Step::Mount(mount) => self.mount(mount),
            Step::MakeDevice(device) => self.make_device(device),
            Step::BindDevice(device) => self.bind_device(device),
            Step::DeviceLink { path, to } => self.device_link(path, to),
            Step::EnterRoot => self.enter_root(),
            Step::Mask(path) => self.mask(path),
            Step::ReadOnlyPath(path) => self.readonly_path(path),
            Step::ReadOnlyRoot => self.readonly_root(),
            Step::OpenTerminal { size, console } => self.open_terminal(*size, *console),
            Step::MakeCwd(path) => self.make_cwd(path),
            other => self.personal(other),
        }
    }

    /// Steps that change only the process itself.
    fn personal(&mut self, step: &Step) -> io::Result<()> {
        match step {
            Step::EnterContainer { pid } => self.enter_container(*pid),
            Step::NewSession => process::set_sid(),
            Step::WireStdio => self.wire_stdio(),
            Step::Keyring => self.new_keyring(),
            Step::Rlimit(limit) => self.rlimit(limit),
            Step::OomScore(score) => self.oom_score(*score),
            Step::Umask(mask) => {
                process::umask(*mask);
                Ok(())
            }
            Step::NoNewPrivileges => process::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map(drop),
            Step::Seccomp(program) => process::set_seccomp(&program.code),
            Step::DropBounding(keep) => identity::drop_bounding(*keep),
            Step::Identity { uid, gid, groups } => identity::become_user(*uid, *gid, groups),
            Step::Capabilities(sets) => identity::set_capabilities(sets),
            Step::Chdir(path) => program::chdir(path),
            _ => Err(io::Error::from_raw_os_error(libc::ENOSYS)),
        }
    }

    fn warn(&self, warning: String) {
        let _ = send(&self.wires.report, &Report::Warning(warning), &[]);
    }

    fn wait_for_start(&mut self) -> Result<()> {
        let lost = |error: io::Error| Error::kernel("wait for", "start", &error);
        send(&self.wires.report, &Report::Ready, &[]).map_err(lost)?;
        let Some(start) = self.wires.start.take() else { return Ok(()) };
        match sys::read(start.as_fd(), &mut [0; 1]) {
            Ok(1) => Ok(()),
            _ => process::exit_now(137),
        }
    }
}

fn step_error(step: &Step, cause: &io::Error) -> Error {
    Error::new(ErrorKind::Kernel, format!("{step}: {}", errno::text(cause)))
}
