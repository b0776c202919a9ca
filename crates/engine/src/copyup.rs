//! Copies a directory with owners, modes, times and links: an image's content into a volume.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use crate::error::{Doing, Result};

/// Everything below `source` into the existing directory `target`, which also takes over the
/// mode and owner of `source`. A `source` that is no directory copies nothing. Sockets, pipes and
/// devices are left out: a volume holds data.
pub fn copy_tree(source: &Path, target: &Path) -> Result<()> {
    let meta = source.metadata().doing(|| format!("reading {}", source.display()))?;
    if !meta.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(source).doing(|| format!("reading {}", source.display()))? {
        let entry = entry?;
        copy_one(&entry.path(), &target.join(entry.file_name()))?;
    }
    like(target, &meta)
}

fn copy_one(source: &Path, target: &Path) -> Result<()> {
    let what = || format!("copying {} to {}", source.display(), target.display());
    let meta = source.symlink_metadata().doing(what)?;
    let kind = meta.file_type();
    if kind.is_symlink() {
        symlink(std::fs::read_link(source).doing(what)?, target).doing(what)?;
        return lchown(target, Some(meta.uid()), Some(meta.gid())).doing(what);
    }
    if kind.is_dir() {
        std::fs::create_dir(target).doing(what)?;
        return copy_tree(source, target);
    }
    if kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device() {
        return Ok(());
    }
    std::fs::copy(source, target).doing(what)?;
    like(target, &meta)
}

fn like(target: &Path, meta: &Metadata) -> Result<()> {
    let what = || format!("setting owner, mode and time of {}", target.display());
    chown(target, Some(meta.uid()), Some(meta.gid())).doing(what)?;
    std::fs::set_permissions(target, PermissionsExt::from_mode(meta.mode() & 0o7777))
        .doing(what)?;
    let times = std::fs::FileTimes::new().set_modified(meta.modified().doing(what)?);
    let file = std::fs::File::open(target).doing(what)?;
    file.set_times(times).doing(what)
}
