//! `cp` in both directions: tars in and out of a container, running or not.
//!
//! Paths are resolved by the kernel inside the container's root (`openat2`), so no link of a
//! hostile image leads out of it. Upstream: moby `daemon/archive.go`.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use image::{Owners, PackStyle, ReplaceKinds, UnpackOptions, Whiteouts};

use crate::contain::{LastLink, open_in, proc_path};
use crate::engine::Engine;
use crate::error::{Doing, EngineError, Result};
use crate::record::Record;
use crate::time::Stamp;

/// What `HEAD /archive` tells of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    pub name: String,
    pub size: u64,
    /// As `st_mode`.
    pub mode: u32,
    pub modified: Stamp,
    /// Where a link leads; empty for others.
    pub link_target: String,
}

/// How `PUT /archive` unpacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PutOptions {
    /// A folder never replaces a file, nor the reverse.
    pub keep_kinds: bool,
}

impl Engine {
    /// Blocks, as all of these.
    pub fn archive_stat(&self, wanted: &str, path: &str) -> Result<PathStat> {
        let record = self.inspect(wanted)?;
        self.in_root(&record, |root| stat(root, path, wanted))
    }

    /// A tar of a file, link or folder whose first name is the path's last.
    pub fn archive_get(&self, wanted: &str, path: &str, out: &mut dyn Write) -> Result<()> {
        let record = self.inspect(wanted)?;
        self.in_root(&record, |root| get(root, path, wanted, out))
    }

    /// Unpacks a tar, plain or compressed, into a folder.
    pub fn archive_put(
        &self,
        wanted: &str,
        path: &str,
        tar: &mut (dyn Read + Send),
        options: PutOptions,
    ) -> Result<()> {
        let record = self.inspect(wanted)?;
        if record.host.readonly_rootfs && !on_volume(&record, path) {
            return Err(EngineError::forbidden("container rootfs is marked read-only"));
        }
        if let Some(volume) = readonly_volume(&record, path) {
            let text = format!("mounted volume is marked read-only: {volume}");
            return Err(EngineError::forbidden(text));
        }
        self.in_root(&record, |root| {
            let dir = open(root, path, wanted, LastLink::Follow)?;
            if !proc_path(&dir).is_dir() {
                return Err(EngineError::invalid(format!(
                    "extraction point is not a directory: {path}"
                )));
            }
            let kinds = if options.keep_kinds { ReplaceKinds::Refuse } else { ReplaceKinds::Allow };
            let owners = Owners::FromArchive;
            let options = UnpackOptions { kinds, owners, ..UnpackOptions::new(Whiteouts::Literal) };
            image::unpack(&mut &mut *tar, &proc_path(&dir), &options)?;
            Ok(())
        })?;
        self.tell(&record, "extract-to-dir", &[("path", path)]);
        Ok(())
    }

    /// The root as the container sees it: its own when it runs, else its snapshot with its
    /// volumes mounted for the time of the work.
    fn in_root<T>(&self, record: &Record, work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        if record.state.phase.is_live() {
            return work(&PathBuf::from(format!("/proc/{}/root", record.state.pid)));
        }
        let spec = self.images.snapshots().get(&record.id)?;
        self.with_root(&spec, &record.id, |root| {
            let mounted = bind_volumes(record, root);
            let result = work(root);
            for target in mounted.iter().rev() {
                let _ = rustix::mount::unmount(target, rustix::mount::UnmountFlags::DETACH);
            }
            result
        })
    }
}

/// Mounts the volumes and binds of a stopped container below its root; those that cannot be are
/// left out.
fn bind_volumes(record: &Record, root: &Path) -> Vec<PathBuf> {
    let mut mounts: Vec<_> = record.mounts.iter().filter(|m| !m.source.is_empty()).collect();
    mounts.sort_by_key(|m| m.destination.split('/').count());
    let mut done = Vec::new();
    for mount in mounts {
        let Ok(target) = open_in(root, Path::new(&mount.destination), LastLink::Follow) else {
            continue;
        };
        let Ok(place) = std::fs::read_link(proc_path(&target)) else { continue };
        if rustix::mount::mount_bind(mount.source.as_str(), &place).is_ok() {
            done.push(place);
        }
    }
    done
}

fn under<'a>(record: &'a Record, path: &str) -> Option<&'a crate::record::MountPoint> {
    let clean = crate::binds::clean(path);
    let holds = |m: &&crate::record::MountPoint| Path::new(&clean).starts_with(&m.destination);
    record.mounts.iter().filter(holds).max_by_key(|m| m.destination.len())
}

fn on_volume(record: &Record, path: &str) -> bool {
    under(record, path).is_some()
}

fn readonly_volume<'a>(record: &'a Record, path: &str) -> Option<&'a str> {
    under(record, path).filter(|m| !m.writable).map(|m| m.destination.as_str())
}

fn open(root: &Path, path: &str, container: &str, last: LastLink) -> Result<OwnedFd> {
    open_in(root, Path::new(path), last).map_err(|e| match e {
        rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => EngineError::not_found(format!(
            "Could not find the file {path} in container {container}"
        )),
        e => EngineError::system(format!("opening {path} in container {container}: {e}")),
    })
}

/// The name that a path ends in, for archives and stats; `/` for the root.
fn last_name(path: &str) -> String {
    let clean = crate::binds::clean(path);
    match clean.rsplit('/').next() {
        Some("") | None => "/".to_owned(),
        Some(name) => name.to_owned(),
    }
}

fn stat(root: &Path, path: &str, container: &str) -> Result<PathStat> {
    // A trailing slash or dot asks for what a link leads to.
    let follow = path.ends_with('/') || path.ends_with("/.");
    let last = if follow { LastLink::Follow } else { LastLink::Keep };
    let fd = open(root, path, container, last)?;
    let stat = rustix::fs::fstat(&fd).doing(|| format!("reading {path}"))?;
    let mode = stat.st_mode;
    let link = rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::Symlink;
    let link_target = match link {
        true => target_of(&fd, root, path, container),
        false => String::new(),
    };
    let modified =
        Stamp::from_secs(stat.st_mtime).plus(i64::try_from(stat.st_mtime_nsec).unwrap_or(0));
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    Ok(PathStat { name: last_name(path), size, mode, modified, link_target })
}

/// The absolute place inside the container where a link leads, as far as it exists.
fn target_of(link: &OwnedFd, root: &Path, path: &str, container: &str) -> String {
    let text = rustix::fs::readlinkat(link, "", Vec::new());
    let text = text.map(|t| t.to_string_lossy().into_owned()).unwrap_or_default();
    let _ = (root, container);
    if text.starts_with('/') {
        return crate::binds::clean(&text);
    }
    let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent);
    crate::binds::clean(&format!("{parent}/{text}"))
}

fn get(root: &Path, path: &str, container: &str, out: &mut dyn Write) -> Result<()> {
    let what = || format!("archiving {path} of container {container}");
    let follow = path.ends_with('/') || path.ends_with("/.");
    let last = if follow { LastLink::Follow } else { LastLink::Keep };
    let fd = open(root, path, container, last)?;
    let kind = rustix::fs::fstat(&fd).doing(what)?;
    let name = last_name(path);
    let mut tar = tar::Builder::new(out);
    tar.follow_symlinks(false);
    match rustix::fs::FileType::from_raw_mode(kind.st_mode) {
        rustix::fs::FileType::Directory => {
            let prefix = if name == "/" { String::new() } else { name };
            folder(&mut tar, &proc_path(&fd), &prefix).doing(what)?;
        }
        rustix::fs::FileType::Symlink => {
            let text = rustix::fs::readlinkat(&fd, "", Vec::new()).doing(what)?;
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            header.set_mode(0o777);
            header.set_mtime(u64::try_from(kind.st_mtime).unwrap_or(0));
            let text = text.to_string_lossy().into_owned();
            tar.append_link(&mut header, &name, text).doing(what)?;
        }
        _ => {
            let mut file = std::fs::File::open(proc_path(&fd)).doing(what)?;
            tar.append_file(&name, &mut file).doing(what)?;
        }
    }
    tar.finish().doing(what)
}

/// The folder itself and all below, links as links, nothing followed.
fn folder<W: Write>(tar: &mut tar::Builder<W>, dir: &Path, prefix: &str) -> std::io::Result<()> {
    if !prefix.is_empty() {
        tar.append_dir(prefix, dir)?;
    }
    let mut names: Vec<_> = std::fs::read_dir(dir)?.collect::<std::io::Result<_>>()?;
    names.sort_by_key(std::fs::DirEntry::file_name);
    for entry in names {
        let name = entry.file_name();
        let inside = match prefix {
            "" => PathBuf::from(&name),
            prefix => Path::new(prefix).join(&name),
        };
        let meta = entry.metadata()?;
        if meta.is_dir() {
            folder(tar, &entry.path(), &inside.to_string_lossy())?;
        } else if meta.mode() & 0o170_000 != 0o140_000 {
            // Sockets cannot be archived.
            tar.append_path_with_name(entry.path(), &inside)?;
        }
    }
    Ok(())
}

/// The whole root of a container, without its volumes, as `docker export` prints it.
pub(crate) fn export(root: &Path, out: &mut dyn Write) -> Result<()> {
    image::pack(root, PackStyle::Plain, out)?;
    Ok(())
}
