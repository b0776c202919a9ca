//! The real snapshotter: `snapshots/<key>/{u,w}` over `layers/`, and `snapshots/<key>/spec.json`.

use super::{Snapshotter, check_key, diff, missing, taken};
use crate::content::random_name;
use crate::create::printed_digest;
use crate::db::Db;
use crate::error::Doing as _;
use crate::gate::Gate;
use crate::layers::{LayerMeta, Layers, key_of, remove_any, unpack_hashed};
use crate::pack::{PackStyle, Packed, pack};
use crate::unpack::{Outcome, Whiteouts};
use crate::{After, Base, Change, Error, Layer, Result, RootfsSpec, Usage};
use oci::Digest;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::BufWriter;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Overlayfs snapshots below one store.
pub struct OverlaySnapshots {
    root: PathBuf,
    /// A folder with nothing in it: overlayfs wants at least one lower, two for a view.
    empty: PathBuf,
    layers: Arc<Layers>,
    db: Arc<Db>,
    gate: Arc<Gate>,
}

/// What `spec.json` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Spec {
    layers: Vec<Layer>,
    writable: bool,
}

impl OverlaySnapshots {
    pub(crate) fn open(
        root: &Path,
        layers: Arc<Layers>,
        db: Arc<Db>,
        gate: Arc<Gate>,
    ) -> Result<Self> {
        let (snapshots, empty) = (root.join("snapshots"), root.join("empty"));
        for folder in [&snapshots, &empty] {
            fs::create_dir_all(folder).at("cannot make", folder)?;
        }
        let this = Self { root: snapshots, empty, layers, db, gate };
        for entry in fs::read_dir(&this.root).at("cannot list", &this.root)? {
            let path = entry.at("cannot list", &this.root)?.path();
            // Being made, or on its way out.
            let half = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"-"));
            if half || !path.join("spec.json").exists() {
                remove_any(&path)?;
            }
        }
        Ok(this)
    }

    /// Keys of all layers that snapshots stand on.
    pub(crate) fn held_layers(&self) -> Result<Vec<String>> {
        let mut held = Vec::new();
        for key in self.keys() {
            held.extend(self.read(&key)?.layers.into_iter().map(|l| l.key));
        }
        Ok(held)
    }

    fn make(&self, key: &str, base: &Base, writable: bool) -> Result<RootfsSpec> {
        check_key(key)?;
        let _busy = self.gate.enter();
        let layers = match base {
            Base::Scratch => Vec::new(),
            Base::Image(id) => self.db.image(id)?.layers,
            Base::Layers(layers) => layers.clone(),
        };
        for layer in &layers {
            if self.layers.get(&layer.key).is_none() {
                return Err(Error::not_found(format!("layer {} does not exist", layer.diff_id)));
            }
        }
        let folder = self.root.join(key);
        if folder.exists() {
            return Err(taken(key));
        }
        // Written aside, then renamed: a snapshot is either whole or not there.
        let fresh = self.root.join(format!("-{}", random_name()));
        for part in ["", "u", "w"].iter().take(if writable { 3 } else { 1 }) {
            fs::create_dir(fresh.join(part)).at("cannot make", &fresh)?;
        }
        if writable {
            self.inherit_root(&layers, &fresh.join("u"))?;
        }
        let bytes = serde_json::to_vec(&Spec { layers: layers.clone(), writable }).expect("plain");
        fs::write(fresh.join("spec.json"), bytes).at("cannot write", &fresh)?;
        if let Err(e) = fs::rename(&fresh, &folder) {
            remove_any(&fresh)?;
            return if folder.exists() {
                Err(taken(key))
            } else {
                Err(e).at("cannot name", &folder)
            };
        }
        Ok(self.spec(key, &layers, writable))
    }

    /// The root folder's owner and mode come from the upper directory, not from the layers.
    fn inherit_root(&self, layers: &[Layer], upper: &Path) -> Result<()> {
        let Some(top) = layers.last() else {
            return rustix::fs::chmod(upper, 0o755.into()).at("cannot set the mode of", upper);
        };
        let path = self.layers.path(&top.key);
        let meta = fs::metadata(&path).at("cannot read", &path)?;
        let (uid, gid) = (meta.uid(), meta.gid());
        std::os::unix::fs::chown(upper, Some(uid), Some(gid)).at("cannot own", upper)?;
        rustix::fs::chmod(upper, (meta.mode() & 0o7777).into()).at("cannot set the mode of", upper)
    }

    fn spec(&self, key: &str, layers: &[Layer], writable: bool) -> RootfsSpec {
        let mut spec = self.layers.spec(layers);
        for _ in spec.lower.len()..if writable { 1 } else { 2 } {
            spec.lower.push(self.empty.clone());
        }
        if writable {
            let folder = self.root.join(key);
            (spec.upper, spec.work) = (Some(folder.join("u")), Some(folder.join("w")));
        }
        spec
    }

    fn read(&self, key: &str) -> Result<Spec> {
        check_key(key)?;
        let path = self.root.join(key).join("spec.json");
        let bytes = fs::read(&path).map_err(|_| missing(key))?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Error::internal(format!("{} is damaged: {e}", path.display())))
    }

    fn upper(&self, key: &str) -> Result<PathBuf> {
        match self.get(key)?.upper {
            Some(upper) => Ok(upper),
            None => Err(Error::conflict(format!("snapshot {key} is read-only"))),
        }
    }

    fn copy(&self, upper: &Path) -> Result<Layer> {
        let scratch = self.layers.scratch()?;
        let (mut reader, writer) = std::io::pipe().doing("cannot make a pipe")?;
        let (packed, unpacked) = std::thread::scope(|scope| {
            let print =
                || pack(upper, PackStyle::Layer, BufWriter::with_capacity(256 << 10, writer));
            let printer = scope.spawn(print);
            let unpacked = unpack_hashed(&mut reader, &scratch.0, Whiteouts::Overlay);
            drop(reader);
            (printer.join(), unpacked)
        });
        let packed = packed.map_err(|_| Error::internal("archiving panicked"))?;
        let (outcome, (diff_id, tar_size)) = unpacked?;
        let packed = packed?;
        if outcome == Outcome::NeedsLower {
            return Err(Error::internal("an upper directory cannot lean on lower ones"));
        }
        self.layers.adopt(&scratch.0, meta(diff_id, tar_size, packed))
    }
}

impl Snapshotter for OverlaySnapshots {
    fn prepare(&self, key: &str, base: &Base) -> Result<RootfsSpec> {
        self.make(key, base, true)
    }

    fn view(&self, key: &str, base: &Base) -> Result<RootfsSpec> {
        self.make(key, base, false)
    }

    fn persist(&self, key: &str) -> Result<()> {
        check_key(key)?;
        let folder = self.root.join(key);
        for path in [&folder.join("spec.json"), &folder, &self.root] {
            crate::content::sync(path)?;
        }
        Ok(())
    }

    fn get(&self, key: &str) -> Result<RootfsSpec> {
        let spec = self.read(key)?;
        Ok(self.spec(key, &spec.layers, spec.writable))
    }

    fn remove(&self, key: &str) -> Result<()> {
        check_key(key)?;
        let trash = self.root.join(format!("-{}", random_name()));
        match fs::rename(self.root.join(key), &trash) {
            Ok(()) => remove_any(&trash),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e).at("cannot remove the snapshot", &self.root.join(key)),
        }
    }

    fn keys(&self) -> Vec<String> {
        let names = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let mut keys: Vec<String> =
            names.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        keys.retain(|k| !k.starts_with('-'));
        keys.sort();
        keys
    }

    fn usage(&self, key: &str) -> Result<Usage> {
        let spec = self.read(key)?;
        let folder = self.root.join(key);
        if spec.writable { disk_usage(&folder.join("u")) } else { Ok(Usage::default()) }
    }

    fn diff(&self, key: &str) -> Result<Vec<Change>> {
        let spec = self.get(key)?;
        match &spec.upper {
            Some(upper) => diff::changes(upper, &spec.lower),
            None => Ok(Vec::new()),
        }
    }

    fn commit(&self, key: &str, after: After) -> Result<Layer> {
        let upper = self.upper(key)?;
        let _busy = self.gate.enter();
        if after == After::Keep {
            return self.copy(&upper);
        }
        let (diff_id, tar_size, packed) = printed_digest(&upper)?;
        let layer = self.layers.adopt(&upper, meta(diff_id, tar_size, packed))?;
        self.remove(key)?;
        Ok(layer)
    }
}

fn meta(diff_id: Digest, tar_size: u64, packed: Packed) -> LayerMeta {
    LayerMeta {
        layer: Layer { key: key_of(&diff_id, None), diff_id, size: packed.bytes, tar_size },
        chain: None,
        inodes: packed.inodes,
        printable: true,
        packed: None,
    }
}

/// Bytes and inodes below a folder; hard links count once.
pub(crate) fn disk_usage(folder: &Path) -> Result<Usage> {
    let mut usage = Usage::default();
    let mut todo = vec![folder.to_path_buf()];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(folder) = todo.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // Deleted by the running container while we look.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e).at("cannot list", &folder),
        };
        for entry in entries.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.nlink() > 1 && !meta.is_dir() && !seen.insert((meta.dev(), meta.ino())) {
                continue;
            }
            usage.inodes += 1;
            if meta.is_dir() {
                todo.push(entry.path());
            } else if meta.is_file() {
                usage.bytes += meta.len();
            }
        }
    }
    Ok(usage)
}
