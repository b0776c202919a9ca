//! `SOURCE_DATE_EPOCH`: the same image, bit for bit, whenever it is built.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use crate::BuildRequest;
use crate::error::{Doing, Result};

/// The request's build argument in seconds.
pub fn of(request: &BuildRequest) -> Result<Option<i64>> {
    let text = request.build_args.get("SOURCE_DATE_EPOCH").filter(|t| !t.is_empty());
    let parse = |t: &String| t.parse().doing(|| format!("invalid SOURCE_DATE_EPOCH: {t}"));
    text.map(parse).transpose()
}

/// Brings the times of everything below `root` down to `epoch` (BuildKit `rewrite-timestamp`).
pub fn clamp(root: &Path, epoch: i64) -> Result<()> {
    for entry in std::fs::read_dir(root).doing(|| format!("reading {}", root.display()))? {
        let entry = entry.doing(|| format!("reading {}", root.display()))?;
        let meta = entry.metadata().doing(|| format!("reading {}", entry.path().display()))?;
        if meta.is_dir() {
            clamp(&entry.path(), epoch)?;
        }
        // Whiteouts (devices 0:0) are printed without a time.
        let whiteout = meta.file_type().is_char_device() && meta.rdev() == 0;
        if !whiteout && (meta.mtime(), meta.mtime_nsec()) > (epoch, 0) {
            set(&entry.path(), epoch)?;
        }
    }
    Ok(())
}

fn set(path: &Path, seconds: i64) -> Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .doing(|| format!("setting the time of {}", path.display()))
}
