//! Paths inside the container's root, and what is made there.
//!
//! The image owns everything below the root and may be hostile: every lookup goes through
//! `openat2` with the root as its ceiling.

use super::{Child, Report, send};
use crate::plan::Console;
use crate::spec::{Device, DeviceKind, TtySize};
use crate::sys::{self, Resolve, mount, process};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// What to make when a target is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Directory,
    File,
}

pub fn cstring(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

pub fn look(root: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    sys::open_in(root, &cstring(path)?, libc::O_PATH, 0, Resolve::InRoot)
}

/// Opens `path` below `root`, making it and its parents when they are missing.
pub fn ensure(root: BorrowedFd<'_>, path: &str, missing: Missing) -> io::Result<OwnedFd> {
    match look(root, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => walk(root, path, missing),
        other => other,
    }
}

pub fn ensure_dirs(root: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    ensure(root, path, Missing::Directory)
}

/// Name by name, so that links to what is missing lead to what is made (`/var/run/x` where
/// `/var/run` points at `/run`). Links are followed by hand, always below `root`.
fn walk(root: BorrowedFd<'_>, path: &str, missing: Missing) -> io::Result<OwnedFd> {
    const MOST_LINKS: usize = 40;
    let mut links = 0;
    let mut todo: Vec<String> = parts(path);
    let mut done: Vec<String> = Vec::new();
    while let Some(part) = todo.pop() {
        if part == ".." {
            done.pop();
            continue;
        }
        let parent = open_exact(root, &done)?;
        done.push(part);
        let name = &done[done.len() - 1];
        let kind = if todo.is_empty() { missing } else { Missing::Directory };
        match make(parent.as_fd(), name, kind) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) => continue,
            Err(_) => {}
        }
        let found = open_exact(root, &done)?;
        if sys::fstat(found.as_fd())?.st_mode & libc::S_IFMT == libc::S_IFLNK {
            links += 1;
            if links > MOST_LINKS {
                return Err(io::Error::from_raw_os_error(libc::ELOOP));
            }
            let to = sys::read_link(found.as_fd())?;
            done.pop();
            if to.starts_with('/') {
                done.clear();
            }
            todo.extend(parts(&to));
        }
    }
    open_exact(root, &done)
}

/// The names of a path, last first.
fn parts(path: &str) -> Vec<String> {
    let names = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    names.rev().map(str::to_string).collect()
}

/// What lies there itself, a link included; no link on the way.
fn open_exact(root: BorrowedFd<'_>, parts: &[String]) -> io::Result<OwnedFd> {
    let path = cstring(&format!("/{}", parts.join("/")))?;
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    sys::open_in(root, &path, flags, 0, Resolve::InRootNoLinks)
}

fn make(parent: BorrowedFd<'_>, name: &str, missing: Missing) -> io::Result<()> {
    let name = cstring(name)?;
    match missing {
        Missing::Directory => sys::mkdir_at(parent, &name, 0o755),
        Missing::File => {
            let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_NOFOLLOW;
            sys::open_at(parent, &name, flags, 0o644).map(drop)
        }
    }
}

/// Parent and last name; the path is absolute.
pub fn split(path: &str) -> (&str, &str) {
    path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", path))
}

/// Opens a file below `root` for reading, without blocking on pipes.
pub fn open_below(root: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
    sys::open_in(root, &cstring(path)?, flags, 0, Resolve::InRoot)
}

pub fn is_dir(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(sys::fstat(fd)?.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

/// Written through the host's proc: the kernel shows the writer's own namespaces there.
pub fn sysctl(name: &str, value: &str) -> io::Result<()> {
    let path = if name.contains('/') { name.to_string() } else { name.replace('.', "/") };
    std::fs::write(format!("/proc/sys/{path}"), value)
}

impl Child {
    pub(super) fn root(&self) -> io::Result<BorrowedFd<'_>> {
        let none = || io::Error::from_raw_os_error(libc::EBADF);
        self.root.as_ref().map(AsFd::as_fd).ok_or_else(none)
    }

    pub(super) fn make_device(&self, device: &Device) -> io::Result<()> {
        let (parent, name) = split(&device.path);
        let parent = ensure_dirs(self.root()?, parent)?;
        let name = cstring(name)?;
        let kind = match device.kind {
            DeviceKind::Block => libc::S_IFBLK,
            DeviceKind::Fifo => libc::S_IFIFO,
            DeviceKind::Char | DeviceKind::All => libc::S_IFCHR,
        };
        let number = libc::makedev(device.major, device.minor);
        match sys::mknod_at(parent.as_fd(), &name, kind | device.mode, number) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            other => other?,
        }
        match (device.uid, device.gid) {
            (0, 0) => Ok(()),
            (uid, gid) => sys::chown_at(parent.as_fd(), &name, uid, gid),
        }
    }

    pub(super) fn bind_device(&self, device: &Device) -> io::Result<()> {
        let source = cstring(&device.path)?;
        let tree = mount::clone_tree(sys::cwd(), &source, mount::Depth::One)?;
        let target = ensure(self.root()?, &device.path, Missing::File)?;
        mount::attach(tree.as_fd(), target.as_fd())
    }

    pub(super) fn device_link(&self, path: &str, to: &str) -> io::Result<()> {
        let (parent, name) = split(path);
        let parent = ensure_dirs(self.root()?, parent)?;
        match sys::symlink_at(&cstring(to)?, parent.as_fd(), &cstring(name)?) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    pub(super) fn make_cwd(&self, path: &str) -> io::Result<()> {
        match ensure_dirs(self.root()?, path) {
            // A read-only root or a path the user may not see: chdir has the last word.
            Err(error) if error.raw_os_error() == Some(libc::EROFS) => Ok(()),
            other => other.map(drop),
        }
    }

    /// A pair from the container's own devpts, opened without following any link.
    pub(super) fn open_terminal(&mut self, size: TtySize, console: Console) -> io::Result<()> {
        const DEVPTS_MAGIC: i64 = 0x1cd1;
        let root = match &self.root {
            Some(root) => sys::clone_fd(root)?,
            None => sys::open("/", libc::O_PATH | libc::O_DIRECTORY)?,
        };
        let flags = libc::O_RDWR | libc::O_NOCTTY;
        let no_links = Resolve::InRootNoLinks;
        let master = sys::open_in(root.as_fd(), c"/dev/pts/ptmx", flags, 0, no_links)?;
        if sys::fs_magic(master.as_fd())? != DEVPTS_MAGIC {
            return Err(io::Error::from_raw_os_error(libc::ENOTTY));
        }
        let peer = process::pty_peer(master.as_fd())?;
        if (size.rows, size.cols) != (0, 0) {
            process::set_window(master.as_fd(), size.rows, size.cols)?;
        }
        if console == Console::Bind {
            let tree = mount::clone_tree(peer.as_fd(), c"", mount::Depth::One)?;
            let target = ensure(root.as_fd(), "/dev/console", Missing::File)?;
            mount::attach(tree.as_fd(), target.as_fd())?;
        }
        send(&self.wires.report, &Report::Terminal, &[master.as_raw_fd()])?;
        self.terminal = Some(peer);
        Ok(())
    }
}

/// The path of a C string for messages.
pub fn shown(path: &CStr) -> String {
    path.to_string_lossy().into_owned()
}
