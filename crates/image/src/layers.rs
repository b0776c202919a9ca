//! Unpacked layers: `layers/<key>/` is the folder overlayfs mounts, `layers/<key>.json` says what
//! it is. Short names keep mount options within a page on kernels without `lowerdir+`.

use crate::content::random_name;
use crate::error::Doing as _;
use crate::unpack::{Outcome, UnpackOptions, Unpacked, Whiteouts, unpack_layer};
use crate::{Error, Layer, Result, RootfsSpec, codec};
use oci::{Algorithm, Descriptor, Digest, Hasher};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A layer on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LayerMeta {
    #[serde(flatten)]
    pub layer: Layer,
    /// For a layer that leans on the ones below: their chain ID with this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Digest>,
    pub inodes: u64,
    /// Printing the folder gives the tar with this diff ID again, so no archive is kept.
    pub printable: bool,
    /// A compressed blob of it that was made for a push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packed: Option<Descriptor>,
}

/// All layers. The map mirrors the folder and can be rebuilt from it.
#[derive(Debug)]
pub(crate) struct Layers {
    root: PathBuf,
    known: Mutex<BTreeMap<String, LayerMeta>>,
}

impl Layers {
    /// Reads what is there; frees what a crash left half done.
    pub fn open(root: &Path) -> Result<Self> {
        let root = root.join("layers");
        fs::create_dir_all(&root).at("cannot make", &root)?;
        // An unpacking that was killed may have left its overlay mounted.
        crate::unmount_leftovers(&root, |_| true);
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(&root).at("cannot list", &root)? {
            names
                .insert(entry.at("cannot list", &root)?.file_name().to_string_lossy().into_owned());
        }
        let mut known = BTreeMap::new();
        for name in &names {
            let key = name.strip_suffix(".json").unwrap_or(name);
            let whole = names.contains(key) && names.contains(&format!("{key}.json"));
            match whole.then(|| read_meta(&root, key)).flatten() {
                Some(meta) => {
                    known.insert(key.to_owned(), meta);
                }
                None => remove_any(&root.join(name))?,
            }
        }
        Ok(Self { root, known: Mutex::new(known) })
    }

    pub fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    pub fn get(&self, key: &str) -> Option<LayerMeta> {
        self.known.lock().expect("no panic while held").get(key).cloned()
    }

    pub fn all(&self) -> Vec<LayerMeta> {
        self.known.lock().expect("no panic while held").values().cloned().collect()
    }

    /// An unpacked layer with this diff ID that can stand above `chain`'s other layers.
    pub fn find(&self, diff_id: &Digest, chain: &Digest) -> Option<LayerMeta> {
        let alone = self.get(&key_of(diff_id, None)).filter(|m| m.layer.diff_id == *diff_id);
        let chained =
            || self.get(&key_of(diff_id, Some(chain))).filter(|m| m.chain.as_ref() == Some(chain));
        // A crash may have left a layer without its archive; it is unpacked again.
        alone.or_else(chained).filter(|m| m.printable || m.packed.is_some())
    }

    /// A layer whose tar can be printed from its folder.
    pub fn printable(&self, diff_id: &Digest) -> Option<LayerMeta> {
        self.get(&key_of(diff_id, None)).filter(|m| m.layer.diff_id == *diff_id && m.printable)
    }

    /// A folder to unpack into, on the same file system.
    pub fn scratch(&self) -> Result<Scratch> {
        let path = self.root.join(format!("tmp-{}", random_name()));
        fs::create_dir(&path).at("cannot make", &path)?;
        Ok(Scratch(path))
    }

    /// Publishes a folder as a layer; when the same layer is already there, that one is kept.
    pub fn adopt(&self, folder: &Path, meta: LayerMeta) -> Result<Layer> {
        let key = meta.layer.key.clone();
        let mut known = self.known.lock().expect("no panic while held");
        if let Some(there) = known.get(&key) {
            if there.layer.diff_id != meta.layer.diff_id {
                return Err(Error::internal(format!("layer key {key} is taken by another layer")));
            }
            remove_any(folder)?;
            return Ok(there.layer.clone());
        }
        fs::rename(folder, self.path(&key)).at("cannot publish the layer", folder)?;
        self.write_meta(&meta)?;
        let layer = meta.layer.clone();
        known.insert(key, meta);
        Ok(layer)
    }

    /// Remembers the compressed form of a layer.
    pub fn set_packed(&self, key: &str, packed: Descriptor) -> Result<()> {
        let mut known = self.known.lock().expect("no panic while held");
        if let Some(meta) = known.get_mut(key) {
            meta.packed = Some(packed);
            self.write_meta(meta)?;
        }
        Ok(())
    }

    /// Remembers that printing the folder gives the layer's own tar.
    pub fn set_printable(&self, key: &str) -> Result<()> {
        let mut known = self.known.lock().expect("no panic while held");
        if let Some(meta) = known.get_mut(key) {
            meta.printable = true;
            self.write_meta(meta)?;
        }
        Ok(())
    }

    /// Frees a layer; answers its bytes.
    pub fn delete(&self, key: &str) -> Result<u64> {
        let mut known = self.known.lock().expect("no panic while held");
        let Some(meta) = known.remove(key) else {
            return Ok(0);
        };
        let trash = self.root.join(format!("tmp-{}", random_name()));
        fs::remove_file(self.root.join(format!("{key}.json"))).at("cannot delete layer", &trash)?;
        fs::rename(self.path(key), &trash).at("cannot delete the layer", &self.path(key))?;
        drop(known);
        remove_any(&trash)?;
        Ok(meta.layer.size)
    }

    fn write_meta(&self, meta: &LayerMeta) -> Result<()> {
        let path = self.root.join(format!("{}.json", meta.layer.key));
        let bytes = serde_json::to_vec(meta).expect("plain data");
        write_atomic(&path, &bytes)
    }

    /// The mount of these layers, bottom first. A layer that comes twice is mounted once, at its topmost place,
    /// which shows the same: overlayfs refuses one folder twice (ELOOP).
    pub fn spec(&self, layers: &[Layer]) -> RootfsSpec {
        let mut lower: Vec<PathBuf> = Vec::with_capacity(layers.len());
        for layer in layers.iter().rev() {
            let path = self.path(&layer.key);
            if !lower.contains(&path) {
                lower.push(path);
            }
        }
        RootfsSpec { lower, upper: None, work: None }
    }

    /// Unpacks one layer. `packed` is opened anew when the layer turns out to need `below`
    /// (bottom first), which must then be complete.
    pub fn unpack(
        &self,
        packed: &mut (dyn Read + Send),
        place: &Place<'_>,
    ) -> Result<Option<Layer>> {
        let scratch = self.scratch()?;
        let style = if place.lowest { Whiteouts::Lowest } else { Whiteouts::Overlay };
        let (outcome, sums) = unpack_hashed(packed, &scratch.0, style)?;
        let Outcome::Done(done) = outcome else {
            return Ok(None);
        };
        self.publish(&scratch, &done, sums, place, None).map(Some)
    }

    /// Applies one layer to the mounted layers below it.
    pub fn unpack_above(
        &self,
        packed: &mut (dyn Read + Send),
        place: &Place<'_>,
        below: &[Layer],
        chain: &Digest,
    ) -> Result<Layer> {
        let scratch = self.scratch()?;
        let side = self.scratch()?;
        let (work, target) = (side.0.join("w"), side.0.join("m"));
        for folder in [&work, &target] {
            fs::create_dir(folder).at("cannot make", folder)?;
        }
        let mut spec = self.spec(below);
        (spec.upper, spec.work) = (Some(scratch.0.clone()), Some(work));
        crate::mount(&spec, &target)?;
        let result = unpack_hashed(packed, &target, Whiteouts::Apply);
        let unmounted = crate::unmount(&target);
        let (outcome, sums) = result?;
        unmounted?;
        match outcome {
            Outcome::Done(done) => self.publish(&scratch, &done, sums, place, Some(chain)),
            Outcome::NeedsLower => Err(Error::internal("an applied layer cannot need lower ones")),
        }
    }

    fn publish(
        &self,
        scratch: &Scratch,
        done: &Unpacked,
        (diff_id, tar_size): (Digest, u64),
        place: &Place<'_>,
        chain: Option<&Digest>,
    ) -> Result<Layer> {
        if place.diff_id.is_some_and(|want| *want != diff_id) {
            return Err(Error::invalid(format!(
                "layer's uncompressed digest is {diff_id}, the image says {}",
                place.diff_id.expect("just checked")
            )));
        }
        let layer = Layer { key: key_of(&diff_id, chain), diff_id, size: done.bytes, tar_size };
        let meta = LayerMeta {
            layer,
            chain: chain.cloned(),
            inodes: done.inodes,
            printable: false,
            packed: None,
        };
        self.adopt(&scratch.0, meta)
    }
}

/// What is known about a layer before it is unpacked.
pub(crate) struct Place<'a> {
    /// Checked when given.
    pub diff_id: Option<&'a Digest>,
    pub lowest: bool,
}

/// A folder name from a digest: 16 hexadecimal characters, marked when it depends on the chain.
pub(crate) fn key_of(diff_id: &Digest, chain: Option<&Digest>) -> String {
    match chain {
        None => diff_id.hex()[..16].to_owned(),
        Some(chain) => format!("c{}", &chain.hex()[..16]),
    }
}

/// A temporary folder that disappears unless it was renamed.
pub(crate) struct Scratch(pub PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(e) = remove_any(&self.0) {
            tracing::warn!("{e}");
        }
    }
}

fn read_meta(root: &Path, key: &str) -> Option<LayerMeta> {
    let bytes = fs::read(root.join(format!("{key}.json"))).ok()?;
    serde_json::from_slice::<LayerMeta>(&bytes).ok().filter(|m| m.layer.key == key)
}

/// Removes a file or folder with all it contains; nothing there is fine.
pub(crate) fn remove_any(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).at("cannot remove", path),
        _ => Ok(()),
    }
}

/// Replaces a small file at once: after a crash or a power cut it is the old one or the new one.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let tmp = path.with_extension("new");
    fs::write(&tmp, bytes).at("cannot write", &tmp)?;
    crate::content::sync(&tmp)?;
    fs::rename(&tmp, path).at("cannot write", path)
}

/// Decompresses, hashes and unpacks, each on its own thread. Answers diff ID and tar length.
pub(crate) fn unpack_hashed(
    packed: &mut (dyn Read + Send),
    root: &Path,
    style: Whiteouts,
) -> Result<(Outcome, (Digest, u64))> {
    std::thread::scope(|scope| {
        let (sender, chunks) = std::sync::mpsc::sync_channel(8);
        let feeder = scope.spawn(move || feed(packed, &sender));
        let mut stream = Chunks { chunks, current: Vec::new(), at: 0, failed: false };
        let mut tee = Tee { inner: &mut stream, hasher: Hasher::new(Algorithm::Sha256), size: 0 };
        let result = unpack_layer(&mut tee, root, &UnpackOptions::new(style));
        let sums = (tee.hasher.finish(), tee.size);
        drop(stream);
        let fed = feeder.join().map_err(|_| Error::internal("decompression panicked"))?;
        match (result, fed) {
            // A broken stream explains a broken archive better than the archive does.
            (_, Err(e)) => Err(e),
            (Err(e), Ok(())) => Err(e),
            (Ok(outcome), Ok(())) => Ok((outcome, sums)),
        }
    })
}

type Chunk = Vec<u8>;

/// Sends the decompressed stream in chunks; an empty chunk is its end.
fn feed(packed: &mut (dyn Read + Send), sender: &std::sync::mpsc::SyncSender<Chunk>) -> Result<()> {
    let mut plain = codec::decoder(packed)?;
    loop {
        let mut chunk = vec![0; 256 << 10];
        let mut filled = 0;
        while filled < chunk.len() {
            match plain.read(&mut chunk[filled..]).doing("reading the layer")? {
                0 => break,
                n => filled += n,
            }
        }
        chunk.truncate(filled);
        // The receiver is gone when unpacking failed; its error is the one that counts.
        if sender.send(chunk).is_err() || filled == 0 {
            return Ok(());
        }
    }
}

struct Chunks {
    chunks: std::sync::mpsc::Receiver<Chunk>,
    current: Chunk,
    at: usize,
    failed: bool,
}

impl Read for Chunks {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.current.len() && !self.failed {
            match self.chunks.recv() {
                Ok(chunk) => (self.current, self.at) = (chunk, 0),
                Err(_) => {
                    self.failed = true;
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
            if self.current.is_empty() {
                self.failed = true;
            }
        }
        let n = buf.len().min(self.current.len() - self.at);
        buf[..n].copy_from_slice(&self.current[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

struct Tee<'a> {
    inner: &'a mut dyn Read,
    hasher: Hasher,
    size: u64,
}

impl Read for Tee<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let got = self.inner.read(buf)?;
        self.hasher.update(&buf[..got]);
        self.size += got as u64;
        Ok(got)
    }
}
