//! Where the newest view is published, and who waits for it.

use crate::view::View;
use arc_swap::ArcSwap;
use meta::Resource;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

pub(crate) struct Board {
    /// The view is behind one more `Arc`, as `ArcSwap` holds one pointer.
    view: ArcSwap<View>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    /// By what is waited for; `None` is any change.
    wakers: BTreeMap<Option<Resource>, BTreeMap<u64, Waker>>,
}

/// Wakes when something (of one resource, or anything) has changed; the reader then asks for the changes.
///
/// Nothing is queued for a reader, so a slow one costs the writer nothing. Usable from threads
/// ([`Subscription::wait`]) and from async code of any runtime ([`Subscription::past`]).
pub struct Subscription {
    board: Arc<Board>,
    resource: Option<Resource>,
    id: u64,
}

impl Board {
    pub fn new(view: View) -> Arc<Self> {
        Arc::new(Self { view: ArcSwap::from_pointee(view), waiting: Mutex::default() })
    }

    pub fn view(&self) -> View {
        View::clone(&self.view.load())
    }

    pub fn publish(&self, view: View) {
        self.view.store(Arc::new(view));
    }

    /// Wakes who waits for any change or for one of the resources.
    pub fn wake(&self, touched: BTreeSet<Resource>) {
        let mut waiting = self.waiting();
        let mut woken: Vec<Waker> = Vec::new();
        for of in touched.into_iter().map(Some).chain([None]) {
            woken.extend(waiting.wakers.remove(&of).into_iter().flat_map(BTreeMap::into_values));
        }
        drop(waiting);
        woken.into_iter().for_each(Waker::wake);
    }

    pub fn subscribe(self: &Arc<Self>, resource: Option<Resource>) -> Subscription {
        let mut waiting = self.waiting();
        waiting.next += 1;
        Subscription { board: self.clone(), resource, id: waiting.next }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Maps of wakers are whole after any panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// The store's revision, once something this subscription is about has changed after `revision`.
    pub async fn past(&mut self, revision: u64) -> u64 {
        poll_fn(|cx| self.poll_past(revision, cx)).await
    }

    pub fn poll_past(&mut self, revision: u64, cx: &mut Context<'_>) -> Poll<u64> {
        if let Some(now) = self.moved(revision) {
            return Poll::Ready(now);
        }
        let mut waiting = self.board.waiting();
        let wakers = waiting.wakers.entry(self.resource.clone()).or_default();
        wakers.insert(self.id, cx.waker().clone());
        drop(waiting);
        // What was published between the first look and the entry did not wake us.
        self.moved(revision).map_or(Poll::Pending, Poll::Ready)
    }

    /// As [`Subscription::past`], blocking the thread; `None` when `timeout` passed first.
    pub fn wait(&mut self, revision: u64, timeout: Duration) -> Option<u64> {
        let deadline = Instant::now() + timeout;
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        loop {
            if let Poll::Ready(now) = self.poll_past(revision, &mut Context::from_waker(&waker)) {
                return Some(now);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            std::thread::park_timeout(left);
        }
    }

    fn moved(&self, revision: u64) -> Option<u64> {
        let view = self.board.view.load();
        let newest = match &self.resource {
            Some(resource) => view.touched(resource),
            None => view.revision(),
        };
        (newest > revision).then(|| view.revision())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(wakers) = self.board.waiting().wakers.get_mut(&self.resource) {
            wakers.remove(&self.id);
        }
    }
}

/// Wakes a parked thread.
pub(crate) struct Unpark(pub Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
