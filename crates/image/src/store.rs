//! The image store: names, images, layers and blobs of one data directory.

use crate::*;
use oci::{Digest, Reference};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

fn pending<T>() -> Result<T> {
    Err(Error::internal("not implemented yet"))
}

/// Cheap to clone; all clones are the same store. Methods without `async` block.
#[derive(Clone)]
pub struct ImageStore(Arc<()>);

impl ImageStore {
    /// Opens or creates the store and recovers: unfinished work of a crashed process goes away.
    pub fn open(_root: &Path, _config: RegistriesConfig) -> Result<Self> {
        pending()
    }

    /// The image behind a name, full ID, short ID or digest. `No such image: NAME`.
    pub fn resolve(&self, _text: &str) -> Result<ImageId> {
        pending()
    }

    pub fn get(&self, _id: &ImageId) -> Result<Image> {
        pending()
    }

    /// All images, newest first.
    pub fn list(&self) -> Vec<Image> {
        Vec::new()
    }

    pub fn history(&self, _id: &ImageId) -> Result<Vec<HistoryRow>> {
        pending()
    }

    /// Gives `id` another name; a name that was taken moves.
    pub fn tag(&self, _id: &ImageId, _name: &Reference) -> Result<()> {
        pending()
    }

    /// `docker rmi TEXT`: untags, and deletes what no name holds any more.
    pub fn remove(&self, _text: &str, _force: Force) -> Result<Vec<Removed>> {
        pending()
    }

    /// Deletes images by ID with all their names, then everything unreferenced; used by prune.
    pub fn prune(&self, _ids: &[ImageId]) -> Result<(Vec<Removed>, u64)> {
        pending()
    }

    /// Registers an image made of existing layers.
    pub fn create_image(&self, _new: NewImage) -> Result<ImageId> {
        pending()
    }

    /// Unpacks a tar (plain, gzip, zstd, xz) as one new layer.
    pub fn add_layer(&self, _tar: &mut (dyn Read + Send)) -> Result<Layer> {
        pending()
    }

    /// `docker import`: a tar becomes a single-layer image. `config` carries `--change`s, author
    /// and comment already applied.
    pub fn import(
        &self,
        _tar: &mut (dyn Read + Send),
        _config: oci::ImageConfig,
        _name: Option<&Reference>,
    ) -> Result<ImageId> {
        pending()
    }

    /// `docker load`.
    pub fn load(&self, _tar: &mut (dyn Read + Send), _reporter: &Reporter) -> Result<Vec<Loaded>> {
        pending()
    }

    /// `docker save`: names or IDs into one archive.
    pub fn save(&self, _names: &[String], _out: &mut dyn Write) -> Result<()> {
        pending()
    }

    pub async fn pull(&self, _request: PullRequest) -> Result<Pulled> {
        pending()
    }

    pub async fn push(&self, _request: PushRequest) -> Result<Pushed> {
        pending()
    }

    pub fn snapshots(&self) -> &dyn Snapshotter {
        unreachable!("the store cannot be opened yet")
    }

    /// Every byte under the root.
    pub fn usage(&self) -> Result<StoreUsage> {
        pending()
    }

    /// The bytes of a small blob (config, manifest).
    pub fn blob(&self, _digest: &Digest) -> Result<Vec<u8>> {
        pending()
    }
}
