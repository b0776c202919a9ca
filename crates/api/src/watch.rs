//! Watches: what to stream, and how each change looks to this watcher.

use crate::catalog::Served;
use crate::encode::{Encoder, chunk, partial};
use crate::negotiate::{Form, Media, Shape};
use crate::object::from_stored;
use crate::protobuf;
use crate::read::expired;
use crate::reply::{Chunk, Rope};
use crate::select::Selection;
use crate::table;
use meta::{Problem, Resource, Time, Value};
use serde_json::json;
use std::sync::Arc;
use store::{Change, Object};

/// A watch for a face to carry out: send [`WatchPlan::initial`], then every frame that
/// [`WatchPlan::encode`] makes of the changes after [`WatchPlan::after`].
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
    /// The time that ages in table rows are told against; set it before encoding.
    pub now: Time,
    pub(crate) initial: Vec<Arc<Object>>,
    /// The initial events end with an annotated bookmark.
    pub(crate) end_mark: bool,
    pub(crate) served: Arc<Served>,
    pub(crate) selection: Selection,
    pub(crate) shape: Shape,
    /// Revision of the snapshot the plan was made from.
    pub(crate) began: u64,
}

impl std::fmt::Debug for WatchPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "watch of {} after {}", self.resource, self.after)
    }
}

/// The type of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

impl Event {
    const fn text(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
            Self::Error => "ERROR",
        }
    }

    /// JSON frames are a prefix, the object, and a suffix.
    const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Added => b"{\"type\":\"ADDED\",\"object\":",
            Self::Modified => b"{\"type\":\"MODIFIED\",\"object\":",
            Self::Deleted => b"{\"type\":\"DELETED\",\"object\":",
            Self::Bookmark => b"{\"type\":\"BOOKMARK\",\"object\":",
            Self::Error => b"{\"type\":\"ERROR\",\"object\":",
        }
    }
}

impl WatchPlan {
    /// The frames to send at once: synthetic `ADDED`s, and the bookmark that ends them when asked for.
    pub fn initial(&self) -> Vec<Rope> {
        let added = self.initial.iter().map(|o| self.frame(Event::Added, o));
        let mut frames: Vec<_> = added.collect();
        if self.end_mark {
            frames.push(self.mark(self.began, json!({ "k8s.io/initial-events-end": "true" })));
        }
        frames
    }

    /// The frame of a change, or `None` when it is invisible to this watcher.
    pub fn encode(&self, change: &Change) -> Option<Rope> {
        let (event, object) = self.seen(change)?;
        match event {
            // Leaving the selection: the last version that was in it, at the revision of the change.
            Event::Deleted if !change.deletion => {
                let mut value = from_stored(&self.served, &object);
                value["metadata"]["resourceVersion"] = change.revision.to_string().into();
                Some(self.value(event, value))
            }
            _ => Some(self.frame(event, &object)),
        }
    }

    fn seen(&self, change: &Change) -> Option<(Event, Arc<Object>)> {
        let after = &change.after;
        if after.key.resource != self.resource
            || self.namespace.as_deref().is_some_and(|n| *n != *after.key.namespace)
        {
            return None;
        }
        let was = change.before.as_ref().filter(|before| self.selection.matches(before));
        if change.deletion {
            return was.map(|_| (Event::Deleted, after.clone()));
        }
        match (was, self.selection.matches(after)) {
            (None, true) => Some((Event::Added, after.clone())),
            (Some(_), true) => Some((Event::Modified, after.clone())),
            (Some(before), false) => Some((Event::Deleted, before.clone())),
            (None, false) => None,
        }
    }

    /// A bookmark at `revision`: everything up to it has been sent.
    pub fn bookmark(&self, revision: u64) -> Rope {
        self.mark(revision, Value::Null)
    }

    fn mark(&self, revision: u64, annotations: Value) -> Rope {
        let metadata = json!({ "resourceVersion": revision.to_string() });
        let mut value = json!({
            "kind": *self.served.gvk.kind,
            "apiVersion": self.served.api_version(),
            "metadata": metadata,
        });
        if !annotations.is_null() {
            value["metadata"]["annotations"] = annotations;
        }
        self.value(Event::Bookmark, value)
    }

    /// The `ERROR` frame (410 Expired) that ends a watch which fell behind the history.
    pub fn expired(&self) -> Rope {
        self.error(&expired("The resourceVersion for the provided watch is too old."))
    }

    /// An `ERROR` frame.
    pub fn error(&self, problem: &Problem) -> Rope {
        let status = problem.to_status();
        self.wire(Event::Error, &status).unwrap_or_else(|_| json_frame(Event::Error, &status))
    }

    fn frame(&self, event: Event, object: &Arc<Object>) -> Rope {
        if self.shape.view == Form::AsIs && self.shape.media == Media::Json {
            return Rope(vec![
                Chunk::Static(event.prefix()),
                chunk(&self.served, object),
                Chunk::Static(b"}\n"),
            ]);
        }
        if self.shape.view == Form::AsIs && self.shape.media == Media::Protobuf {
            let object = protobuf::object(&self.served, object);
            return object
                .map_or_else(|why| self.error(&why), |rope| sealed(event, &rope.to_vec()));
        }
        self.value(event, from_stored(&self.served, object))
    }

    fn value(&self, event: Event, value: Value) -> Rope {
        let shown = match &self.shape.view {
            Form::AsIs => value,
            Form::Partial(version) => partial(&value, version),
            Form::Table(version) => {
                let version_of = value["metadata"]["resourceVersion"].clone();
                let rows = match event {
                    Event::Bookmark => vec![bookmark_row(value)],
                    _ => {
                        let stored = crate::object::to_stored(&self.served, value);
                        vec![table::row(&self.served, &stored, self.now, self.shape.include)]
                    }
                };
                table::whole(&self.served, version, json!({ "resourceVersion": version_of }), rows)
            }
        };
        self.wire(event, &shown).unwrap_or_else(|problem| self.error(&problem))
    }

    fn wire(&self, event: Event, value: &Value) -> Result<Rope, Problem> {
        if self.shape.media != Media::Protobuf {
            return Ok(json_frame(event, value));
        }
        let encoder = Encoder { shape: self.shape.clone(), now: self.now };
        Ok(sealed(event, &encoder.value(value)?.to_vec()))
    }
}

/// A frame of a protobuf watch: its length in four bytes, then the event around the enveloped object.
fn sealed(event: Event, object: &[u8]) -> Rope {
    let event = schema::seal_event(event.text(), object);
    let length = (event.len() as u32).to_be_bytes();
    Rope(vec![Chunk::Bytes(length.to_vec().into()), Chunk::Bytes(event.into())])
}

/// A bookmark's row has no cells, only the object.
fn bookmark_row(value: Value) -> Value {
    json!({ "cells": [], "object": partial(&value, "v1") })
}

fn json_frame(event: Event, value: &Value) -> Rope {
    Rope(vec![
        Chunk::Static(event.prefix()),
        Chunk::Bytes(value.to_string().into_bytes().into()),
        Chunk::Static(b"}\n"),
    ])
}
