//! A watch as a response body: nothing is queued for it.
//!
//! The client's window asks for the next piece; only then are changes read from the store's history and
//! encoded. A slow client therefore costs nothing, and one that falls behind the history is told 410 and
//! cut off.

use crate::body::append;
use crate::server::Stop;
use api::WatchPlan;
use bytes::{Bytes, BytesMut};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use store::{Store, Subscription, View};
use tokio::time::{Instant, Sleep};

/// Events are gathered up to this many bytes in one piece.
const PIECE: usize = 64 * 1024;

pub struct WatchBody {
    plan: Box<WatchPlan>,
    store: Store,
    subscription: Subscription,
    /// Everything up to this revision was sent or is not for this client.
    seen: u64,
    first: bool,
    ended: bool,
    until: Pin<Box<Sleep>>,
    bookmark: Option<(Duration, Pin<Box<Sleep>>)>,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl WatchBody {
    /// `timeout` is how long it lives; `bookmark_every` applies when the client wants bookmarks.
    pub fn new(
        plan: Box<WatchPlan>,
        store: Store,
        timeout: Duration,
        bookmark_every: Duration,
        stop: &Stop,
    ) -> Self {
        let subscription = store.subscribe_to(&plan.resource);
        let wanted = plan.bookmarks;
        let bookmark =
            wanted.then(|| (bookmark_every, Box::pin(tokio::time::sleep(bookmark_every))));
        Self {
            seen: plan.after,
            plan,
            store,
            subscription,
            first: true,
            ended: false,
            until: Box::pin(tokio::time::sleep(timeout)),
            bookmark,
            stop: Box::pin(stop.clone().stopped()),
        }
    }

    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if std::mem::take(&mut self.first) {
            let initial = self.initial();
            if !initial.is_empty() {
                return Poll::Ready(Some(initial));
            }
        }
        if let Some(piece) = self.poll_changes(cx) {
            return Poll::Ready(Some(piece));
        }
        if self.ended
            || self.until.as_mut().poll(cx).is_ready()
            || self.stop.as_mut().poll(cx).is_ready()
        {
            self.ended = true;
            return Poll::Ready(None);
        }
        self.poll_bookmark(cx).map(Some)
    }

    fn initial(&mut self) -> Bytes {
        let mut out = BytesMut::new();
        match catch_unwind(AssertUnwindSafe(|| self.plan.initial())) {
            Ok(frames) => frames.iter().for_each(|frame| append(&mut out, frame)),
            Err(_) => self.ended = true,
        }
        out.freeze()
    }

    /// Events that are there; `None` when there is nothing to send yet (and the waker is set).
    fn poll_changes(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        while !self.ended && self.subscription.poll_past(self.seen, cx).is_ready() {
            let view = self.store.view();
            let piece = catch_unwind(AssertUnwindSafe(|| self.encode(&view)));
            match piece {
                Ok(piece) if piece.is_empty() => {}
                Ok(piece) => return Some(piece),
                Err(_) => self.ended = true,
            }
        }
        None
    }

    fn encode(&mut self, view: &View) -> Bytes {
        let mut out = BytesMut::new();
        let Ok(changes) = view.changes_of(&self.plan.resource, self.seen) else {
            self.ended = true;
            append(&mut out, &self.plan.expired());
            return out.freeze();
        };
        for change in changes.iter() {
            self.seen = change.revision;
            if self.plan.namespace.as_deref().is_some_and(|ns| *change.after.key.namespace != *ns) {
                continue;
            }
            if let Some(frame) = self.plan.encode(change) {
                append(&mut out, &frame);
                if out.len() >= PIECE {
                    return out.freeze();
                }
            }
        }
        self.seen = view.revision().max(self.seen);
        out.freeze()
    }

    fn poll_bookmark(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let Some((every, sleep)) = &mut self.bookmark else { return Poll::Pending };
        if sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        sleep.as_mut().reset(Instant::now() + *every);
        let _ = sleep.as_mut().poll(cx);
        let view = self.store.view();
        // What changed meanwhile is not sent yet: the bookmark must not skip it.
        let unsent = view.touched(&self.plan.resource) > self.seen;
        let revision = if unsent { self.seen } else { view.revision() };
        let mut out = BytesMut::new();
        append(&mut out, &self.plan.bookmark(revision));
        Poll::Ready(out.freeze())
    }
}
