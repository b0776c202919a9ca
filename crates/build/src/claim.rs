//! Things a step holds for its duration and gives back whatever happens.

use std::path::{Path, PathBuf};

use image::{Base, ImageStore, Layer};

use crate::error::{Doing, Result};

/// A name nobody else has.
pub fn fresh() -> Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).doing(|| "asking for randomness".to_owned())?;
    Ok(hex::encode(bytes))
}

/// A folder of its own below `parent`, gone at the end.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(parent: &Path) -> Result<Self> {
        let path = parent.join(fresh()?);
        std::fs::create_dir_all(&path).doing(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_dir_all(&self.0) {
            eprintln!("build: removing {}: {e}", self.0.display());
        }
    }
}

/// A snapshot in the store and, mounted, a folder of this machine.
pub struct Tree {
    images: ImageStore,
    pub key: String,
    mounted: Option<Folder>,
}

/// Whether a tree can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// What begins the keys of snapshots that do not outlive a step.
pub const WORKING: &str = "build-";

impl Tree {
    pub fn new(images: &ImageStore, layers: &[Layer], access: Access, work: &Path) -> Result<Self> {
        let key = format!("{WORKING}{}", fresh()?);
        let base = Base::Layers(layers.to_vec());
        let spec = match access {
            Access::Read => images.snapshots().view(&key, &base)?,
            Access::Write => images.snapshots().prepare(&key, &base)?,
        };
        let mut tree = Self { images: images.clone(), key, mounted: None };
        let folder = Folder::new(work)?;
        image::mount(&spec, &folder.0)?;
        tree.mounted = Some(folder);
        Ok(tree)
    }

    pub fn path(&self) -> &Path {
        self.mounted.as_ref().map_or(Path::new("/nonexistent"), |f| &f.0)
    }

    /// Unmounts; what was written becomes a layer.
    pub fn commit(mut self, epoch: Option<i64>) -> Result<Option<Layer>> {
        self.unmount();
        commit(&self.images, &self.key, epoch)
    }

    fn unmount(&mut self) {
        if let Some(folder) = self.mounted.take()
            && let Err(e) = image::unmount(&folder.0)
        {
            eprintln!("build: unmounting {}: {e}", folder.0.display());
            // Removing the folder would empty the mounted tree.
            std::mem::forget(folder);
        }
    }
}

/// A snapshot's changes as a layer, without a copy; `None` when there are none: an image does not
/// hold the same empty layer over and over. No file is newer than `epoch`.
pub fn commit(images: &ImageStore, key: &str, epoch: Option<i64>) -> Result<Option<Layer>> {
    let snapshots = images.snapshots();
    if snapshots.diff(key)?.is_empty() {
        return Ok(None);
    }
    if let Some(epoch) = epoch
        && let Some(upper) = snapshots.get(key)?.upper
    {
        crate::epoch::clamp(&upper, epoch)?;
    }
    Ok(Some(snapshots.commit(key, image::After::Consume)?))
}

/// A folder of this machine that a step may write to; what it writes is lost.
pub struct Pad {
    merged: PathBuf,
    /// After the mount: it holds what is mounted.
    _folder: Folder,
}

impl Pad {
    pub fn new(below: &Path, work: &Path) -> Result<Self> {
        let folder = Folder::new(work)?;
        let place = |name: &str| folder.0.join(name);
        for name in ["upper", "work", "merged"] {
            std::fs::create_dir(place(name)).doing(|| "making a scratch pad".to_owned())?;
        }
        let (upper, work) = (Some(place("upper")), Some(place("work")));
        let spec = image::RootfsSpec { lower: vec![below.to_owned()], upper, work };
        image::mount(&spec, &place("merged"))?;
        Ok(Self { merged: place("merged"), _folder: folder })
    }

    pub fn path(&self) -> &Path {
        &self.merged
    }
}

impl Drop for Pad {
    fn drop(&mut self) {
        if let Err(e) = image::unmount(&self.merged) {
            eprintln!("build: unmounting {}: {e}", self.merged.display());
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.unmount();
        if let Err(e) = self.images.snapshots().remove(&self.key) {
            eprintln!("build: removing the snapshot {}: {e}", self.key);
        }
    }
}
