//! Unpacks a tar below a folder and nowhere else.
//!
//! Every path is resolved by the kernel relative to the folder (`openat2` with
//! `RESOLVE_IN_ROOT`), so neither `..`, absolute names nor links made by the archive itself lead
//! out of it. Upstream: moby `go-archive/archive.go` and `diff.go`, containerd
//! `pkg/archive/tar.go`; unlike them every layer is unpacked alone, as overlayfs wants it.

mod parents;
mod place;
mod whiteout;

/// Whiteouts in words, for printing layers.
pub(crate) mod whiteout_words {
    pub(crate) use super::whiteout::{OPAQUE_NAME, OPAQUE_XATTR, PREFIX, is_whiteout};
}

use crate::error::Doing as _;
use crate::tar::{Entry, Kind, Reader};
use crate::{Error, Result};
use parents::Parents;
use rustix::fs::{Mode, OFlags};
use std::ffi::OsString;
use std::io::{BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// What whiteout entries mean here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteouts {
    /// Made as overlayfs has them: char device 0/0, `trusted.overlay.opaque`. For a layer unpacked
    /// alone above others.
    Overlay,
    /// The same for the lowest layer: nothing below can be missing.
    Lowest,
    /// Carried out: the named files are deleted. For applying a layer to a mounted root.
    Apply,
    /// Ordinary names (`docker cp`, `ADD`).
    Literal,
}

/// How far an archive may go.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Sum of file sizes, holes included.
    pub bytes: u64,
    pub entries: u64,
    /// Bytes that must stay free on the file system.
    pub spare: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 1 << 40, entries: 8 << 20, spare: 64 << 20 }
    }
}

/// Whether owners come from the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    FromArchive,
    /// All files get this owner and group.
    Fixed(u32, u32),
}

/// How to unpack.
#[derive(Debug, Clone, Copy)]
pub struct UnpackOptions {
    pub whiteouts: Whiteouts,
    pub owners: Owners,
    pub limits: Limits,
    /// Refuse to replace a folder by a file or the reverse (`docker cp`).
    pub kinds: ReplaceKinds,
}

/// Whether an entry may replace one of another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplaceKinds {
    Allow,
    Refuse,
}

impl UnpackOptions {
    pub fn new(whiteouts: Whiteouts) -> Self {
        Self {
            whiteouts,
            owners: Owners::FromArchive,
            limits: Limits::default(),
            kinds: ReplaceKinds::Allow,
        }
    }
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpacked {
    pub bytes: u64,
    pub inodes: u64,
}

/// How unpacking a lone layer can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done(Unpacked),
    /// The layer leans on files of lower layers (folders it does not list, hard links to files it
    /// does not have): it must be applied to the mounted layers below.
    NeedsLower,
}

/// Unpacks the plain tar `tar` below `root`.
pub fn unpack(tar: &mut dyn Read, root: &Path, options: &UnpackOptions) -> Result<Unpacked> {
    match unpack_layer(tar, root, options)? {
        Outcome::Done(unpacked) => Ok(unpacked),
        Outcome::NeedsLower => {
            Err(Error::invalid("the archive refers to files that it does not contain"))
        }
    }
}

/// [`unpack`], but tells when a layer cannot stand alone.
pub(crate) fn unpack_layer(
    tar: &mut dyn Read,
    root: &Path,
    options: &UnpackOptions,
) -> Result<Outcome> {
    let fd =
        rustix::fs::open(root, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .at("cannot open", root)?;
    let mut unpacker = Unpacker {
        parents: Parents::new(fd),
        options: *options,
        done: Unpacked::default(),
        entries: 0,
        until_space_check: 0,
        folders: Vec::new(),
        buffer: vec![0; 128 << 10],
        needs_lower: false,
    };
    let mut reader = Reader::new(BufReader::with_capacity(64 << 10, tar));
    while let Some(entry) = reader.next()? {
        let what = || format!("cannot unpack {:?}", String::from_utf8_lossy(&entry.path));
        unpacker
            .entry(&entry, &mut reader)
            .map_err(|e| Error { message: format!("{}: {}", what(), e.message), ..e })?;
        if unpacker.needs_lower {
            return Ok(Outcome::NeedsLower);
        }
    }
    unpacker.finish()?;
    // The padding behind the end belongs to the digest; whoever hashes sees it pass here.
    std::io::copy(&mut reader.into_inner(), &mut std::io::sink()).doing("reading the archive")?;
    Ok(Outcome::Done(unpacker.done))
}

type Archive<'a> = Reader<BufReader<&'a mut dyn Read>>;

struct Unpacker {
    parents: Parents,
    options: UnpackOptions,
    done: Unpacked,
    entries: u64,
    until_space_check: u64,
    /// Folders whose times are set at the end, when nothing is added to them any more.
    folders: Vec<(PathBuf, (i64, u32))>,
    buffer: Vec<u8>,
    needs_lower: bool,
}

/// Where an entry goes: an open folder and the name in it.
struct Spot<'a> {
    parent: &'a OwnedFd,
    name: &'a std::ffi::OsStr,
}

impl Unpacker {
    fn entry(&mut self, entry: &Entry, reader: &mut Archive<'_>) -> Result<()> {
        self.account(entry)?;
        let path = clean(&entry.path)?;
        let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
            return self.root_entry(entry);
        };
        let lone = self.options.whiteouts == Whiteouts::Overlay;
        let Some(parent) = self.parents.open(parent, lone)? else {
            self.needs_lower = true;
            return Ok(());
        };
        let spot = Spot { parent: &parent, name };
        if self.options.whiteouts != Whiteouts::Literal && whiteout::is_special(name) {
            let kept = whiteout::make(&spot, self.options.whiteouts)?;
            self.done.inodes += u64::from(kept);
            self.parents.forget();
            return Ok(());
        }
        self.place(entry, &path, &spot, reader)
    }

    fn place(
        &mut self,
        entry: &Entry,
        path: &Path,
        spot: &Spot<'_>,
        reader: &mut Archive<'_>,
    ) -> Result<()> {
        match entry.kind {
            Kind::Dir => {
                place::folder(self, entry, spot)?;
                self.folders.push((path.to_path_buf(), entry.mtime));
            }
            Kind::File => place::file(self, entry, spot, reader)?,
            Kind::Symlink => place::symlink(self, entry, spot)?,
            Kind::HardLink => place::hard_link(self, entry, spot)?,
            Kind::Char | Kind::Block | Kind::Fifo => place::special(self, entry, spot)?,
        }
        self.done.inodes += u64::from(entry.kind != Kind::HardLink);
        Ok(())
    }

    /// `./` itself: only its attributes count.
    fn root_entry(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != Kind::Dir {
            return Err(Error::invalid("the archive's root is not a folder"));
        }
        let root = self.parents.reopen_root()?;
        place::attributes(self, entry, &root)?;
        self.folders.push((PathBuf::new(), entry.mtime));
        Ok(())
    }

    fn account(&mut self, entry: &Entry) -> Result<()> {
        let limits = self.options.limits;
        self.entries += 1;
        let bytes = self.done.bytes.checked_add(entry.size).filter(|b| *b <= limits.bytes);
        let Some(bytes) = bytes.filter(|_| self.entries <= limits.entries) else {
            return Err(Error::invalid("the archive is larger than allowed"));
        };
        self.done.bytes = bytes;
        let stored =
            entry.sparse.as_ref().map_or(entry.size, |runs| runs.iter().map(|r| r.1).sum());
        if stored >= self.until_space_check {
            self.check_space(stored)?;
            self.until_space_check = 16 << 20;
        }
        self.until_space_check = self.until_space_check.saturating_sub(stored + 4096);
        Ok(())
    }

    fn check_space(&self, wanted: u64) -> Result<()> {
        let root = self.parents.reopen_root()?;
        let stat = rustix::fs::fstatvfs(&root).doing("reading free space")?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < wanted.saturating_add(self.options.limits.spare) {
            return Err(Error::internal("no space left on device"));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        for (path, mtime) in std::mem::take(&mut self.folders).into_iter().rev() {
            self.parents.set_times(&path, mtime)?;
        }
        Ok(())
    }
}

/// Lexical cleaning as Go's `filepath.Clean` below a root; what would climb out is refused.
pub(crate) fn clean(path: &[u8]) -> Result<PathBuf> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                if parts.pop().is_none() {
                    return Err(Error::invalid("the path is outside of the root"));
                }
            }
            part => parts.push(part),
        }
    }
    if path.contains(&0) || path.len() > 4096 || parts.iter().any(|p| p.len() > 255) {
        return Err(Error::invalid("the path is too long or contains NUL"));
    }
    Ok(PathBuf::from(OsString::from_vec(parts.join(&b'/'))))
}

#[cfg(test)]
mod tests;
