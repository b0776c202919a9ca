//! `--mount type=image`: an image's content, read-only, at a place in a container.
//!
//! A read-only snapshot under a key of its own holds the layers; it is mounted below the
//! container's directory while the container lives.

use std::path::{Path, PathBuf};

use image::Base;
use rustix::mount::UnmountFlags;

use crate::engine::Engine;
use crate::error::{Doing, EngineError, Result};
use crate::record::{MountPoint, Record};

/// The key of a container's n-th image snapshot.
fn key(n: usize, id: &str) -> String {
    format!("i{n}-{id}")
}

/// The container that an image snapshot belongs to; `None` for keys of other kinds.
pub(crate) fn owner(key: &str) -> Option<&str> {
    let (number, id) = key.strip_prefix('i')?.split_once('-')?;
    let plain = number.parse::<usize>().is_ok() && id.len() == 64;
    plain.then_some(id)
}

fn folder(dir: &Path, n: usize) -> PathBuf {
    dir.join(format!("image-{n}"))
}

fn of_images(record: &Record) -> impl Iterator<Item = (usize, &MountPoint)> {
    record.mounts.iter().enumerate().filter(|(_, m)| m.kind == "image")
}

impl Engine {
    /// Takes the snapshot for the n-th mount; where it will be mounted.
    pub(crate) fn image_view(&self, n: usize, mount: &MountPoint, id: &str) -> Result<String> {
        let image = self.image(&mount.name)?;
        self.images.snapshots().view(&key(n, id), &Base::Image(image.id))?;
        Ok(folder(&self.containers.dir_of(id), n).to_string_lossy().into_owned())
    }

    /// Mounts them for a start.
    pub(crate) fn mount_images(&self, record: &Record) -> Result<()> {
        for (n, _) in of_images(record) {
            let target = folder(&self.containers.dir_of(&record.id), n);
            std::fs::create_dir_all(&target).doing(|| format!("creating {}", target.display()))?;
            // One that an earlier run left is mounted over, not twice.
            let _ = rustix::mount::unmount(&target, UnmountFlags::DETACH);
            let spec = self.images.snapshots().get(&key(n, &record.id))?;
            image::mount(&spec, &target).map_err(EngineError::from)?;
        }
        Ok(())
    }

    pub(crate) fn unmount_images(&self, record: &Record) {
        for (n, _) in of_images(record) {
            let target = folder(&self.containers.dir_of(&record.id), n);
            // Not being mounted is fine.
            let _ = rustix::mount::unmount(&target, UnmountFlags::DETACH);
        }
    }

    /// Gives the snapshots back.
    pub(crate) fn drop_images(&self, record: &Record) -> Result<()> {
        for (n, _) in of_images(record) {
            self.images.snapshots().remove(&key(n, &record.id))?;
        }
        Ok(())
    }
}
