//! `docker diff`: what an upper directory changes. Upstream: moby `go-archive/changes.go`.

use crate::error::Doing as _;
use crate::unpack::whiteout_words as wh;
use crate::{Change, ChangeKind, Result};
use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Changes of `upper` against `lower` (top first), sorted by path.
pub(super) fn changes(upper: &Path, lower: &[PathBuf]) -> Result<Vec<Change>> {
    let mut diff = Diff { upper, lower, found: Vec::new(), parents: BTreeSet::new() };
    diff.folder(Path::new(""), false)?;
    let mut found = diff.found;
    found.sort();
    found.dedup();
    Ok(found)
}

struct Diff<'a> {
    upper: &'a Path,
    lower: &'a [PathBuf],
    found: Vec<Change>,
    /// Folders already listed.
    parents: BTreeSet<PathBuf>,
}

impl Diff<'_> {
    /// `hidden`: an opaque folder above hides everything below here.
    fn folder(&mut self, path: &Path, hidden: bool) -> Result<()> {
        let real = self.upper.join(path);
        let hidden = hidden || (is_opaque(&real) && !path.as_os_str().is_empty());
        if hidden && is_opaque(&real) {
            self.hidden_by_opaque(path)?;
        }
        for entry in fs::read_dir(&real).at("cannot list", &real)? {
            let entry = entry.at("cannot list", &real)?;
            let path = path.join(entry.file_name());
            let meta = entry.metadata().at("cannot read", &path)?;
            self.file(&path, &meta, hidden)?;
            if meta.is_dir() {
                self.folder(&path, hidden)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, meta: &Metadata, hidden: bool) -> Result<()> {
        let below = if hidden { None } else { below(self.lower, path)? };
        let whiteout = meta.file_type().is_char_device() && meta.rdev() == 0;
        let kind = match (&below, whiteout) {
            (None, true) => return Ok(()),
            (Some(_), true) => ChangeKind::Deleted,
            (None, false) => ChangeKind::Added,
            (Some(old), false) if meta.is_dir() && same_folder(old, meta) => return Ok(()),
            (Some(_), false) => ChangeKind::Modified,
        };
        self.add(path, kind);
        if meta.is_dir() {
            self.parents.insert(path.into());
        }
        if kind != ChangeKind::Modified
            && let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty())
            && self.parents.insert(parent.into())
        {
            self.add(parent, ChangeKind::Modified);
        }
        Ok(())
    }

    /// A folder that was deleted and made again: what was in it and is not any more.
    fn hidden_by_opaque(&mut self, path: &Path) -> Result<()> {
        let mut gone = BTreeSet::new();
        for lower in self.lower {
            let Ok(entries) = fs::read_dir(lower.join(path)) else { continue };
            gone.extend(entries.flatten().map(|e| e.file_name()));
        }
        for name in gone {
            let child = path.join(name);
            let replaced = fs::symlink_metadata(self.upper.join(&child)).is_ok();
            if !replaced && below(self.lower, &child)?.is_some() {
                self.add(&child, ChangeKind::Deleted);
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, kind: ChangeKind) {
        self.found.push(Change { path: Path::new("/").join(path), kind });
    }
}

fn same_folder(old: &Metadata, new: &Metadata) -> bool {
    old.is_dir() && old.mode() == new.mode() && old.mtime() == new.mtime()
}

/// What the lower layers show at `path`, whiteouts, opaque folders and replaced parents honoured.
fn below(lower: &[PathBuf], path: &Path) -> Result<Option<Metadata>> {
    for layer in lower {
        let mut sofar = layer.clone();
        let mut opaque = false;
        let mut hit = None;
        for part in path.components() {
            opaque |= is_opaque(&sofar) && sofar != *layer;
            sofar.push(part);
            hit = match fs::symlink_metadata(&sofar) {
                Ok(meta) if wh_device(&meta) => return Ok(None),
                Ok(meta) => Some(meta),
                Err(_) => {
                    hit = None;
                    break;
                }
            };
            if hit.as_ref().is_some_and(|m| !m.is_dir()) && sofar != layer.join(path) {
                // A parent is no folder in this layer, so nothing below it shows.
                return Ok(None);
            }
        }
        if hit.is_some() {
            return Ok(hit);
        }
        if opaque || is_opaque(sofar.parent().unwrap_or(layer)) && sofar.parent() != Some(layer) {
            return Ok(None);
        }
    }
    Ok(None)
}

fn wh_device(meta: &Metadata) -> bool {
    meta.file_type().is_char_device() && meta.rdev() == 0
}

fn is_opaque(folder: &Path) -> bool {
    let mut value = [0; 4];
    rustix::fs::lgetxattr(folder, wh::OPAQUE_XATTR, &mut value).is_ok_and(|n| &value[..n] == b"y")
}
