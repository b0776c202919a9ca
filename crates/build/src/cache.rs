//! What steps made, under the digest of everything that went into them.
//!
//! A row is a small file; the layers are held by a read-only snapshot of the same name, so the
//! store never frees them under us. A row without its snapshot counts as absent.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use image::{Base, ImageStore, Layer};
use serde::{Deserialize, Serialize};

use crate::error::{Doing, Result};
use crate::usage::RowKind;

/// What begins the keys of the cache's snapshots.
const HELD: &str = "buildcache-";

/// What one step made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `None`: the step changed nothing.
    pub layer: Option<Layer>,
    /// RFC 3339; the image's history says this, so that a rebuild from the cache is the same image.
    pub created: String,
    pub description: String,
}

/// A row as `system df -v` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheRow {
    pub kind: RowKind,
    pub key: String,
    pub description: String,
    pub created: String,
    pub size: u64,
    pub used: SystemTime,
}

/// What pruning freed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pruned {
    pub keys: Vec<String>,
    pub bytes: u64,
}

pub struct Cache {
    images: ImageStore,
    root: PathBuf,
    /// Held while a row and its snapshot are replaced: two builds may make the same thing.
    turn: std::sync::Mutex<()>,
}

impl Cache {
    pub fn open(images: ImageStore, root: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&root).doing(|| format!("making {}", root.display()))?;
        let cache = Self { images, root, turn: std::sync::Mutex::default() };
        cache.drop_orphans();
        Ok(cache)
    }

    /// Snapshots without a row: a crash came between the two.
    fn drop_orphans(&self) {
        let snapshots = self.images.snapshots();
        for held in snapshots.keys() {
            if let Some(key) = held.strip_prefix(HELD)
                && !self.path(key).exists()
                && let Err(e) = snapshots.remove(&held)
            {
                eprintln!("build: removing the orphaned snapshot {held}: {e}");
            }
        }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    pub fn find(&self, key: &str) -> Option<Row> {
        let _turn = self.turn.lock().expect("no panic happens under this lock");
        let path = self.path(key);
        let row: Row = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
        self.images.snapshots().get(&format!("{HELD}{key}")).ok()?;
        // Its time is when it was last of use; failing only makes it go earlier.
        let _ = std::fs::File::open(&path).and_then(|f| f.set_modified(SystemTime::now()));
        Some(row)
    }

    /// Replaces what was there. The snapshot comes first: a row is never without one.
    pub fn put(&self, key: &str, row: &Row) -> Result<()> {
        let _turn = self.turn.lock().expect("no panic happens under this lock");
        self.remove(key)?;
        let layers: Vec<Layer> = row.layer.iter().cloned().collect();
        self.images.snapshots().view(&format!("{HELD}{key}"), &Base::Layers(layers))?;
        let bytes = serde_json::to_vec(row).doing(|| "writing a cache row".to_owned())?;
        let path = self.path(key);
        let fresh = path.with_extension("new");
        let writing = || format!("writing {}", path.display());
        std::fs::write(&fresh, bytes).doing(writing)?;
        std::fs::rename(&fresh, &path).doing(writing)
    }

    fn remove(&self, key: &str) -> Result<()> {
        match std::fs::remove_file(self.path(key)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(e).doing(|| format!("removing the cache row {key}"));
            }
            _ => {}
        }
        Ok(self.images.snapshots().remove(&format!("{HELD}{key}"))?)
    }

    pub fn rows(&self) -> Vec<CacheRow> {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        entries.filter_map(|e| row(&e.path())).collect()
    }

    pub fn drop_row(&self, key: &str) -> Result<()> {
        let _turn = self.turn.lock().expect("no panic happens under this lock");
        self.remove(key)
    }
}

fn row(path: &Path) -> Option<CacheRow> {
    let row: Row = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    Some(CacheRow {
        kind: RowKind::Step,
        key: path.file_name()?.to_str()?.to_owned(),
        description: row.description,
        created: row.created,
        size: row.layer.map_or(0, |l| l.size),
        used: std::fs::metadata(path).and_then(|m| m.modified()).ok()?,
    })
}
