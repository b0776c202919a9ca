//! Plans as text, one step per line, for goldens and debugging.

use super::{InitPlan, Step};
use std::fmt;

impl fmt::Display for InitPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for dir in &self.cgroup.dirs {
            writeln!(f, "cgroup {}", dir.display())?;
        }
        writeln!(f, "clone {}", kinds(self.clone_flags))?;
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        self.warnings.iter().try_for_each(|warning| writeln!(f, "! {warning}"))
    }
}

/// Also the first half of an error message: what was being done.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JoinCgroup(procs) => write!(f, "join {} cgroups", procs.len()),
            Self::Limits(writes) => write!(f, "write {} limits", writes.len()),
            Self::JoinNamespace { kind, file } => {
                write!(f, "join {} namespace `{}`", kinds(*kind), file.display())
            }
            Self::Unshare(flags) => write!(f, "unshare {}", kinds(*flags)),
            Self::HostName(name) => write!(f, "set host name `{name}`"),
            Self::DomainName(name) => write!(f, "set domain name `{name}`"),
            Self::LoopbackUp => f.write_str("bring lo up"),
            Self::Sysctl { name, value } => write!(f, "set sysctl `{name}` to `{value}`"),
            Self::KeepShared(mount) => write!(f, "keep shared source of `{}`", mount.target),
            Self::StopPropagation => f.write_str("stop mount propagation"),
            Self::MountRoot { rootfs, .. } => write!(f, "mount root {rootfs:?}"),
            Self::Mount(mount) => write!(f, "mount `{}` {:?}", mount.target, mount.kind),
            Self::MountCgroupV1 { target, dirs } => {
                write!(f, "mount {} cgroups on `{target}`", dirs.len())
            }
            Self::MakeDevice(device) => write!(f, "make device `{}`", device.path),
            Self::BindDevice(device) => write!(f, "bind device `{}`", device.path),
            Self::DeviceLink { path, to } => write!(f, "link `{path}` to `{to}`"),
            other => self::fmt_process(other, f),
        }
    }
}

fn fmt_process(step: &Step, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match step {
        Step::EnterRoot => f.write_str("pivot into the root"),
        Step::EnterContainer { pid } => write!(f, "enter the namespaces of process {pid}"),
        Step::Mask(path) => write!(f, "mask `{path}`"),
        Step::ReadOnlyPath(path) => write!(f, "make `{path}` read-only"),
        Step::ReadOnlyRoot => f.write_str("make the root read-only"),
        Step::OpenTerminal { console, .. } => write!(f, "open a terminal, console: {console:?}"),
        Step::NewSession => f.write_str("new session"),
        Step::WireStdio => f.write_str("wire stdio"),
        Step::EnterUser(maps) => {
            write!(f, "enter a user namespace with {} uid ranges", maps.uids.len())
        }
        Step::MakeCwd(path) | Step::Chdir(path) => {
            let verb = if matches!(step, Step::Chdir(_)) { "chdir to cwd" } else { "mkdir" };
            write!(f, "{verb} (\"{path}\") set in config.json")
        }
        Step::Keyring => f.write_str("new session keyring"),
        Step::Rlimit(limit) => write!(f, "rlimit {} {}:{}", limit.name, limit.soft, limit.hard),
        Step::OomScore(score) => write!(f, "oom score {score}"),
        Step::Umask(mask) => write!(f, "umask {mask:04o}"),
        Step::NoNewPrivileges => f.write_str("no new privileges"),
        Step::Seccomp(program) => write!(f, "seccomp, {} instructions", program.code.len()),
        Step::DropBounding(keep) => write!(f, "bound capabilities to {keep:#x}"),
        Step::Identity { uid, gid, groups } => write!(f, "become {uid}:{gid} {groups:?}"),
        Step::Capabilities(sets) => write!(f, "capabilities {:#x}", sets.effective),
        Step::FindProgram { name, .. } => write!(f, "find `{name}`"),
        Step::WaitForStart => f.write_str("wait for start"),
        Step::StayAsInit => f.write_str("fork, stay as init"),
        Step::Execute { args, .. } => write!(f, "exec {args:?}"),
        _ => f.write_str("step"),
    }
}

const KINDS: &[(i32, &str)] = &[
    (libc::CLONE_NEWPID, "pid"),
    (libc::CLONE_NEWNS, "mnt"),
    (libc::CLONE_NEWNET, "net"),
    (libc::CLONE_NEWIPC, "ipc"),
    (libc::CLONE_NEWUTS, "uts"),
    (libc::CLONE_NEWCGROUP, "cgroup"),
];

fn kinds(flags: i32) -> String {
    let names: Vec<&str> =
        KINDS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    names.join("+")
}
