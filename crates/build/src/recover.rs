//! What builds left that were interrupted: containers, images, snapshots, mounts, folders.

use std::path::Path;
use std::sync::Arc;

use engine::{Engine, ListOptions, RemoveOptions};
use image::Force;

use crate::claim::WORKING;
use crate::error::{Doing, Result};
use crate::run_step::LABEL;

pub async fn clean(engine: &Arc<Engine>, work: &Path) -> Result<()> {
    let all = ListOptions { all: true, ..ListOptions::default() };
    for view in engine.list(all).await? {
        if view.record.config.label(LABEL).is_some() {
            let options = RemoveOptions { force: true, volumes: true };
            engine.remove(&view.record.id, options).await?;
        }
    }
    let (engine, work) = (engine.clone(), work.to_owned());
    let done = tokio::task::spawn_blocking(move || clean_store(&engine, &work));
    done.await.doing(|| "a worker thread failed".to_owned())?
}

fn clean_store(engine: &Engine, work: &Path) -> Result<()> {
    // Mounts first: removing a folder must never empty what is mounted on it.
    for mount in mounts_below(work) {
        image::unmount(Path::new(&mount))?;
    }
    for image in engine.images.list() {
        if image.config.comment.starts_with(LABEL) && image.tags.is_empty() {
            engine.images.remove(image.id.as_str(), Force::Yes)?;
        }
    }
    let snapshots = engine.images.snapshots();
    for key in snapshots.keys().iter().filter(|k| k.starts_with(WORKING)) {
        snapshots.remove(key)?;
    }
    match std::fs::remove_dir_all(work) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(e).doing(|| format!("removing {}", work.display()));
        }
        _ => {}
    }
    std::fs::create_dir_all(work).doing(|| format!("making {}", work.display()))
}

fn mounts_below(work: &Path) -> Vec<String> {
    let text = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let prefix = format!("{}/", work.display());
    let places = text.lines().filter_map(|l| l.split(' ').nth(1));
    places.filter(|p| p.starts_with(&prefix)).map(str::to_owned).collect()
}
