//! Opens the folders entries go into, one `openat2` per change of folder.

use crate::error::Doing as _;
use crate::{Error, Result};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

pub(super) struct Parents {
    root: OwnedFd,
    /// The folder opened last. Archives list files folder by folder.
    last: Option<(PathBuf, Rc<OwnedFd>)>,
}

impl Parents {
    pub fn new(root: OwnedFd) -> Self {
        Self { root, last: None }
    }

    /// Opens `path`, making what is missing with mode 0755. With `lone`, answers `None` instead
    /// of making anything: the real folder may be in a layer below.
    pub fn open(&mut self, path: &Path, lone: bool) -> Result<Option<Rc<OwnedFd>>> {
        if let Some((known, fd)) = &self.last
            && known == path
        {
            return Ok(Some(fd.clone()));
        }
        let fd = match self.lookup(path) {
            Ok(fd) => fd,
            Err(Errno::NOENT) if lone => return Ok(None),
            Err(Errno::NOENT) => self.make(path)?,
            Err(Errno::NOTDIR) => return Err(Error::invalid("a parent is not a folder")),
            Err(e) => return Err(e).doing("cannot open its folder"),
        };
        let fd = Rc::new(fd);
        self.last = Some((path.to_path_buf(), fd.clone()));
        Ok(Some(fd))
    }

    /// Drops the remembered folder, because something was deleted or replaced.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// An existing file to link to; `None` when it is not there.
    pub fn existing(&self, path: &Path) -> Result<Option<OwnedFd>> {
        match self.lookup(path) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR) => Err(Error::invalid("a parent of the link target is no folder")),
            Err(e) => Err(e).doing("cannot open the folder of the link target"),
        }
    }

    /// The root, opened for reading.
    pub fn reopen_root(&self) -> Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.root, ".", flags, Mode::empty()).doing("cannot open the root")
    }

    pub fn set_times(&self, path: &Path, mtime: (i64, u32)) -> Result<()> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match rustix::fs::openat2(&self.root, name, flags, Mode::empty(), INSIDE) {
            Ok(fd) => rustix::fs::futimens(&fd, &times(mtime)).at("cannot set the times of", path),
            // Replaced by a later entry.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
            Err(e) => Err(e).at("cannot open", path),
        }
    }

    fn lookup(&self, path: &Path) -> std::result::Result<OwnedFd, Errno> {
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
        let name = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        rustix::fs::openat2(&self.root, name, flags, Mode::empty(), INSIDE)
    }

    fn make(&self, path: &Path) -> Result<OwnedFd> {
        let mut sofar = PathBuf::new();
        let mut here = self.lookup(&sofar).doing("cannot open the root")?;
        for part in path.components() {
            sofar.push(part);
            here = match self.lookup(&sofar) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => {
                    match rustix::fs::mkdirat(&here, part.as_os_str(), Mode::from(0o755)) {
                        Ok(()) => {}
                        Err(Errno::EXIST) => {
                            return Err(Error::invalid("a parent is a dangling link"));
                        }
                        Err(e) => return Err(e).at("cannot make", &sofar),
                    }
                    self.lookup(&sofar).at("cannot open", &sofar)?
                }
                Err(e) => return Err(e).at("cannot open", &sofar),
            };
        }
        Ok(here)
    }
}

pub(super) fn times((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// Removes whatever stands at `name`, folders with all they contain; never follows links.
pub(super) fn remove_all(parent: &OwnedFd, name: &std::ffi::OsStr) -> Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(e) => return Err(e).doing("cannot remove what it replaces"),
    }
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd =
        rustix::fs::openat(parent, name, flags, Mode::empty()).doing("cannot open a folder")?;
    remove_children(&fd)?;
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR).doing("cannot remove what it replaces")
}

pub(super) fn remove_children(folder: &OwnedFd) -> Result<()> {
    for name in names(folder)? {
        remove_all(folder, &name)?;
    }
    Ok(())
}

/// Names in a folder without `.` and `..`.
pub(super) fn names(folder: &OwnedFd) -> Result<Vec<std::ffi::OsString>> {
    use std::os::unix::ffi::OsStringExt as _;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder).doing("cannot list a folder")? {
        let entry = entry.doing("cannot list a folder")?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(std::ffi::OsString::from_vec(name.to_vec()));
        }
    }
    Ok(names)
}
