//! Whiteout entries (OCI image-spec `layer.md`), and how overlayfs writes them down.

use super::parents::{remove_all, remove_children};
use super::{Spot, Whiteouts};
use crate::error::Doing as _;
use crate::{Error, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

pub(crate) const PREFIX: &[u8] = b".wh.";
pub(crate) const OPAQUE_NAME: &[u8] = b".wh..wh..opq";
pub(crate) const OPAQUE_XATTR: &str = "trusted.overlay.opaque";
const META_PREFIX: &[u8] = b".wh..wh.";

pub(super) fn is_special(name: &OsStr) -> bool {
    name.as_bytes().starts_with(PREFIX)
}

/// Answers whether an inode was made.
pub(super) fn make(spot: &Spot<'_>, style: Whiteouts) -> Result<bool> {
    let name = spot.name.as_bytes();
    if name == OPAQUE_NAME {
        opaque(spot, style)?;
        return Ok(false);
    }
    if name.starts_with(META_PREFIX) {
        // Left-overs of aufs; no tool gives them a meaning any more.
        return Ok(false);
    }
    let hidden = OsStr::from_bytes(&name[PREFIX.len()..]);
    if matches!(hidden.as_bytes(), b"" | b"." | b"..") {
        return Err(Error::invalid("invalid whiteout name"));
    }
    match style {
        Whiteouts::Apply => remove_all(spot.parent, hidden).map(|()| false),
        // Nothing is below; what the same layer adds is not meant.
        Whiteouts::Lowest | Whiteouts::Literal => Ok(false),
        Whiteouts::Overlay => hide(spot, hidden),
    }
}

fn opaque(spot: &Spot<'_>, style: Whiteouts) -> Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(spot.parent, ".", flags, Mode::empty())
        .doing("cannot open the opaque folder")?;
    match style {
        Whiteouts::Apply => remove_children(&folder),
        Whiteouts::Overlay => mark_opaque(&folder),
        Whiteouts::Lowest | Whiteouts::Literal => Ok(()),
    }
}

pub(super) fn mark_opaque(folder: &std::os::fd::OwnedFd) -> Result<()> {
    rustix::fs::fsetxattr(folder, OPAQUE_XATTR, b"y", XattrFlags::empty())
        .doing("cannot mark a folder opaque")
}

/// A whiteout hides lower layers only: a folder of the same layer becomes opaque, any other file
/// of it hides by itself.
fn hide(spot: &Spot<'_>, hidden: &OsStr) -> Result<bool> {
    let device = rustix::fs::makedev(0, 0);
    match rustix::fs::mknodat(spot.parent, hidden, FileType::CharacterDevice, Mode::empty(), device)
    {
        Ok(()) => return Ok(true),
        Err(Errno::EXIST) => {}
        Err(e) => return Err(e).doing("cannot make a whiteout"),
    }
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(spot.parent, hidden, flags, Mode::empty()) {
        Ok(folder) => mark_opaque(&folder).map(|()| false),
        Err(Errno::NOTDIR | Errno::LOOP) => Ok(false),
        Err(e) => Err(e).doing("cannot open a folder"),
    }
}

/// True when a whiteout device stands at the spot.
pub(super) fn stands_at(spot: &Spot<'_>) -> Result<bool> {
    match rustix::fs::statat(spot.parent, spot.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(is_whiteout(&stat)),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(e).doing("cannot read what it replaces"),
    }
}

pub(crate) fn is_whiteout(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}
