//! What the store is asked for and what it answers.

use oci::{Descriptor, Digest, ImageConfig, Platform, Reference};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The digest of an image's config: what `docker images` shows as its ID.
pub type ImageId = Digest;

/// One layer of an image as it lies on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Names the layer's folder; equal for equal folders.
    pub key: String,
    /// Bytes of its files.
    pub size: u64,
    /// Length of the uncompressed tar.
    pub tar_size: u64,
}

/// An image with everything `inspect`, `list` and `history` show.
#[derive(Debug, Clone)]
pub struct Image {
    pub id: ImageId,
    pub config: Arc<ImageConfig>,
    /// The manifest of this image, as pulled or as made here.
    pub manifest: Descriptor,
    /// Bottom first.
    pub layers: Vec<Layer>,
    /// `RepoTags`: names with tags.
    pub tags: Vec<Reference>,
    /// `RepoDigests`: names with digests.
    pub digests: Vec<Reference>,
    /// The image this one was built on (`Parent`), when built here.
    pub parent: Option<ImageId>,
    /// Sum of the layers' bytes.
    pub size: u64,
    /// RFC 3339, when it was last given a name; empty if never.
    pub last_tagged: String,
}

/// One row of `docker history`, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRow {
    /// The image ID on the newest row, else `None` (`<missing>`).
    pub id: Option<ImageId>,
    pub created: String,
    pub created_by: String,
    pub comment: String,
    pub tags: Vec<Reference>,
    pub size: u64,
}

/// One line of the answer to an image removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A familiar name, `busybox:latest`.
    Untagged(String),
    /// An image ID or, for intermediate data, a layer's digest.
    Deleted(Digest),
}

/// Whether a removal may break what still refers to the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    No,
    Yes,
}

/// What to make an image of.
#[derive(Debug, Clone)]
pub struct NewImage {
    /// `rootfs` and empty fields `os`, `architecture`, `created` are filled in.
    pub config: ImageConfig,
    /// Bottom first.
    pub layers: Vec<Layer>,
    pub parent: Option<ImageId>,
    pub names: Vec<Reference>,
}

/// What a snapshot starts from.
#[derive(Debug, Clone, PartialEq)]
pub enum Base {
    Scratch,
    Image(ImageId),
    /// Bottom first.
    Layers(Vec<Layer>),
}

/// The directories of a root file system; mount them with [`crate::mount`] or your own overlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootfsSpec {
    /// Top first, as overlayfs wants them. May be empty (scratch).
    pub lower: Vec<PathBuf>,
    /// Where writes go; `None` for a read-only view.
    pub upper: Option<PathBuf>,
    /// Overlayfs' own folder; beside every `upper`.
    pub work: Option<PathBuf>,
}

/// How `docker diff` classifies a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    Modified = 0,
    Added = 1,
    Deleted = 2,
}

/// One line of `docker diff`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Absolute inside the container.
    pub path: PathBuf,
    pub kind: ChangeKind,
}

/// Bytes and inodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    pub inodes: u64,
}

/// What a snapshot is after a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It stays usable; its changes are copied.
    Keep,
    /// It is gone; its upper directory became the layer (nothing is copied). It must be unmounted.
    Consume,
}

/// Every byte under the store's root, by owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreUsage {
    /// Manifests, configs, compressed layers and registry content.
    pub blobs: u64,
    /// Unpacked layers, as the store counts them (`LayersSize`).
    pub layers: u64,
    pub snapshots: u64,
    /// Unfinished downloads and uploads.
    pub partials: u64,
}

/// A line of progress, in Docker's shape (`jsonmessage.JSONMessage`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    /// Short layer ID or tag; `None` for lines about the whole.
    pub id: Option<String>,
    pub status: String,
    /// Bytes done and, if known, of how many.
    pub current: Option<u64>,
    pub total: Option<u64>,
    /// Data for programs (`aux`).
    pub aux: Option<serde_json::Value>,
}

/// Where progress goes. Cheap to clone; with [`Reporter::none`] nothing is recorded.
#[derive(Debug, Clone)]
pub struct Reporter(Option<mpsc::UnboundedSender<Progress>>);

impl Reporter {
    pub fn none() -> Self {
        Self(None)
    }

    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Progress>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(Some(sender)), receiver)
    }

    pub(crate) fn send(&self, progress: Progress) {
        if let Some(sender) = &self.0 {
            // A listener that went away does not stop the work; cancelling does.
            let _ = sender.send(progress);
        }
    }

    pub(crate) fn status(&self, status: impl Into<String>) {
        self.send(Progress { status: status.into(), ..Progress::default() });
    }

    pub(crate) fn layer(&self, id: &str, status: &str) {
        self.send(Progress { id: Some(id.into()), status: status.into(), ..Progress::default() });
    }

    pub(crate) fn bytes(&self, id: &str, status: &str, current: u64, total: u64) {
        self.send(Progress {
            id: Some(id.into()),
            status: status.into(),
            current: Some(current),
            total: (total > 0).then_some(total),
            aux: None,
        });
    }
}

impl Progress {
    /// The object Docker's clients read: `status`, `id`, `progressDetail`, `progress`, `aux`.
    pub fn to_json(&self) -> serde_json::Value {
        let mut object = serde_json::Map::new();
        if let Some(aux) = &self.aux {
            object.insert("progressDetail".into(), serde_json::json!({}));
            object.insert("aux".into(), aux.clone());
            return object.into();
        }
        object.insert("status".into(), self.status.clone().into());
        if let Some(id) = &self.id {
            object.insert("id".into(), id.clone().into());
            object.insert("progressDetail".into(), serde_json::json!({}));
        }
        if let Some(current) = self.current {
            let mut detail = serde_json::json!({ "current": current });
            if let Some(total) = self.total {
                detail["total"] = total.into();
            }
            object.insert("progressDetail".into(), detail);
            object.insert("progress".into(), crate::bar::text(current, self.total).into());
        }
        object.into()
    }
}

/// What to pull.
#[derive(Debug, Clone)]
pub struct PullRequest {
    pub reference: Reference,
    /// `None`: the host's.
    pub platform: Option<Platform>,
    /// Credentials of the caller; `None` looks into docker's config file.
    pub auth: Option<crate::Credentials>,
    pub reporter: Reporter,
}

/// What to push.
#[derive(Debug, Clone)]
pub struct PushRequest {
    /// With a tag; the local image of that name is pushed under it.
    pub reference: Reference,
    pub auth: Option<crate::Credentials>,
    pub reporter: Reporter,
}

/// What a pull brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    pub id: ImageId,
    /// What the registry calls it: digest of the index or manifest behind the name.
    pub digest: Digest,
    /// False when everything was already here.
    pub downloaded: bool,
}

/// What a push left in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    pub digest: Digest,
    pub size: u64,
}

/// An image that `load` brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub id: ImageId,
    /// Empty when the archive names none.
    pub names: Vec<Reference>,
}
