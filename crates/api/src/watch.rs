//! Watches: what to stream, and how each change looks to this watcher.

use crate::encode::Shape;
use crate::reply::Rope;
use meta::Resource;
use std::sync::Arc;
use store::{Change, Object};

/// A watch for a face to carry out: send [`WatchPlan::initial`], then every frame that
/// [`WatchPlan::encode`] makes of the changes after [`WatchPlan::after`].
#[derive(Debug)]
pub struct WatchPlan {
    /// Changes of other resources need not be offered.
    pub resource: Resource,
    /// `None` watches all namespaces.
    pub namespace: Option<String>,
    /// The revision whose successors are streamed.
    pub after: u64,
    /// Close the stream cleanly after this many seconds; `None` leaves it to the server (30 to 60 minutes).
    pub timeout_secs: Option<u64>,
    /// Whether the client wants bookmarks (about once a minute).
    pub bookmarks: bool,
    pub content_type: String,
    pub(crate) initial: Vec<Arc<Object>>,
    pub(crate) shape: Shape,
}

impl WatchPlan {
    /// The frames to send at once: synthetic `ADDED`s, and the bookmark that ends them when asked for.
    pub fn initial(&self) -> Vec<Rope> {
        let _ = (&self.initial, &self.shape);
        Vec::new()
    }

    /// The frame of a change, or `None` when it is invisible to this watcher.
    pub fn encode(&self, _change: &Change) -> Option<Rope> {
        None
    }

    /// A bookmark at `revision`: everything up to it has been sent.
    pub fn bookmark(&self, _revision: u64) -> Rope {
        Rope::default()
    }

    /// The `ERROR` frame (410 Expired) that ends a watch which fell behind the history.
    pub fn expired(&self) -> Rope {
        Rope::default()
    }
}
