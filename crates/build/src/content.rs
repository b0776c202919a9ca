//! What files contain, as one digest: content, names, modes and owners; never times.
//!
//! BuildKit `cache/contenthash`, moby `pkg/tarsum`: the same fields count.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use oci::{Algorithm, Digest, Hasher};

use crate::error::{Doing, Result};
use crate::select::{Forest, Picked, header};

/// The digest of everything that was picked.
pub fn digest(forest: &Forest<'_>, picked: &[Picked]) -> Result<Digest> {
    let mut all = Hasher::new(Algorithm::Sha256);
    for one in picked {
        all.update(one.name.as_bytes());
        all.update(b"\0");
        forest.walk(one, &mut |entry| {
            all.update(header(entry).as_bytes());
            if entry.meta.is_file() {
                file(entry.path, &mut all)?;
            } else if entry.meta.is_symlink() {
                let target = std::fs::read_link(entry.path)
                    .doing(|| format!("reading {}", entry.path.display()))?;
                all.update(target.as_os_str().as_bytes());
            }
            Ok(())
        })?;
    }
    Ok(all.finish())
}

fn file(path: &Path, into: &mut Hasher) -> Result<()> {
    let reading = || format!("reading {}", path.display());
    let mut file = std::fs::File::open(path).doing(reading)?;
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = file.read(&mut buffer).doing(reading)?;
        if count == 0 {
            return Ok(());
        }
        into.update(&buffer[..count]);
    }
}
