//! From a specification to the ordered list of steps of a container's first process.
//!
//! Pure: the same [`ContainerSpec`] and [`Host`] always give the same [`InitPlan`]. The order is
//! the safety argument, so it stands in one function per phase, and goldens print it.

mod show;
#[cfg(test)]
mod tests;
mod validate;

pub use validate::sandbox as check_sandbox;

use crate::caps::{self, CapSets};
use crate::cgroup::{self, CgroupPlan, Layout};
use crate::error::Result;
use crate::seccomp;
use crate::spec::{
    ContainerSpec, Device, ExecSpec, Mount, MountKind, Namespace, ProcessSpec, Propagation, Rlimit,
    Rootfs, Seccomp, TtySize, UserMaps,
};
use std::path::PathBuf;

/// What the plan needs to know about the machine.
#[derive(Debug, Clone, Default)]
pub struct Host {
    pub layout: Layout,
    /// Own bounding set.
    pub capabilities: u64,
    /// An empty directory that each container mounts its root on, in its own mount namespace.
    pub mount_point: PathBuf,
}

/// Namespace files to join, already looked up; `None` where the kind is not joined.
#[derive(Debug, Clone, Default)]
pub struct Joins {
    pub net: Option<PathBuf>,
    pub ipc: Option<PathBuf>,
    pub uts: Option<PathBuf>,
    pub cgroup: Option<PathBuf>,
}

#[derive(Debug, Clone, Default)]
pub struct InitPlan {
    /// `CLONE_NEW*` for the clone itself: only the process namespace has to be there at birth.
    pub clone_flags: i32,
    pub cgroup: CgroupPlan,
    pub steps: Vec<Step>,
    /// Known before anything runs.
    pub warnings: Vec<String>,
}

/// One thing the child does. The interpreter is `child::run`.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    JoinCgroup(Vec<PathBuf>),
    Limits(Vec<cgroup::Write>),
    JoinNamespace {
        kind: i32,
        file: PathBuf,
    },
    Unshare(i32),
    HostName(String),
    DomainName(String),
    LoopbackUp,
    Sysctl {
        name: String,
        value: String,
    },
    /// Takes a copy of a source before the tree stops being shared.
    KeepShared(Mount),
    /// From here on nothing we mount is seen outside.
    StopPropagation,
    MountRoot {
        rootfs: Rootfs,
        on: PathBuf,
    },
    Mount(Mount),
    /// The v1 form of [`MountKind::Cgroup`]: directories to bind, by their names.
    MountCgroupV1 {
        target: String,
        dirs: Vec<(String, PathBuf)>,
    },
    MakeDevice(Device),
    /// In a user namespace nodes cannot be made: the host's is bound instead.
    BindDevice(Device),
    DeviceLink {
        path: &'static str,
        to: &'static str,
    },
    EnterRoot,
    /// Enters another container's mount namespace instead of making one.
    EnterContainer {
        pid: i32,
    },
    Mask(String),
    ReadOnlyPath(String),
    ReadOnlyRoot,
    /// Allocates the terminal inside the container; the keeper gets the master.
    OpenTerminal {
        size: TtySize,
        console: Console,
    },
    NewSession,
    WireStdio,
    EnterUser(UserMaps),
    MakeCwd(String),
    Keyring,
    Rlimit(Rlimit),
    OomScore(i32),
    Umask(u32),
    NoNewPrivileges,
    Seccomp(seccomp::Program),
    DropBounding(u64),
    Identity {
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
    },
    Capabilities(CapSets),
    Chdir(String),
    FindProgram {
        name: String,
        path: String,
    },
    /// Tells the keeper that all is set, waits for its word.
    WaitForStart,
    /// Forks; this process stays behind as pid 1 and reaps.
    StayAsInit,
    Execute {
        args: Vec<String>,
        env: Vec<String>,
    },
}

/// Whether the terminal also becomes `/dev/console`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    Bind,
    Leave,
}

/// The plan for a container. `cgroup` is its full path.
pub fn container(spec: &ContainerSpec, host: &Host, joins: &Joins) -> Result<InitPlan> {
    validate::container(spec)?;
    let cgroup = format!("{}/{}", spec.cgroup_parent.trim_end_matches('/'), spec.id);
    let cgroup = cgroup::plan(&host.layout, &cgroup, &spec.resources, &spec.device_rules)?;
    let mut plan = InitPlan { cgroup, ..InitPlan::default() };
    if spec.namespaces.pid == Namespace::New {
        plan.clone_flags = libc::CLONE_NEWPID;
    }
    cgroup_steps(&mut plan);
    namespace_steps(&mut plan.steps, spec, joins);
    root_steps(&mut plan.steps, spec, host);
    wall_steps(&mut plan.steps, spec);
    process_steps(&mut plan, &spec.process, host)?;
    if let Some(maps) = &spec.namespaces.user {
        // The namespace comes last among the walls: everything before needs the host's rights.
        let at = plan.steps.iter().position(|step| *step == Step::Keyring).unwrap_or(0);
        plan.steps.insert(at, Step::EnterUser(maps.clone()));
    }
    finish(&mut plan, &spec.process, spec.init);
    Ok(plan)
}

/// The plan for one more process in a running container, whose first process is `pid`.
/// `procs` are the `cgroup.procs` files of the container.
pub fn exec(spec: &ExecSpec, host: &Host, pid: i32, procs: Vec<PathBuf>) -> Result<InitPlan> {
    validate::process(&spec.process)?;
    let mut plan = InitPlan::default();
    plan.steps.push(Step::JoinCgroup(procs));
    plan.steps.push(Step::EnterContainer { pid });
    if let Some(size) = spec.process.tty {
        plan.steps.push(Step::OpenTerminal { size, console: Console::Leave });
    }
    process_steps(&mut plan, &spec.process, host)?;
    finish(&mut plan, &spec.process, false);
    plan.steps.retain(|step| *step != Step::WaitForStart);
    Ok(plan)
}

fn cgroup_steps(plan: &mut InitPlan) {
    plan.steps.push(Step::Limits(plan.cgroup.writes.clone()));
    plan.steps.push(Step::JoinCgroup(plan.cgroup.procs.clone()));
}

fn namespace_steps(steps: &mut Vec<Step>, spec: &ContainerSpec, joins: &Joins) {
    let ns = &spec.namespaces;
    let kinds = [
        (&ns.net, &joins.net, libc::CLONE_NEWNET),
        (&ns.ipc, &joins.ipc, libc::CLONE_NEWIPC),
        (&ns.uts, &joins.uts, libc::CLONE_NEWUTS),
        (&ns.cgroup, &joins.cgroup, libc::CLONE_NEWCGROUP),
    ];
    let mut fresh = libc::CLONE_NEWNS;
    for (wanted, file, kind) in kinds {
        match (wanted, file) {
            (Namespace::New, _) => fresh |= kind,
            (_, Some(file)) => steps.push(Step::JoinNamespace { kind, file: file.clone() }),
            _ => {}
        }
    }
    steps.push(Step::Unshare(fresh));
    if ns.net == Namespace::New {
        steps.push(Step::LoopbackUp);
    }
    if ns.uts == Namespace::New {
        let name = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        steps.extend(name(&spec.hostname).map(Step::HostName));
        steps.extend(name(&spec.domainname).map(Step::DomainName));
    }
    for (name, value) in &spec.sysctls {
        steps.push(Step::Sysctl { name: name.clone(), value: value.clone() });
    }
}

fn root_steps(steps: &mut Vec<Step>, spec: &ContainerSpec, host: &Host) {
    for mount in spec.mounts.iter().filter(|mount| is_shared(mount)) {
        steps.push(Step::KeepShared(mount.clone()));
    }
    steps.push(Step::StopPropagation);
    steps.push(Step::MountRoot { rootfs: spec.rootfs.clone(), on: host.mount_point.clone() });
    for mount in &spec.mounts {
        steps.push(mount_step(mount, spec, &host.layout));
        if mount.target.trim_end_matches('/') == "/dev" && is_fresh_dev(mount) {
            device_steps(steps, spec);
        }
    }
    if !spec.mounts.iter().any(|mount| mount.target == "/dev" && is_fresh_dev(mount)) {
        let nodes = spec.devices.iter().cloned();
        steps.extend(nodes.map(|device| device_step(device, spec)));
    }
}

fn is_shared(mount: &Mount) -> bool {
    matches!(mount.kind, MountKind::Bind { propagation: Propagation::Shared, .. })
}

/// A host's `/dev` bound in keeps its own nodes.
fn is_fresh_dev(mount: &Mount) -> bool {
    matches!(mount.kind, MountKind::Tmpfs { .. })
}

fn mount_step(mount: &Mount, spec: &ContainerSpec, layout: &Layout) -> Step {
    if mount.kind != MountKind::Cgroup || layout.is_v2() {
        return Step::Mount(mount.clone());
    }
    let cgroup = format!("{}/{}", spec.cgroup_parent.trim_end_matches('/'), spec.id);
    let dirs = layout
        .v1
        .iter()
        .map(|(name, root)| (name.clone(), root.join(cgroup.trim_start_matches('/'))));
    Step::MountCgroupV1 { target: mount.target.clone(), dirs: dirs.collect() }
}

const DEVICE_LINKS: &[(&str, &str)] = &[
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
];

fn device_steps(steps: &mut Vec<Step>, spec: &ContainerSpec) {
    let nodes = crate::defaults::devices().into_iter().chain(spec.devices.iter().cloned());
    steps.extend(nodes.map(|device| device_step(device, spec)));
    steps.extend(DEVICE_LINKS.iter().map(|(path, to)| Step::DeviceLink { path, to }));
}

fn device_step(device: Device, spec: &ContainerSpec) -> Step {
    match spec.namespaces.user {
        Some(_) => Step::BindDevice(device),
        None => Step::MakeDevice(device),
    }
}

fn wall_steps(steps: &mut Vec<Step>, spec: &ContainerSpec) {
    steps.push(Step::EnterRoot);
    if let Some(size) = spec.process.tty {
        steps.push(Step::OpenTerminal { size, console: Console::Bind });
    }
    if !spec.process.cwd.is_empty() {
        steps.push(Step::MakeCwd(spec.process.cwd.clone()));
    }
    steps.extend(spec.readonly_paths.iter().cloned().map(Step::ReadOnlyPath));
    steps.extend(spec.masked_paths.iter().cloned().map(Step::Mask));
    if spec.readonly_rootfs {
        steps.push(Step::ReadOnlyRoot);
    }
}

/// What containers and execs share: from the session to the last capability.
fn process_steps(plan: &mut InitPlan, process: &ProcessSpec, host: &Host) -> Result<()> {
    let (sets, warnings) = caps::sets(&process.capabilities, host.capabilities)?;
    plan.warnings.extend(warnings);
    let steps = &mut plan.steps;
    steps.extend([Step::NewSession, Step::WireStdio, Step::Keyring]);
    steps.extend(process.rlimits.iter().cloned().map(Step::Rlimit));
    steps.extend(process.oom_score_adj.map(Step::OomScore));
    steps.push(Step::Umask(process.user.umask.unwrap_or(0o022)));
    let filter = seccomp_program(process, sets.bounding)?;
    plan.warnings.extend(filter.iter().flat_map(|program| program.warnings.clone()));
    // Without no_new_privs loading a filter needs CAP_SYS_ADMIN, which is about to go.
    let (early, late) = match process.no_new_privileges {
        true => (None, filter),
        false => (filter, None),
    };
    let cwd = if process.cwd.is_empty() { "/" } else { &process.cwd };
    steps.push(Step::Chdir(cwd.to_string()));
    steps.extend(early.map(Step::Seccomp));
    steps.push(Step::DropBounding(sets.bounding));
    let user = &process.user;
    let groups = user.additional_gids.clone();
    steps.push(Step::Identity { uid: user.uid, gid: user.gid, groups });
    steps.push(Step::Capabilities(sets));
    if process.no_new_privileges {
        steps.push(Step::NoNewPrivileges);
    }
    steps.extend(late.map(Step::Seccomp));
    Ok(())
}

fn seccomp_program(process: &ProcessSpec, caps: u64) -> Result<Option<seccomp::Program>> {
    Ok(match &process.seccomp {
        Seccomp::Unconfined => None,
        Seccomp::RuntimeDefault => Some(seccomp::default_program(caps)),
        Seccomp::Profile(json) => Some(seccomp::profile_program(json, caps)?),
    })
}

fn finish(plan: &mut InitPlan, process: &ProcessSpec, init: bool) {
    let path = process.env.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
    plan.steps.push(Step::FindProgram {
        name: process.args[0].clone(),
        path: path.unwrap_or(DEFAULT_PATH).to_string(),
    });
    plan.steps.push(Step::WaitForStart);
    if init {
        plan.steps.push(Step::StayAsInit);
    }
    let (args, env) = (process.args.clone(), process.env.clone());
    plan.steps.push(Step::Execute { args, env });
}

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
