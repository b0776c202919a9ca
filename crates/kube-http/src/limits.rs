//! How many requests may be under way. Those beyond it wait their turn, and when too many wait, or one waits too
//! long, it is 429 with `Retry-After`.
//!
//! Upstream queues as well (API Priority and Fairness, k8s.io/apiserver `pkg/util/flowcontrol`); its flows and
//! levels are not here, only their limits: how many wait, and for how long.

use api::Reply;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Upstream's default level lets 128 queues of 50 wait.
const WAITING: usize = 128 * 50;

/// One kind of requests, reads or writes.
#[derive(Debug)]
pub struct Limit {
    /// `None` is no limit.
    places: Option<Arc<Semaphore>>,
    now: Arc<AtomicUsize>,
    waiting: Arc<AtomicUsize>,
    patience: Duration,
}

/// A request under way; ends when dropped.
#[derive(Debug)]
pub struct Slot {
    _counted: Counted,
    _place: Option<OwnedSemaphorePermit>,
}

/// One more, until dropped.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Limit {
    /// `most` at a time, 0 for no limit; one that comes later waits at most `patience`.
    pub fn new(most: usize, patience: Duration) -> Self {
        let places = (most > 0).then(|| Arc::new(Semaphore::new(most)));
        Self { places, now: Arc::default(), waiting: Arc::default(), patience }
    }

    /// A place, in order of arrival; `None` when there is none in time.
    pub async fn enter(&self) -> Option<Slot> {
        let Some(places) = &self.places else {
            return Some(Slot { _counted: Counted::new(&self.now), _place: None });
        };
        let place = match places.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => self.wait(places).await?,
        };
        Some(Slot { _counted: Counted::new(&self.now), _place: Some(place) })
    }

    async fn wait(&self, places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        if self.waiting.load(Ordering::Relaxed) >= WAITING {
            return None;
        }
        let _waits = Counted::new(&self.waiting);
        let place = tokio::time::timeout(self.patience, places.clone().acquire_owned()).await;
        place.ok()?.ok()
    }

    /// Requests under way.
    pub fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }
}

pub fn refusal() -> Reply {
    Reply::text(429, "Too many requests, please try again later.").header("retry-after", "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slot_is_free_again_when_its_request_ends() {
        let limit = Limit::new(1, Duration::from_millis(1));
        let first = limit.enter().await;
        assert!(first.is_some() && limit.enter().await.is_none());
        drop(first);
        assert!(limit.enter().await.is_some());
        assert_eq!(limit.now(), 0);
    }

    #[tokio::test]
    async fn who_waits_gets_the_place_of_who_leaves() {
        let limit = Arc::new(Limit::new(1, Duration::from_secs(60)));
        let first = limit.enter().await;
        let theirs = limit.clone();
        let second = tokio::spawn(async move { theirs.enter().await.is_some() });
        tokio::task::yield_now().await;
        drop(first);
        assert!(second.await.expect("it does not panic"));
    }
}
