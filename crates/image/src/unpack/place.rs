//! Makes one entry at its spot.

use super::parents::{remove_all, times};
use super::{Archive, Owners, ReplaceKinds, Spot, Unpacker, Whiteouts, clean, whiteout};
use crate::error::Doing as _;
use crate::tar::{Entry, Kind};
use crate::{Error, Result};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

const NEW: OFlags = OFlags::CREATE
    .union(OFlags::EXCL)
    .union(OFlags::WRONLY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const FOLDER: OFlags =
    OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

pub(super) fn folder(un: &mut Unpacker, entry: &Entry, spot: &Spot<'_>) -> Result<()> {
    let hides = un.options.whiteouts == Whiteouts::Overlay && whiteout::stands_at(spot)?;
    let made = rustix::fs::mkdirat(spot.parent, spot.name, Mode::from(0o755));
    let fd = match made {
        Ok(()) => open_folder(spot)?,
        Err(Errno::EXIST) => {
            match rustix::fs::openat(spot.parent, spot.name, FOLDER, Mode::empty()) {
                Ok(existing) => existing,
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    replace(un, spot, FileType::Directory)?;
                    rustix::fs::mkdirat(spot.parent, spot.name, Mode::from(0o755))
                        .doing("cannot make the folder")?;
                    open_folder(spot)?
                }
                Err(e) => return Err(e).doing("cannot open the folder"),
            }
        }
        Err(e) => return Err(e).doing("cannot make the folder"),
    };
    if hides {
        whiteout::mark_opaque(&fd)?;
    }
    attributes(un, entry, &fd)
}

fn open_folder(spot: &Spot<'_>) -> Result<OwnedFd> {
    rustix::fs::openat(spot.parent, spot.name, FOLDER, Mode::empty())
        .doing("cannot open the folder")
}

pub(super) fn file(
    un: &mut Unpacker,
    entry: &Entry,
    spot: &Spot<'_>,
    reader: &mut Archive<'_>,
) -> Result<()> {
    let mode = Mode::from(entry.mode & 0o777);
    let open = || rustix::fs::openat(spot.parent, spot.name, NEW, mode);
    let fd = match open() {
        Err(Errno::EXIST) => {
            replace(un, spot, FileType::RegularFile)?;
            open()
        }
        other => other,
    }
    .doing("cannot make the file")?;
    match &entry.sparse {
        None => copy(un, reader, &fd, 0, entry.size)?,
        Some(runs) => {
            rustix::fs::ftruncate(&fd, entry.size).doing("cannot size the sparse file")?;
            for (offset, length) in runs {
                copy(un, reader, &fd, *offset, *length)?;
            }
        }
    }
    attributes(un, entry, &fd)?;
    rustix::fs::futimens(&fd, &times(entry.mtime)).doing("cannot set the times")
}

fn copy(
    un: &mut Unpacker,
    reader: &mut Archive<'_>,
    fd: &OwnedFd,
    mut offset: u64,
    length: u64,
) -> Result<()> {
    let end = offset.checked_add(length).ok_or_else(|| Error::invalid("file too large"))?;
    while offset < end {
        let want =
            usize::try_from(end - offset).map_or(un.buffer.len(), |n| n.min(un.buffer.len()));
        let got = reader.data(&mut un.buffer[..want])?;
        if got == 0 {
            return Err(Error::invalid("unexpected EOF"));
        }
        let mut chunk = &un.buffer[..got];
        while !chunk.is_empty() {
            let put = rustix::io::pwrite(fd, chunk, offset).doing("cannot write the file")?;
            chunk = &chunk[put..];
            offset += put as u64;
        }
    }
    Ok(())
}

pub(super) fn symlink(un: &mut Unpacker, entry: &Entry, spot: &Spot<'_>) -> Result<()> {
    let target = std::ffi::OsStr::from_bytes(&entry.link);
    retry(un, spot, FileType::Symlink, || rustix::fs::symlinkat(target, spot.parent, spot.name))
        .doing_or("cannot make the symbolic link")?;
    own(un, entry, spot)?;
    set_xattrs(un, entry, &Target::Path(path_of(spot)))?;
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(spot.parent, spot.name, &times(entry.mtime), flags)
        .doing("cannot set the times")
}

pub(super) fn hard_link(un: &mut Unpacker, entry: &Entry, spot: &Spot<'_>) -> Result<()> {
    let target = clean(&entry.link)?;
    let (Some(name), Some(parent)) = (target.file_name(), target.parent()) else {
        return Err(Error::invalid("invalid hard link"));
    };
    let lone = un.options.whiteouts == Whiteouts::Overlay;
    let missing =
        || Error::invalid(format!("hard link to {} which is not there", target.display()));
    let Some(folder) = un.parents.existing(parent)? else {
        un.needs_lower = lone;
        return if lone { Ok(()) } else { Err(missing()) };
    };
    let stat = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => {
            un.needs_lower = lone;
            return if lone { Ok(()) } else { Err(missing()) };
        }
        Err(e) => return Err(e).doing("cannot read the link target"),
    };
    if lone && whiteout::is_whiteout(&stat) {
        return Err(missing());
    }
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(Error::invalid("hard link to a folder"));
    }
    let same = |s: &rustix::fs::Stat| s.st_ino == stat.st_ino && s.st_dev == stat.st_dev;
    if rustix::fs::statat(spot.parent, spot.name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|s| same(&s))
    {
        return Ok(());
    }
    retry(un, spot, FileType::RegularFile, || {
        rustix::fs::linkat(&folder, name, spot.parent, spot.name, AtFlags::empty())
    })
    .doing_or("cannot make the hard link")
}

pub(super) fn special(un: &mut Unpacker, entry: &Entry, spot: &Spot<'_>) -> Result<()> {
    let kind = match entry.kind {
        Kind::Char => FileType::CharacterDevice,
        Kind::Block => FileType::BlockDevice,
        _ => FileType::Fifo,
    };
    if entry.kind == Kind::Char && entry.device == (0, 0) {
        return Err(Error::invalid("a character device 0/0 would be a forged whiteout"));
    }
    let device = rustix::fs::makedev(entry.device.0, entry.device.1);
    let mode = Mode::from(entry.mode & 0o777);
    retry(un, spot, kind, || rustix::fs::mknodat(spot.parent, spot.name, kind, mode, device))
        .doing_or("cannot make the device")?;
    own(un, entry, spot)?;
    let path = path_of(spot);
    // The name was made a moment ago in a folder held open, and is no link: chmod hits it alone.
    rustix::fs::chmod(&path, Mode::from(entry.mode & 0o7777))
        .at("cannot set the mode of", &path)?;
    set_xattrs(un, entry, &Target::Path(path))?;
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(spot.parent, spot.name, &times(entry.mtime), flags)
        .doing("cannot set the times")
}

/// Owner, mode and xattrs of an open file or folder, in the order that keeps setuid bits and
/// capabilities.
pub(super) fn attributes(un: &Unpacker, entry: &Entry, fd: &OwnedFd) -> Result<()> {
    let (uid, gid) = owner(un, entry);
    rustix::fs::fchown(fd, Some(uid), Some(gid)).doing("cannot set the owner")?;
    rustix::fs::fchmod(fd, Mode::from(entry.mode & 0o7777)).doing("cannot set the mode")?;
    set_xattrs(un, entry, &Target::Fd(fd))
}

fn own(un: &Unpacker, entry: &Entry, spot: &Spot<'_>) -> Result<()> {
    let (uid, gid) = owner(un, entry);
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(spot.parent, spot.name, Some(uid), Some(gid), flags)
        .doing("cannot set the owner")
}

fn owner(un: &Unpacker, entry: &Entry) -> (Uid, Gid) {
    let (uid, gid) = match un.options.owners {
        Owners::FromArchive => (entry.uid, entry.gid),
        Owners::Fixed(uid, gid) => (uid, gid),
    };
    (Uid::from_raw(uid), Gid::from_raw(gid))
}

enum Target<'a> {
    Fd(&'a OwnedFd),
    Path(PathBuf),
}

fn set_xattrs(un: &Unpacker, entry: &Entry, target: &Target<'_>) -> Result<()> {
    for (name, value) in &entry.xattrs {
        // Overlayfs' own attributes would let a layer redirect into others; like containerd and
        // umoci we do not take them from archives.
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            if un.options.whiteouts != Whiteouts::Literal {
                continue;
            }
            return Err(Error::invalid("overlay attributes are not allowed in archives"));
        }
        let set = match target {
            Target::Fd(fd) => {
                rustix::fs::fsetxattr(fd, name.as_slice(), value, XattrFlags::empty())
            }
            Target::Path(p) => {
                rustix::fs::lsetxattr(p, name.as_slice(), value, XattrFlags::empty())
            }
        };
        match set {
            Ok(()) => {}
            // Docker and containerd go on when the file system or the file type has none.
            Err(Errno::OPNOTSUPP) => tracing::warn!(
                path = %String::from_utf8_lossy(&entry.path),
                xattr = %String::from_utf8_lossy(name),
                "extended attribute is not supported here"
            ),
            Err(Errno::PERM) if matches!(target, Target::Path(_)) => {}
            Err(e) => {
                return Err(e).doing(&format!("cannot set {}", String::from_utf8_lossy(name)));
            }
        }
    }
    Ok(())
}

/// `/proc/self/fd/N/name`: the only path to a name beside an open folder.
fn path_of(spot: &Spot<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", spot.parent.as_fd().as_raw_fd())).join(spot.name)
}

/// Runs `make`; when something stands there, removes that and runs it again.
fn retry(
    un: &mut Unpacker,
    spot: &Spot<'_>,
    kind: FileType,
    make: impl Fn() -> rustix::io::Result<()>,
) -> Result<std::result::Result<(), Errno>> {
    match make() {
        Err(Errno::EXIST) => {
            replace(un, spot, kind)?;
            Ok(make())
        }
        other => Ok(other),
    }
}

trait DoingOr {
    fn doing_or(self, what: &str) -> Result<()>;
}

impl DoingOr for Result<std::result::Result<(), Errno>> {
    fn doing_or(self, what: &str) -> Result<()> {
        self?.doing(what)
    }
}

fn replace(un: &mut Unpacker, spot: &Spot<'_>, new: FileType) -> Result<()> {
    if un.options.kinds == ReplaceKinds::Refuse {
        let stat = rustix::fs::statat(spot.parent, spot.name, AtFlags::SYMLINK_NOFOLLOW)
            .doing("cannot read what it replaces")?;
        let old_is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if old_is_folder != (new == FileType::Directory) {
            let (a, b) = if old_is_folder { ("", "non-") } else { ("non-", "") };
            return Err(Error::invalid(format!(
                "cannot overwrite {a}directory {:?} with {b}directory",
                spot.name
            )));
        }
    }
    un.parents.forget();
    remove_all(spot.parent, spot.name)
}
