//! Mount points that a container leaves in its tree: they are not the step's doing and go before
//! the commit (BuildKit `executor/stubs.go`).

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, openat2, unlinkat};

/// What every container has mounted.
const STANDARD: &[&str] = &[
    "/dev",
    "/proc",
    "/sys",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/hostname",
    "/run/boxship/ca-certificates.crt",
];

/// Removes empty files and folders at `targets` (and their then empty parents) that no layer
/// below has. The tree belongs to a container that ran anything: no link is followed.
pub fn remove(upper: &Path, lower: &[PathBuf], targets: &[String]) {
    let standard = STANDARD.iter().map(|s| (*s).to_owned());
    for target in standard.chain(targets.iter().cloned()) {
        let mut path = target.trim_matches('/');
        while !path.is_empty() && !lower.iter().any(|l| l.join(path).symlink_metadata().is_ok()) {
            if !remove_empty(upper, path) {
                break;
            }
            path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
    }
}

/// True when it is not there afterwards.
fn remove_empty(upper: &Path, path: &str) -> bool {
    let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
    let Some(parent) = open(upper, parent) else { return true };
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let Ok(stat) = rustix::fs::statat(&parent, name, flags) else { return true };
    match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
        rustix::fs::FileType::Directory => unlinkat(&parent, name, AtFlags::REMOVEDIR).is_ok(),
        rustix::fs::FileType::RegularFile if stat.st_size == 0 => {
            unlinkat(&parent, name, AtFlags::empty()).is_ok()
        }
        _ => false,
    }
}

fn open(upper: &Path, path: &str) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(upper, flags, Mode::empty()).ok()?;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(&root, path, flags, Mode::empty(), how).ok()
}
