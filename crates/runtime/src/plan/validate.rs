//! What is refused before anything is touched.

use crate::error::{Error, Result};
use crate::spec::{ContainerSpec, MountKind, Namespace, ProcessSpec, Rootfs, SandboxSpec};
use std::path::Path;

pub fn container(spec: &ContainerSpec) -> Result<()> {
    id(&spec.id)?;
    process(&spec.process)?;
    rootfs(&spec.rootfs)?;
    for mount in &spec.mounts {
        if !mount.target.starts_with('/') {
            return Err(Error::invalid(format!("mount target `{}` is not absolute", mount.target)));
        }
        if let MountKind::Bind { source, .. } = &mount.kind
            && !source.is_absolute()
        {
            let source = source.display();
            return Err(Error::invalid(format!("mount source `{source}` is not absolute")));
        }
    }
    for name in spec.sysctls.keys() {
        sysctl(name, spec)?;
    }
    let too_long = |text: &String| text.len() > 64;
    if too_long(&spec.hostname) || too_long(&spec.domainname) {
        return Err(Error::invalid("a host name has at most 64 bytes"));
    }
    no_nul(spec)
}

/// Ids become file and cgroup names.
pub fn id(id: &str) -> Result<()> {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let clean = !id.is_empty() && id.len() <= 128 && id.chars().all(ok) && !id.starts_with('.');
    if clean { Ok(()) } else { Err(Error::invalid(format!("`{id}` is not a valid id"))) }
}

pub fn process(process: &ProcessSpec) -> Result<()> {
    if process.args.first().is_none_or(String::is_empty) {
        return Err(Error::invalid("no command specified"));
    }
    if !process.cwd.is_empty() && !process.cwd.starts_with('/') {
        return Err(Error::invalid(format!("Cwd `{}` must be an absolute path", process.cwd)));
    }
    for limit in &process.rlimits {
        if crate::defaults::rlimit_number(&limit.name).is_none() {
            return Err(Error::invalid(format!("invalid ulimit type: {}", limit.name)));
        }
    }
    let strings = process.args.iter().chain(&process.env);
    match strings.into_iter().find(|text| text.contains('\0')) {
        Some(text) => Err(Error::invalid(format!("`{}` contains a NUL", text.escape_debug()))),
        None => Ok(()),
    }
}

fn rootfs(rootfs: &Rootfs) -> Result<()> {
    let absolute = |path: &Path| match path.is_absolute() {
        true => Ok(()),
        false => Err(Error::invalid(format!("rootfs `{}` is not absolute", path.display()))),
    };
    match rootfs {
        Rootfs::Dir(dir) => absolute(dir),
        Rootfs::Overlay { lower, upper, work } => {
            if lower.is_empty() {
                return Err(Error::invalid("an overlay needs a lower directory"));
            }
            lower.iter().map(|p| p.as_path()).chain([upper.as_path(), work]).try_for_each(absolute)
        }
    }
}

fn no_nul(spec: &ContainerSpec) -> Result<()> {
    let text = serde_json::to_string(spec).unwrap_or_default();
    match text.contains("\\u0000") {
        true => Err(Error::invalid("the specification contains a NUL")),
        false => Ok(()),
    }
}

fn sysctl(name: &str, spec: &ContainerSpec) -> Result<()> {
    let ns = &spec.namespaces;
    let own = |namespace: &Namespace| *namespace != Namespace::Host;
    private_sysctl(name, own(&ns.net), own(&ns.ipc), own(&ns.uts))
}

pub fn sandbox(spec: &SandboxSpec) -> Result<()> {
    id(&spec.id)?;
    spec.sysctls.keys().try_for_each(|name| private_sysctl(name, spec.net, spec.ipc, spec.uts))
}

/// runc libcontainer/configs/validate: only what an own namespace isolates.
fn private_sysctl(name: &str, net: bool, ipc: bool, uts: bool) -> Result<()> {
    const IPC: &[&str] = &[
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let private = match name {
        _ if name.contains("..") => false,
        "kernel.domainname" => uts,
        _ if IPC.contains(&name) || name.starts_with("fs.mqueue.") => ipc,
        _ if name.starts_with("net.") || name.starts_with("net/") => net,
        _ => false,
    };
    match private {
        true => Ok(()),
        false => {
            Err(Error::invalid(format!("sysctl \"{name}\" is not in a separate kernel namespace")))
        }
    }
}
