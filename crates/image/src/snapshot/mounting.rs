//! Mounts an overlay in this process's mount namespace (builds, copies, tests).

use crate::error::Doing as _;
use crate::{Error, Result, RootfsSpec};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, move_mount,
};
use std::path::{Path, PathBuf};

/// `mount(2)` takes at most a page of options.
const PAGE: usize = 4096;

/// Features that would make an upper directory depend on the layers below it.
const OFF: [(&str, &str); 3] = [("redirect_dir", "off"), ("metacopy", "off"), ("index", "off")];

/// Mounts a snapshot or view at `target`.
pub fn mount(spec: &RootfsSpec, target: &Path) -> Result<()> {
    match new_mount(spec) {
        Ok(fd) => move_mount(
            fd.as_fd(),
            "",
            rustix::fs::CWD,
            target,
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
        .at("cannot mount at", target),
        // Before Linux 6.5 there is no `lowerdir+`, before 5.2 no `fsopen`.
        Err(Errno::INVAL | Errno::NOSYS) => old_mount(spec, target),
        Err(e) => Err(e).at("cannot mount an overlay at", target),
    }
}

/// Unmounts what [`mount`] mounted.
pub fn unmount(target: &Path) -> Result<()> {
    rustix::mount::unmount(target, UnmountFlags::NOFOLLOW).at("cannot unmount", target)
}

/// Unmounts everything mounted below `folder` whose path `leftover` says yes to, deepest first:
/// what a process that was killed had mounted. Best effort; what stays is named by the removal
/// that follows.
pub fn unmount_leftovers(folder: &Path, leftover: impl Fn(&Path) -> bool) {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.into());
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut mounts: Vec<PathBuf> = text
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .filter(|path| path.strip_prefix(&folder).is_ok_and(&leftover))
        .collect();
    mounts.sort();
    for mount in mounts.iter().rev() {
        let _ = rustix::mount::unmount(mount, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH);
    }
}

fn new_mount(spec: &RootfsSpec) -> std::result::Result<OwnedFd, Errno> {
    let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for lower in &spec.lower {
        fsconfig_set_string(fs.as_fd(), "lowerdir+", lower.as_path())?;
    }
    if let (Some(upper), Some(work)) = (&spec.upper, &spec.work) {
        fsconfig_set_string(fs.as_fd(), "upperdir", upper.as_path())?;
        fsconfig_set_string(fs.as_fd(), "workdir", work.as_path())?;
    }
    for (key, value) in OFF {
        fsconfig_set_string(fs.as_fd(), key, value)?;
    }
    fsconfig_create(fs.as_fd())?;
    let attrs = match spec.upper {
        Some(_) => MountAttrFlags::empty(),
        None => MountAttrFlags::MOUNT_ATTR_RDONLY,
    };
    fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attrs)
}

fn old_mount(spec: &RootfsSpec, target: &Path) -> Result<()> {
    let lower: Vec<_> = spec.lower.iter().map(|p| p.to_string_lossy()).collect();
    let mut data = format!("lowerdir={}", lower.join(":"));
    if let (Some(upper), Some(work)) = (&spec.upper, &spec.work) {
        data += &format!(",upperdir={},workdir={}", upper.display(), work.display());
    }
    for (key, value) in OFF {
        data += &format!(",{key}={value}");
    }
    if data.len() >= PAGE {
        return Err(Error::internal(
            "too many layers for this kernel: Linux 6.5 or newer is needed",
        ));
    }
    let flags = if spec.upper.is_some() { MountFlags::empty() } else { MountFlags::RDONLY };
    let data = std::ffi::CString::new(data).map_err(|_| Error::internal("NUL in a path"))?;
    rustix::mount::mount("overlay", target, "overlay", flags, data.as_c_str())
        .at("cannot mount an overlay at", target)
}
