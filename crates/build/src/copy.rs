//! Copies picked files into a mounted tree.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps};

use crate::error::{BuildError, Doing, Result};
use crate::rooted;
use crate::select::{Entry, Forest, Picked};

/// What copied files get instead of their own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dress {
    pub owner: Option<(u32, u32)>,
    pub mode: Option<u32>,
}

/// Copies one picked thing so that it itself becomes `target` (real path of a place whose folder
/// exists). A folder that is there is filled.
pub fn copy(forest: &Forest<'_>, picked: &Picked, target: &Path, dress: Dress) -> Result<()> {
    let mut folders: Vec<(PathBuf, Timestamps)> = Vec::new();
    let mut links = Links::default();
    forest.walk(picked, &mut |entry| {
        let to = if entry.below.is_empty() { target.to_owned() } else { target.join(entry.below) };
        place(entry, &to, dress, &mut links).doing(|| format!("copying to {}", entry.below))?;
        if entry.meta.is_dir() {
            folders.push((to, times(entry)));
        }
        Ok(())
    })?;
    // Last, because filling a folder changes its time.
    for (path, times) in folders.iter().rev() {
        set_times(path, times)?;
    }
    Ok(())
}

/// Where files with several names went first. Looked up only.
type Links = std::collections::HashMap<(u64, u64), PathBuf>;

fn place(entry: &Entry<'_>, to: &Path, dress: Dress, links: &mut Links) -> Result<()> {
    let there = std::fs::symlink_metadata(to).ok();
    let meta = entry.meta;
    if meta.is_dir() {
        return match there {
            Some(there) if there.is_dir() => Ok(()),
            Some(_) => Err(BuildError::new(format!(
                "cannot copy to non-directory: {}",
                to.file_name().unwrap_or_default().display()
            ))),
            None => {
                if let Some(parent) = to.parent().filter(|p| !p.exists()) {
                    std::fs::create_dir_all(parent).doing(|| "making a folder".to_owned())?;
                }
                std::fs::create_dir(to).doing(|| "making a folder".to_owned())?;
                dress_up(entry, to, dress)
            }
        };
    }
    match there {
        Some(there) if there.is_dir() => {
            return Err(BuildError::new("cannot replace a directory with a file"));
        }
        Some(_) => std::fs::remove_file(to).doing(|| "replacing a file".to_owned())?,
        None => {}
    }
    if let Some(parent) = to.parent().filter(|p| !p.exists()) {
        std::fs::create_dir_all(parent).doing(|| "making a folder".to_owned())?;
    }
    if meta.is_file() && meta.nlink() > 1 {
        if let Some(first) = links.get(&(meta.dev(), meta.ino())) {
            return std::fs::hard_link(first, to).doing(|| "linking a file".to_owned());
        }
        links.insert((meta.dev(), meta.ino()), to.to_owned());
    }
    make(entry, to)?;
    dress_up(entry, to, dress)?;
    set_times(to, &times(entry))
}

fn make(entry: &Entry<'_>, to: &Path) -> Result<()> {
    let meta = entry.meta;
    if meta.is_file() {
        return std::fs::copy(entry.path, to).map(drop).doing(|| "copying a file".to_owned());
    }
    if meta.is_symlink() {
        let link = std::fs::read_link(entry.path).doing(|| "reading a link".to_owned())?;
        return std::os::unix::fs::symlink(link, to).doing(|| "making a link".to_owned());
    }
    let kind = FileType::from_raw_mode(meta.mode());
    if kind == FileType::Socket {
        return Err(BuildError::new("sockets cannot be copied"));
    }
    let mode = Mode::from_raw_mode(meta.mode() & 0o7777);
    rustix::fs::mknodat(CWD, to, kind, mode, meta.rdev()).doing(|| "making a node".to_owned())
}

/// Owner first: changing it clears the set-user-id bits.
fn dress_up(entry: &Entry<'_>, to: &Path, dress: Dress) -> Result<()> {
    let (uid, gid) = dress.owner.unwrap_or((entry.meta.uid(), entry.meta.gid()));
    rooted::chown(to, uid, gid).doing(|| "setting the owner".to_owned())?;
    if entry.meta.is_symlink() {
        return Ok(());
    }
    let mode = dress.mode.unwrap_or(entry.meta.mode() & 0o7777);
    std::fs::set_permissions(to, Permissions::from_mode(mode))
        .doing(|| "setting the mode".to_owned())?;
    attributes(entry.path, to)
}

/// Capabilities and user attributes; overlayfs' own and the host's labels stay behind.
fn attributes(from: &Path, to: &Path) -> Result<()> {
    let mut names = vec![0u8; 64 << 10];
    let Ok(length) = rustix::fs::llistxattr(from, names.as_mut_slice()) else { return Ok(()) };
    let wanted = |n: &&[u8]| n.starts_with(b"user.") || *n == b"security.capability";
    for name in names[..length].split(|b| *b == 0).filter(wanted) {
        let mut value = vec![0u8; 64 << 10];
        let size = rustix::fs::lgetxattr(from, name, value.as_mut_slice())
            .doing(|| "reading an attribute".to_owned())?;
        rustix::fs::lsetxattr(to, name, &value[..size], rustix::fs::XattrFlags::empty())
            .doing(|| "setting an attribute".to_owned())?;
    }
    Ok(())
}

fn times(entry: &Entry<'_>) -> Timestamps {
    let time = Timespec { tv_sec: entry.meta.mtime(), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn set_times(path: &Path, times: &Timestamps) -> Result<()> {
    rustix::fs::utimensat(CWD, path, times, AtFlags::SYMLINK_NOFOLLOW)
        .doing(|| format!("setting the time of {}", path.display()))
}
