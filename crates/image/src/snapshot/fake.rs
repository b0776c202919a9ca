//! A snapshotter in memory, for simulations. The same tests run on it and on the real one.

use super::{Snapshotter, check_key, missing, taken};
use crate::{After, Base, Change, ChangeKind, Error, ImageId, Layer, Result, RootfsSpec, Usage};
use oci::Digest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// File contents by path; `None` is a deletion.
type Changes = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// Files only, no attributes. Images are registered with [`FakeSnapshots::add_image`].
#[derive(Default)]
pub struct FakeSnapshots(Mutex<State>);

#[derive(Default)]
struct State {
    images: BTreeMap<ImageId, Vec<Layer>>,
    layers: BTreeMap<String, Changes>,
    snapshots: BTreeMap<String, Snapshot>,
}

struct Snapshot {
    layers: Vec<Layer>,
    /// `None` when read-only.
    changes: Option<Changes>,
}

impl FakeSnapshots {
    pub fn add_image(&self, id: ImageId, layers: Vec<Layer>) {
        self.state().images.insert(id, layers);
    }

    /// What a container would do by writing a file.
    pub fn write(&self, key: &str, path: &Path, bytes: &[u8]) -> Result<()> {
        self.change(key, path, Some(bytes.to_vec()))
    }

    /// What a container would do by deleting a file.
    pub fn delete(&self, key: &str, path: &Path) -> Result<()> {
        self.change(key, path, None)
    }

    /// What a container would read.
    pub fn read(&self, key: &str, path: &Path) -> Result<Option<Vec<u8>>> {
        let state = self.state();
        let snapshot = state.snapshots.get(key).ok_or_else(|| missing(key))?;
        if let Some(seen) = snapshot.changes.as_ref().and_then(|c| c.get(path)) {
            return Ok(seen.clone());
        }
        Ok(state.below(&snapshot.layers, path).cloned())
    }

    fn change(&self, key: &str, path: &Path, bytes: Option<Vec<u8>>) -> Result<()> {
        let mut state = self.state();
        let snapshot = state.snapshots.get_mut(key).ok_or_else(|| missing(key))?;
        let changes = snapshot.changes.as_mut().ok_or_else(|| read_only(key))?;
        changes.insert(path.into(), bytes);
        Ok(())
    }

    fn make(&self, key: &str, base: &Base, changes: Option<Changes>) -> Result<RootfsSpec> {
        check_key(key)?;
        let mut state = self.state();
        let layers = match base {
            Base::Scratch => Vec::new(),
            Base::Layers(layers) => layers.clone(),
            Base::Image(id) => {
                state.images.get(id).cloned().ok_or_else(|| Error::no_such_image(id.as_str()))?
            }
        };
        if let Some(gone) = layers.iter().find(|l| !state.layers.contains_key(&l.key)) {
            return Err(Error::not_found(format!("layer {} does not exist", gone.diff_id)));
        }
        if state.snapshots.contains_key(key) {
            return Err(taken(key));
        }
        state.snapshots.insert(key.into(), Snapshot { layers, changes });
        drop(state);
        self.get(key)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no panic while held")
    }
}

impl State {
    fn below(&self, layers: &[Layer], path: &Path) -> Option<&Vec<u8>> {
        let top_first = layers.iter().rev().filter_map(|l| self.layers.get(&l.key));
        top_first.filter_map(|l| l.get(path)).next().and_then(Option::as_ref)
    }

    fn diff(&self, snapshot: &Snapshot) -> Vec<Change> {
        let rows = snapshot.changes.iter().flatten().filter_map(|(path, bytes)| {
            let below = self.below(&snapshot.layers, path).is_some();
            let kind = match (below, bytes) {
                (false, None) => return None,
                (true, None) => ChangeKind::Deleted,
                (false, Some(_)) => ChangeKind::Added,
                (true, Some(_)) => ChangeKind::Modified,
            };
            Some(Change { path: path.clone(), kind })
        });
        rows.collect()
    }
}

fn read_only(key: &str) -> Error {
    Error::conflict(format!("snapshot {key} is read-only"))
}

impl Snapshotter for FakeSnapshots {
    fn prepare(&self, key: &str, base: &Base) -> Result<RootfsSpec> {
        self.make(key, base, Some(Changes::new()))
    }

    fn view(&self, key: &str, base: &Base) -> Result<RootfsSpec> {
        self.make(key, base, None)
    }

    fn persist(&self, key: &str) -> Result<()> {
        self.get(key).map(drop)
    }

    fn get(&self, key: &str) -> Result<RootfsSpec> {
        let state = self.state();
        let snapshot = state.snapshots.get(key).ok_or_else(|| missing(key))?;
        let layer = |l: &Layer| Path::new("/fake/layers").join(&l.key);
        let mut lower: Vec<_> = snapshot.layers.iter().rev().map(layer).collect();
        for _ in lower.len()..if snapshot.changes.is_some() { 1 } else { 2 } {
            lower.push("/fake/empty".into());
        }
        let part = |p: &str| Path::new("/fake/snapshots").join(key).join(p);
        let writable = snapshot.changes.is_some();
        Ok(RootfsSpec {
            lower,
            upper: writable.then(|| part("u")),
            work: writable.then(|| part("w")),
        })
    }

    fn remove(&self, key: &str) -> Result<()> {
        check_key(key)?;
        self.state().snapshots.remove(key);
        Ok(())
    }

    fn keys(&self) -> Vec<String> {
        self.state().snapshots.keys().cloned().collect()
    }

    fn usage(&self, key: &str) -> Result<Usage> {
        let state = self.state();
        let snapshot = state.snapshots.get(key).ok_or_else(|| missing(key))?;
        let files = snapshot.changes.iter().flatten();
        let mut usage = Usage::default();
        for (_, bytes) in files {
            usage.inodes += 1;
            usage.bytes += bytes.as_ref().map_or(0, |b| b.len() as u64);
        }
        Ok(usage)
    }

    fn diff(&self, key: &str) -> Result<Vec<Change>> {
        let state = self.state();
        Ok(state.diff(state.snapshots.get(key).ok_or_else(|| missing(key))?))
    }

    fn commit(&self, key: &str, after: After) -> Result<Layer> {
        let mut state = self.state();
        let snapshot = state.snapshots.get(key).ok_or_else(|| missing(key))?;
        let changes = snapshot.changes.clone().ok_or_else(|| read_only(key))?;
        let text = format!("{changes:?}");
        let diff_id = Digest::sha256(text.as_bytes());
        let size = changes.values().flatten().map(|b| b.len() as u64).sum();
        let key_of_layer = crate::layers::key_of(&diff_id, None);
        let layer = Layer { diff_id, key: key_of_layer.clone(), size, tar_size: text.len() as u64 };
        state.layers.insert(key_of_layer, changes);
        if after == After::Consume {
            state.snapshots.remove(key);
        }
        Ok(layer)
    }
}
