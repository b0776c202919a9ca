//! Paths inside a tree that may hold hostile links: the kernel resolves them below its root.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

/// Opens `path` below `root` (`O_PATH`), links followed but never out of it.
pub fn open(root: &Path, path: &str) -> Result<OwnedFd, Errno> {
    let root =
        rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let path = match path.trim_start_matches('/') {
        "" => ".",
        path => path,
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    openat2(&root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
}

/// The real path of what `path` means below `root`.
pub fn resolve(root: &Path, path: &str) -> Result<PathBuf, Errno> {
    let fd = open(root, path)?;
    let real = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    real.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
}

/// Makes the folders of `path` that are missing (0755, owned by root) and gives the real path.
pub fn make_folders(root: &Path, path: &str) -> Result<PathBuf, Errno> {
    make_folders_owned(root, path, None)
}

pub fn make_folders_owned(
    root: &Path,
    path: &str,
    owner: Option<(u32, u32)>,
) -> Result<PathBuf, Errno> {
    let mut done = String::new();
    let mut real = resolve(root, "")?;
    for part in path.split('/').filter(|p| !p.is_empty() && *p != ".") {
        done = format!("{done}/{part}");
        real = match resolve(root, &done) {
            Ok(found) => found,
            Err(Errno::NOENT) => {
                let fresh = real.join(part);
                rustix::fs::mkdir(&fresh, Mode::from_raw_mode(0o755))?;
                // The process's umask does not count.
                rustix::fs::chmod(&fresh, Mode::from_raw_mode(0o755))?;
                if let Some((uid, gid)) = owner {
                    chown(&fresh, uid, gid)?;
                }
                fresh
            }
            Err(e) => return Err(e),
        };
    }
    Ok(real)
}

/// Of the name itself, not of what a link leads to.
pub fn chown(path: &Path, uid: u32, gid: u32) -> Result<(), Errno> {
    let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(rustix::fs::CWD, path, Some(uid), Some(gid), flags)
}
