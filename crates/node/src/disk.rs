//! How full disks are, and what lies below a directory.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A file system, in bytes and inodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Space {
    pub capacity: u64,
    pub free: u64,
    /// What is free for users without privileges.
    pub available: u64,
    pub inodes: u64,
    pub inodes_free: u64,
}

pub(crate) fn space(path: &Path) -> Option<Space> {
    let s = nix::sys::statvfs::statvfs(path).ok()?;
    let block = s.fragment_size();
    Some(Space {
        capacity: s.blocks() * block,
        free: s.blocks_free() * block,
        available: s.blocks_available() * block,
        inodes: s.files(),
        inodes_free: s.files_free(),
    })
}

/// Bytes of disk that everything below `path` takes. What vanishes meanwhile counts nothing; links are not followed.
pub(crate) fn used(path: &Path) -> u64 {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return 0 };
    let mut sum = metadata.blocks() * 512;
    let mut left = vec![path.to_owned()];
    while let Some(dir) = left.pop().filter(|_| metadata.is_dir()) {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let Ok(inside) = entry.metadata() else { continue };
            sum += inside.blocks() * 512;
            if inside.is_dir() && inside.dev() == metadata.dev() {
                left.push(entry.path());
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/b"), vec![7; 100_000]).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("root")).unwrap();
        let used = used(dir.path());
        assert!((100_000..300_000).contains(&used), "{used}");
        assert_eq!(super::used(&dir.path().join("missing")), 0);
        assert!(space(dir.path()).unwrap().capacity > 0);
    }
}
