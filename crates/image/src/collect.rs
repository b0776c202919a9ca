//! Nothing unreferenced stays on disk, and every byte has an owner.

use crate::db::State;
use crate::layers::remove_any;
use crate::{ImageStore, Result, Snapshotter as _, StoreUsage};
use oci::{Digest, Document};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Partial downloads older than this are not resumed any more.
const PARTIAL_AGE: Duration = Duration::from_secs(24 * 3600);

impl ImageStore {
    /// Frees unreferenced layers and blobs, now or when work in progress ends. Answers the bytes
    /// freed now.
    pub(crate) fn collect(&self) -> Result<u64> {
        let Some(_collecting) = self.0.gate.try_collect() else {
            return Ok(0);
        };
        let mut freed = 0;
        let state = self.0.db.read().clone();
        let mut layers: BTreeSet<String> = self.0.snapshots.held_layers()?.into_iter().collect();
        layers.extend(state.images.values().flat_map(|r| r.layers.iter().map(|l| l.key.clone())));
        for meta in self.0.layers.all() {
            if !layers.contains(&meta.layer.key) {
                freed += self.0.layers.delete(&meta.layer.key)?;
            }
        }
        let held = self.held_blobs(&state);
        for (digest, _) in self.0.blobs.list()? {
            if !held.contains(&digest) {
                freed += self.0.blobs.delete(&digest)?;
            }
        }
        Ok(freed)
    }

    /// To be called after work in progress: does the collection that had to wait for it.
    pub(crate) fn collect_if_wanted(&self) {
        if self.0.gate.take_wish()
            && let Err(e) = self.collect()
        {
            tracing::error!("cannot free unreferenced images: {e}");
        }
    }

    /// What a crash left: temporary files go, old partial downloads too, then a collection.
    pub(crate) fn recover(&self) -> Result<()> {
        for (path, _) in self.0.blobs.partials()? {
            let resumable = path.extension().is_some_and(|e| e == "part" || e == "pull");
            if !resumable || age(&path) > PARTIAL_AGE {
                remove_any(&path)?;
            }
        }
        self.collect().map(|_| ())
    }

    pub(crate) fn drop_partials(&self) -> Result<u64> {
        let Some(_collecting) = self.0.gate.try_collect() else {
            return Ok(0);
        };
        let mut freed = 0;
        for (path, size) in self.0.blobs.partials()? {
            remove_any(&path)?;
            freed += size;
        }
        Ok(freed)
    }

    /// Every byte under the root.
    pub fn usage(&self) -> Result<StoreUsage> {
        let mut usage = StoreUsage {
            blobs: self.0.blobs.list()?.iter().map(|(_, size)| size).sum(),
            layers: self.0.layers.all().iter().map(|m| m.layer.size).sum(),
            partials: self.0.blobs.partials()?.iter().map(|(_, size)| size).sum(),
            snapshots: 0,
        };
        for key in self.0.snapshots.keys() {
            usage.snapshots += self.0.snapshots.usage(&key).map_or(0, |u| u.bytes);
        }
        Ok(usage)
    }

    fn held_blobs(&self, state: &State) -> BTreeSet<Digest> {
        let mut held = BTreeSet::new();
        for (id, record) in &state.images {
            held.insert(id.clone());
            self.hold_document(&record.manifest.digest, &mut held);
        }
        for name in state.names.values() {
            self.hold_document(&name.target, &mut held);
        }
        for repo in state.repos.values() {
            held.extend(repo.blobs.iter().cloned());
            for digest in repo.manifests.keys() {
                self.hold_document(digest, &mut held);
            }
        }
        held.extend(self.0.layers.all().into_iter().filter_map(|m| m.packed).map(|d| d.digest));
        held.extend(self.pinned_by_pulls());
        held
    }

    /// A manifest or index with everything it points at that is here.
    fn hold_document(&self, digest: &Digest, held: &mut BTreeSet<Digest>) {
        if !held.insert(digest.clone()) {
            return;
        }
        let Ok(bytes) = self.blob(digest) else { return };
        match Document::parse("", &bytes) {
            Ok(Document::Manifest(m)) => {
                held.insert(m.config.digest);
                held.extend(m.layers.into_iter().map(|l| l.digest));
            }
            Ok(Document::Index(index)) => {
                for child in index.manifests.iter().filter(|c| self.0.blobs.has(&c.digest)) {
                    self.hold_document(&child.digest, held);
                }
            }
            Err(_) => {}
        }
    }

    /// Blobs of interrupted pulls: whole, but nothing refers to them yet.
    fn pinned_by_pulls(&self) -> BTreeSet<Digest> {
        let partials = self.0.blobs.partials().unwrap_or_default();
        let lists = partials.iter().filter(|(p, _)| p.extension().is_some_and(|e| e == "pull"));
        let read = |(path, _): &(std::path::PathBuf, u64)| {
            let bytes = std::fs::read(path).ok()?;
            serde_json::from_slice::<Vec<Digest>>(&bytes).ok()
        };
        lists.filter_map(read).flatten().collect()
    }
}

fn age(path: &Path) -> Duration {
    let modified = std::fs::metadata(path).and_then(|m| m.modified()).unwrap_or(SystemTime::now());
    SystemTime::now().duration_since(modified).unwrap_or_default()
}
