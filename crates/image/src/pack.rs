//! Prints a folder as a tar: sorted, without access times, reproducible byte by byte.
//!
//! Layers that were made here are not stored as archives; their tar is printed again whenever a
//! registry or `save` wants it, and it must then have the same digest.

use crate::error::Doing as _;
use crate::tar::{Entry, Kind, Writer};
use crate::unpack::whiteout_words as wh;
use crate::{Error, Result};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

/// How whiteouts of overlayfs are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackStyle {
    /// The folder is an overlay's upper directory or a layer: whiteouts become `.wh.` entries.
    Layer,
    /// The folder is a plain (mounted) tree.
    Plain,
}

/// What was printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Packed {
    /// Sum of file sizes, hard links counted once.
    pub bytes: u64,
    pub inodes: u64,
}

/// Prints everything below `root` (not `root` itself) and the end of the archive.
pub fn pack<W: Write>(root: &Path, style: PackStyle, out: W) -> Result<Packed> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(root, flags, Mode::empty()).at("cannot open", root)?;
    let mut packer =
        Packer { writer: Writer::new(out), style, links: HashMap::new(), done: Packed::default() };
    packer.folder(&fd, &mut Vec::new())?;
    packer.writer.finish()?.flush().doing("writing the archive")?;
    Ok(packer.done)
}

struct Packer<W> {
    writer: Writer<W>,
    style: PackStyle,
    /// First path of every inode with several names. Looked up only, never iterated.
    links: HashMap<(u64, u64), Vec<u8>>,
    done: Packed,
}

impl<W: Write> Packer<W> {
    fn folder(&mut self, fd: &OwnedFd, path: &mut Vec<u8>) -> Result<()> {
        for name in sorted_names(fd)? {
            let length = path.len();
            path.extend_from_slice(name.as_bytes());
            self.child(fd, &name, path).map_err(|e| Error {
                message: format!("{}: {}", String::from_utf8_lossy(path), e.message),
                ..e
            })?;
            path.truncate(length);
        }
        Ok(())
    }

    fn child(&mut self, parent: &OwnedFd, name: &OsStr, path: &mut Vec<u8>) -> Result<()> {
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        let stat = rustix::fs::statat(parent, name, flags).doing("cannot read its attributes")?;
        if self.style == PackStyle::Layer && wh::is_whiteout(&stat) {
            let length = path.len() - name.len();
            let hidden = [&path[..length], wh::PREFIX, name.as_bytes()].concat();
            self.done.inodes += 1;
            return self.empty_file(hidden);
        }
        let Some(kind) = kind_of(&stat) else {
            tracing::debug!(path = %String::from_utf8_lossy(path), "sockets are not archived");
            return Ok(());
        };
        let mut entry = plain_entry(&stat, kind, path);
        entry.xattrs = xattrs(parent, name)?;
        if kind != Kind::Dir && stat.st_nlink > 1 {
            let id = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&id) {
                (entry.kind, entry.link) = (Kind::HardLink, first.clone());
                (entry.size, entry.xattrs) = (0, Vec::new());
                return self.writer.entry(&entry);
            }
            self.links.insert(id, path.clone());
        }
        self.done.inodes += 1;
        match kind {
            Kind::Dir => self.subfolder(parent, name, path, entry),
            Kind::File => self.file(parent, name, &entry),
            Kind::Symlink => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new()).doing("readlink")?;
                entry.link = target.into_bytes();
                self.writer.entry(&entry)
            }
            _ => self.writer.entry(&entry),
        }
    }

    fn subfolder(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        path: &mut Vec<u8>,
        mut entry: Entry,
    ) -> Result<()> {
        path.push(b'/');
        entry.path.push(b'/');
        self.writer.entry(&entry)?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(parent, name, flags, Mode::empty()).doing("cannot open it")?;
        if self.style == PackStyle::Layer && is_opaque(&fd) {
            self.empty_file([path.as_slice(), wh::OPAQUE_NAME].concat())?;
        }
        self.folder(&fd, path)
    }

    fn file(&mut self, parent: &OwnedFd, name: &OsStr, entry: &Entry) -> Result<()> {
        self.done.bytes += entry.size;
        self.writer.entry(entry)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(parent, name, flags, Mode::empty()).doing("cannot open it")?;
        self.writer.data(&mut File::from(fd), entry.size)
    }

    fn empty_file(&mut self, path: Vec<u8>) -> Result<()> {
        self.writer.entry(&Entry {
            path,
            kind: Kind::File,
            mode: 0o600,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: (0, 0),
            link: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
            sparse: None,
        })
    }
}

fn sorted_names(fd: &OwnedFd) -> Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(fd).doing("cannot list the folder")? {
        let entry = entry.doing("cannot list the folder")?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name.to_vec()));
        }
    }
    names.sort();
    Ok(names)
}

fn kind_of(stat: &Stat) -> Option<Kind> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Some(Kind::File),
        FileType::Directory => Some(Kind::Dir),
        FileType::Symlink => Some(Kind::Symlink),
        FileType::CharacterDevice => Some(Kind::Char),
        FileType::BlockDevice => Some(Kind::Block),
        FileType::Fifo => Some(Kind::Fifo),
        _ => None,
    }
}

fn plain_entry(stat: &Stat, kind: Kind, path: &[u8]) -> Entry {
    let size = if kind == Kind::File { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 };
    let device = match kind {
        Kind::Char | Kind::Block => {
            (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev))
        }
        _ => (0, 0),
    };
    Entry {
        path: path.to_vec(),
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size,
        mtime: (stat.st_mtime, 0),
        link: Vec::new(),
        device,
        xattrs: Vec::new(),
        sparse: None,
    }
}

fn is_opaque(fd: &OwnedFd) -> bool {
    let mut value = [0; 4];
    rustix::fs::fgetxattr(fd, wh::OPAQUE_XATTR, &mut value).is_ok_and(|n| &value[..n] == b"y")
}

/// Attributes that belong to the file: not overlayfs' own, not the host's labels.
fn xattrs(parent: &OwnedFd, name: &OsStr) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let path = Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string()).join(name);
    let mut list = vec![0u8; 4096];
    let length = loop {
        match rustix::fs::llistxattr(&path, list.as_mut_slice()) {
            Ok(n) => break n,
            Err(rustix::io::Errno::RANGE) if list.len() < 1 << 20 => list.resize(list.len() * 4, 0),
            Err(rustix::io::Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(e) => return Err(e).doing("cannot list its extended attributes"),
        }
    };
    let mut found = Vec::new();
    let names = list[..length].split(|b| *b == 0).filter(|n| !n.is_empty());
    for key in names.filter(|n| !n.starts_with(b"trusted.overlay.") && *n != b"security.selinux") {
        let mut value = vec![0u8; 64 << 10];
        let size = rustix::fs::lgetxattr(&path, key, value.as_mut_slice())
            .doing("cannot read an extended attribute")?;
        value.truncate(size);
        found.push((key.to_vec(), value));
    }
    found.sort();
    Ok(found)
}
