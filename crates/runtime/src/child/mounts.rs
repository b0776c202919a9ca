//! Mount steps.

use super::Child;
use super::files::{self, Missing, cstring};
use crate::error::{Error, Result};
use crate::spec::{Mount, MountKind, Propagation, Rootfs};
use crate::sys::{self, mount};
use mount::Depth;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

const PRIVATE: u64 = libc::MS_PRIVATE;

/// Bits to set and to clear for each option word.
const FLAGS: &[(&str, u64, u64)] = &[
    ("ro", mount::ATTR_RDONLY, 0),
    ("rw", 0, mount::ATTR_RDONLY),
    ("nosuid", mount::ATTR_NOSUID, 0),
    ("suid", 0, mount::ATTR_NOSUID),
    ("nodev", mount::ATTR_NODEV, 0),
    ("dev", 0, mount::ATTR_NODEV),
    ("noexec", mount::ATTR_NOEXEC, 0),
    ("exec", 0, mount::ATTR_NOEXEC),
    ("noatime", mount::ATTR_NOATIME, mount::ATTR_ATIME),
    ("strictatime", mount::ATTR_STRICTATIME, mount::ATTR_ATIME),
    ("relatime", 0, mount::ATTR_ATIME),
    ("nodiratime", mount::ATTR_NODIRATIME, 0),
    ("diratime", 0, mount::ATTR_NODIRATIME),
];

fn flag(word: &str) -> Option<(u64, u64)> {
    FLAGS.iter().find(|(name, _, _)| *name == word).map(|(_, set, clear)| (*set, *clear))
}

/// All bits a mount asks for; an unknown word is an error.
fn attributes(mount: &Mount) -> io::Result<(u64, u64)> {
    let mut bits = (if mount.readonly { mount::ATTR_RDONLY } else { 0 }, 0);
    for word in &mount.flags {
        let invalid = || io::Error::other(format!("unknown mount option `{word}`"));
        let (set, clear) = flag(word).ok_or_else(invalid)?;
        bits = (bits.0 & !clear | set, bits.1 | clear);
    }
    Ok(bits)
}

pub fn stop_propagation() -> io::Result<()> {
    let flags = libc::MS_SLAVE | libc::MS_REC;
    mount::classic(c"", c"/", None, flags, None)
}

/// Mounts a kernel file system that is not attached anywhere yet.
fn virtual_fs(kind: &CStr, options: &[String], attributes: u64) -> io::Result<OwnedFd> {
    let fs = mount::fsopen(kind)?;
    for option in options {
        match option.split_once('=') {
            Some((key, value)) => {
                mount::fsconfig_string(fs.as_fd(), &cstring(key)?, &cstring(value)?)?;
            }
            None => mount::fsconfig_flag(fs.as_fd(), &cstring(option)?)?,
        }
    }
    mount::fsconfig_create(fs.as_fd())?;
    mount::fsmount(fs.as_fd(), attributes)
}

impl Child {
    pub(super) fn keep_shared(&mut self, mount: &Mount) -> io::Result<()> {
        let MountKind::Bind { source, recursive, .. } = &mount.kind else { return Ok(()) };
        self.kept.push((mount.target.clone(), clone_source(source, *recursive)?));
        Ok(())
    }

    pub(super) fn mount_root(&mut self, rootfs: &Rootfs, on: &Path) -> io::Result<()> {
        let tree = match rootfs {
            Rootfs::Dir(dir) => clone_source(dir, true)?,
            Rootfs::Overlay { lower, upper, work } => match overlay(lower, upper, work) {
                // Before Linux 6.7 layers cannot be added one by one.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    return self.mount_old_overlay(lower, [upper, work], on);
                }
                other => other?,
            },
        };
        mount::set_attr(tree.as_fd(), 0, 0, PRIVATE, Depth::Recursive)?;
        let point = sys::open(on, libc::O_PATH | libc::O_DIRECTORY)?;
        mount::attach(tree.as_fd(), point.as_fd())?;
        self.root = Some(tree);
        Ok(())
    }

    /// One option string; the kernel takes a page of it.
    fn mount_old_overlay(
        &mut self,
        lower: &[PathBuf],
        [upper, work]: [&PathBuf; 2],
        on: &Path,
    ) -> io::Result<()> {
        let escape = |path: &Path| path.to_string_lossy().replace(':', "\\:").replace(',', "\\,");
        let lower: Vec<String> = lower.iter().map(|path| escape(path)).collect();
        let (lower, upper, work) = (lower.join(":"), escape(upper), escape(work));
        let data = cstring(&format!("lowerdir={lower},upperdir={upper},workdir={work}"))?;
        mount::classic(c"overlay", &sys::cpath(on)?, Some(c"overlay"), 0, Some(&data))?;
        self.root = Some(sys::open(on, libc::O_PATH | libc::O_DIRECTORY)?);
        Ok(())
    }

    pub(super) fn mount(&mut self, mount: &Mount) -> io::Result<()> {
        let (set, clear) = attributes(mount)?;
        let fresh = |kind: &CStr, options: &[String]| virtual_fs(kind, options, set);
        let tree = match &mount.kind {
            MountKind::Bind { .. } => return self.bind(mount, set, clear),
            MountKind::Tmpfs { options } => tmpfs(options, set)?,
            MountKind::Proc => fresh(c"proc", &[])?,
            MountKind::Sysfs => fresh(c"sysfs", &[])?,
            MountKind::Mqueue => fresh(c"mqueue", &[])?,
            MountKind::Cgroup => fresh(c"cgroup2", &[])?,
            MountKind::Devpts => {
                let options = ["ptmxmode=0666", "mode=0620", "gid=5"].map(str::to_string);
                fresh(c"devpts", &options)?
            }
        };
        let target = files::ensure(self.root()?, &mount.target, Missing::Directory)?;
        mount::attach(tree.as_fd(), target.as_fd())
    }

    fn bind(&mut self, mount: &Mount, set: u64, clear: u64) -> io::Result<()> {
        let MountKind::Bind { source, recursive, propagation } = &mount.kind else {
            return Ok(());
        };
        let kept = self.kept.iter().position(|(target, _)| *target == mount.target);
        let tree = match kept {
            Some(at) => self.kept.swap_remove(at).1,
            None => clone_source(source, *recursive)?,
        };
        let depth = if *recursive { Depth::Recursive } else { Depth::One };
        let propagation = match propagation {
            Propagation::Private => PRIVATE,
            Propagation::Slave => libc::MS_SLAVE,
            Propagation::Shared => 0,
        };
        mount::set_attr(tree.as_fd(), set, clear, propagation, depth)?;
        let missing = match files::is_dir(tree.as_fd())? {
            true => Missing::Directory,
            false => Missing::File,
        };
        let target = files::ensure(self.root()?, &mount.target, missing)?;
        mount::attach(tree.as_fd(), target.as_fd())
    }

    pub(super) fn mount_cgroup_v1(&self, target: &str, dirs: &[(String, PathBuf)]) -> Result<()> {
        let fail = |e: io::Error| Error::kernel("mount cgroups on", target, &e);
        let attributes = mount::ATTR_NOSUID | mount::ATTR_NODEV | mount::ATTR_NOEXEC;
        let options = ["mode=755".to_string()];
        let top = virtual_fs(c"tmpfs", &options, attributes).map_err(fail)?;
        let root = self.root().map_err(fail)?;
        let point = files::ensure(root, target, Missing::Directory).map_err(fail)?;
        mount::attach(top.as_fd(), point.as_fd()).map_err(fail)?;
        for (name, dir) in dirs.iter().filter(|(_, dir)| dir.exists()) {
            let one = || {
                let tree = clone_source(dir, false)?;
                let readonly = attributes | mount::ATTR_RDONLY;
                mount::set_attr(tree.as_fd(), readonly, 0, PRIVATE, Depth::One)?;
                sys::mkdir_at(top.as_fd(), &cstring(name)?, 0o755)?;
                let at = files::look(top.as_fd(), name)?;
                mount::attach(tree.as_fd(), at.as_fd())
            };
            one().map_err(fail)?;
        }
        mount::set_attr(top.as_fd(), mount::ATTR_RDONLY, 0, 0, Depth::One).map_err(fail)
    }

    pub(super) fn enter_root(&self) -> io::Result<()> {
        crate::sys::process::fchdir(self.root()?)?;
        mount::pivot_root(c".", c".")?;
        mount::detach(c".")?;
        crate::sys::process::chdir(c"/")
    }

    pub(super) fn mask(&self, path: &str) -> io::Result<()> {
        let target = match files::look(self.root()?, path) {
            Err(error) if is_absent(&error) => return Ok(()),
            other => other?,
        };
        let tree = match files::is_dir(target.as_fd())? {
            true => virtual_fs(c"tmpfs", &["size=0".to_string()], mount::ATTR_RDONLY)?,
            false => mount::clone_tree(sys::cwd(), c"/dev/null", Depth::One)?,
        };
        mount::attach(tree.as_fd(), target.as_fd())
    }

    pub(super) fn readonly_path(&self, path: &str) -> io::Result<()> {
        let target = match files::look(self.root()?, path) {
            Err(error) if is_absent(&error) => return Ok(()),
            other => other?,
        };
        let tree = mount::clone_tree(target.as_fd(), c"", Depth::Recursive)?;
        mount::set_attr(tree.as_fd(), mount::ATTR_RDONLY, 0, 0, Depth::Recursive)?;
        mount::attach(tree.as_fd(), target.as_fd())
    }

    pub(super) fn readonly_root(&self) -> io::Result<()> {
        mount::set_attr(self.root()?, mount::ATTR_RDONLY, 0, 0, Depth::One)
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}

fn clone_source(source: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let depth = if recursive { Depth::Recursive } else { Depth::One };
    mount::clone_tree(sys::cwd(), &sys::cpath(source)?, depth)
}

/// Options and flags may come mixed, as docker's `--tmpfs /run:rw,noexec,size=64m`.
fn tmpfs(options: &[String], mut set: u64) -> io::Result<OwnedFd> {
    let mut own = Vec::new();
    for option in options {
        match flag(option) {
            Some((on, off)) => set = set & !off | on,
            None => own.push(option.clone()),
        }
    }
    virtual_fs(c"tmpfs", &own, set)
}

fn overlay(lower: &[PathBuf], upper: &Path, work: &Path) -> io::Result<OwnedFd> {
    let fs = mount::fsopen(c"overlay")?;
    let set = |key: &CStr, path: &Path| {
        let path: CString = sys::cpath(path)?;
        mount::fsconfig_string(fs.as_fd(), key, &path)
    };
    for layer in lower {
        set(c"lowerdir+", layer)?;
    }
    set(c"upperdir", upper)?;
    set(c"workdir", work)?;
    mount::fsconfig_create(fs.as_fd())?;
    mount::fsmount(fs.as_fd(), 0)
}
