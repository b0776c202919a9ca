//! The image store: names, images, layers and blobs of one data directory.

use crate::content::Blobs;
use crate::db::{Db, Record, State};
use crate::error::Doing as _;
use crate::gate::Gate;
use crate::layers::Layers;
use crate::snapshot::OverlaySnapshots;
use crate::{Error, HistoryRow, Image, ImageId, RegistriesConfig, Result, Snapshotter};
use oci::{Digest, History, ImageConfig, Reference};
use std::path::Path;
use std::sync::Arc;

/// Documents (manifests, configs) may be this long; containerd's and Docker's limit is 8 MiB.
pub(crate) const DOCUMENT_MAX: u64 = 8 << 20;

/// Cheap to clone; all clones are the same store. Methods without `async` block.
#[derive(Clone)]
pub struct ImageStore(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub root: std::path::PathBuf,
    pub blobs: Blobs,
    pub layers: Arc<Layers>,
    pub db: Arc<Db>,
    pub gate: Arc<Gate>,
    pub snapshots: OverlaySnapshots,
    pub registries: RegistriesConfig,
    /// Blobs and layers being fetched right now, so that nothing is fetched twice.
    pub flights: crate::flights::Flights,
}

impl ImageStore {
    /// Opens or creates the store and recovers: unfinished work of a crashed process goes away,
    /// except partial downloads, which later pulls resume.
    pub fn open(root: &Path, config: RegistriesConfig) -> Result<Self> {
        std::fs::create_dir_all(root).at("cannot make", root)?;
        let blobs = Blobs::open(root)?;
        let layers = Arc::new(Layers::open(root)?);
        let db = Arc::new(Db::open(root)?);
        let gate = Arc::new(Gate::default());
        let snapshots = OverlaySnapshots::open(root, layers.clone(), db.clone(), gate.clone())?;
        let inner = Inner {
            root: root.into(),
            blobs,
            layers,
            db,
            gate,
            snapshots,
            registries: config,
            flights: crate::flights::Flights::default(),
        };
        let store = Self(Arc::new(inner));
        store.recover()?;
        Ok(store)
    }

    /// The image behind a name, full ID, short ID or digest. `No such image: NAME`.
    pub fn resolve(&self, text: &str) -> Result<ImageId> {
        self.0.db.read().find(text)
    }

    /// The image with this ID.
    pub fn get(&self, id: &ImageId) -> Result<Image> {
        let state = self.0.db.read();
        let record = state.images.get(id).ok_or_else(|| Error::no_such_image(id.as_str()))?;
        self.view(id, record, &state)
    }

    /// All images, newest first. Images whose documents cannot be read are left out (and logged).
    pub fn list(&self) -> Vec<Image> {
        let state = self.0.db.read();
        let mut all: Vec<Image> = Vec::with_capacity(state.images.len());
        for (id, record) in &state.images {
            match self.view(id, record, &state) {
                Ok(image) => all.push(image),
                Err(e) => tracing::error!(image = %id, "unreadable image: {e}"),
            }
        }
        all.sort_by(|a, b| b.config.created.cmp(&a.config.created));
        all
    }

    fn view(&self, id: &ImageId, record: &Record, state: &State) -> Result<Image> {
        let (tags, digests) =
            state.names_of(id).into_iter().partition(|n: &Reference| n.tag().is_some());
        Ok(Image {
            id: id.clone(),
            config: Arc::new(self.config(id)?),
            manifest: record.manifest.clone(),
            size: record.layers.iter().map(|l| l.size).sum(),
            layers: record.layers.clone(),
            tags,
            digests,
            parent: record.parent.clone(),
            last_tagged: record.last_tagged.clone(),
        })
    }

    /// The parsed config of an image.
    pub fn config(&self, id: &ImageId) -> Result<ImageConfig> {
        serde_json::from_slice(&self.blob(id)?)
            .map_err(|e| Error::internal(format!("config of image {id} is damaged: {e}")))
    }

    /// `docker history`, newest first.
    pub fn history(&self, id: &ImageId) -> Result<Vec<HistoryRow>> {
        let image = self.get(id)?;
        let mut layers = image.layers.iter();
        let mut rows: Vec<HistoryRow> = Vec::new();
        for step in &image.config.history {
            let size = if step.empty_layer { 0 } else { layers.next().map_or(0, |l| l.size) };
            rows.push(history_row(step, size));
        }
        // Layers nobody wrote history for are shown too.
        rows.extend(layers.map(|l| history_row(&History::default(), l.size)));
        rows.reverse();
        if let Some(newest) = rows.first_mut() {
            (newest.id, newest.tags) = (Some(id.clone()), image.tags);
        }
        Ok(rows)
    }

    /// The bytes of a small blob (config, manifest).
    pub fn blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.0.blobs.read(digest, DOCUMENT_MAX)
    }

    /// While the answer lives, nothing unreferenced is freed. To be held from the commit of a
    /// layer until an image or a snapshot stands on it.
    pub fn hold(&self) -> Hold {
        Hold { busy: Some(self.0.gate.enter()), store: self.clone() }
    }

    pub fn snapshots(&self) -> &dyn Snapshotter {
        &self.0.snapshots
    }
}

fn history_row(step: &History, size: u64) -> HistoryRow {
    HistoryRow {
        id: None,
        created: step.created.clone(),
        created_by: step.created_by.clone(),
        comment: step.comment.clone(),
        tags: Vec::new(),
        size,
    }
}

/// See [`ImageStore::hold`].
pub struct Hold {
    busy: Option<crate::gate::Busy>,
    store: ImageStore,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.busy = None;
        self.store.collect_if_wanted();
    }
}
