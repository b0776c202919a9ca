//! Which images there are, what they are called, and what the registry holds: `images.json`.
//!
//! Small and rewritten whole (atomic rename, synced), so a crash leaves the old or the new state.

use crate::error::Doing as _;
use crate::{Error, ImageId, Layer, Result};
use oci::{Descriptor, Digest, Reference};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

#[derive(Debug)]
pub(crate) struct Db {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub images: BTreeMap<ImageId, Record>,
    /// Key: a full reference with a tag or a digest.
    pub names: BTreeMap<String, Name>,
    /// Content pushed to the built-in registry, by repository path.
    #[serde(default)]
    pub repos: BTreeMap<String, Repo>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub manifest: Descriptor,
    /// Bottom first.
    pub layers: Vec<Layer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ImageId>,
    #[serde(default)]
    pub last_tagged: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Name {
    pub image: ImageId,
    /// The index or manifest the registry calls so.
    pub target: Digest,
}

/// One repository of the built-in registry.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Repo {
    pub tags: BTreeMap<String, Digest>,
    /// Media types by digest.
    pub manifests: BTreeMap<Digest, String>,
    /// Blobs that were uploaded or mounted here.
    pub blobs: BTreeSet<Digest>,
}

impl Db {
    pub fn open(root: &Path) -> Result<Self> {
        let path = root.join("images.json");
        let state = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|e| Error::internal(format!("{} is damaged: {e}", path.display())))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => State::default(),
            Err(e) => return Err(e).at("cannot read", &path),
        };
        Ok(Self { path, state: Mutex::new(state) })
    }

    pub fn read(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }

    pub fn image(&self, id: &ImageId) -> Result<Record> {
        self.read().images.get(id).cloned().ok_or_else(|| Error::no_such_image(id.as_str()))
    }

    /// Changes the state; it is on disk before anyone sees it.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.read();
        let mut next = state.clone();
        let answer = change(&mut next)?;
        self.write(&next)?;
        *state = next;
        Ok(answer)
    }

    fn write(&self, state: &State) -> Result<()> {
        let bytes = serde_json::to_vec(state).expect("plain data");
        let tmp = self.path.with_extension("new");
        let mut file = File::create(&tmp).at("cannot write", &tmp)?;
        file.write_all(&bytes).at("cannot write", &tmp)?;
        file.sync_data().at("cannot write", &tmp)?;
        fs::rename(&tmp, &self.path).at("cannot write", &self.path)?;
        crate::content::sync(self.path.parent().expect("it lies in the store's folder"))
    }
}

impl State {
    /// All names of an image, sorted.
    pub fn names_of(&self, id: &ImageId) -> Vec<Reference> {
        let rows = self.names.iter().filter(|(_, n)| n.image == *id);
        rows.filter_map(|(text, _)| Reference::parse(text).ok()).collect()
    }

    pub fn set_name(&mut self, name: &Reference, image: &ImageId, target: &Digest) {
        let row = Name { image: image.clone(), target: target.clone() };
        self.names.insert(name.to_string(), row);
        if let Some(record) = self.images.get_mut(image) {
            record.last_tagged = now();
        }
    }

    pub fn children(&self, id: &ImageId) -> bool {
        self.images.values().any(|r| r.parent.as_ref() == Some(id))
    }

    /// The image behind a user's text; see `resolve`.
    pub fn find(&self, text: &str) -> Result<ImageId> {
        let missing = || Error::no_such_image(&display_name(text));
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let is_hex = !hex.is_empty() && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if is_hex && hex.len() == 64 {
            let id = Digest::from_sha256_hex(hex).map_err(|_| missing())?;
            return if self.images.contains_key(&id) { Ok(id) } else { Err(missing()) };
        }
        if !text.starts_with("sha256:") {
            let parsed = Reference::parse_tagged(text)?;
            let key = match parsed.digest() {
                Some(digest) => parsed.with_digest(digest.clone()).to_string(),
                None => parsed.to_string(),
            };
            if let Some(name) = self.names.get(&key) {
                return Ok(name.image.clone());
            }
        }
        let mut hits = self.images.keys().filter(|id| is_hex && id.hex().starts_with(hex));
        match (hits.next(), hits.next()) {
            (Some(id), None) => Ok(id.clone()),
            (Some(_), Some(_)) => Err(Error::invalid(format!(
                "ambiguous image ID prefix {text}: several images begin so"
            ))),
            _ => Err(missing()),
        }
    }
}

/// `busybox` is reported as `busybox:latest`, as Docker does.
fn display_name(text: &str) -> String {
    match Reference::parse_tagged(text) {
        Ok(reference) if !text.starts_with("sha256:") => reference.familiar(),
        _ => text.into(),
    }
}

pub(crate) fn now() -> String {
    jiff::Timestamp::now().to_string()
}
