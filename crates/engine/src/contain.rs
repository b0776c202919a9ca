//! Paths inside a container's file system, opened so that no link leads out of it.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

/// Opens `path` below `root` as an `O_PATH` descriptor. Every link on the way is followed as if
/// `root` were `/`.
pub fn open_in(root: &Path, path: &Path, last_link: LastLink) -> Result<OwnedFd, Errno> {
    let root =
        openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    if last_link == LastLink::Keep {
        flags |= OFlags::NOFOLLOW;
    }
    let relative = path.strip_prefix("/").unwrap_or(path);
    let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
    openat2(
        root,
        relative,
        flags,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
}

/// What happens to a link at the end of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastLink {
    Follow,
    Keep,
}

/// The path on this machine of `path` below `root`; valid as long as nobody moves it.
pub fn resolve(root: &Path, path: &Path) -> Result<PathBuf, Errno> {
    let fd = open_in(root, path, LastLink::Follow)?;
    std::fs::read_link(proc_path(&fd)).map_err(|_| Errno::NOENT)
}

/// A name for an open descriptor that leads exactly to what it holds.
pub fn proc_path(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/passwd"), "inside").unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("link")).unwrap();
        std::os::unix::fs::symlink("../../../../etc", root.path().join("up")).unwrap();
        for path in ["/link/passwd", "up/passwd", "/../../etc/passwd"] {
            let fd = open_in(root.path(), Path::new(path), LastLink::Follow).unwrap();
            assert_eq!(std::fs::read_to_string(proc_path(&fd)).unwrap(), "inside", "{path}");
        }
    }
}
