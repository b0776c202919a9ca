//! How many requests may be under way: beyond that, 429 with `Retry-After`
//! (k8s.io/apiserver `pkg/server/filters/maxinflight.go`).

use api::Reply;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One kind of requests, reads or writes.
#[derive(Debug)]
pub struct Limit {
    most: usize,
    now: Arc<AtomicUsize>,
}

/// A request under way; ends when dropped.
#[derive(Debug)]
pub struct Slot(Arc<AtomicUsize>);

impl Limit {
    pub fn new(most: usize) -> Self {
        Self { most, now: Arc::default() }
    }

    /// `None` when the limit is reached. 0 is no limit.
    pub fn enter(&self) -> Option<Slot> {
        let before = self.now.fetch_add(1, Ordering::Relaxed);
        let slot = Slot(self.now.clone());
        (self.most == 0 || before < self.most).then_some(slot)
    }

    pub fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub fn refusal() -> Reply {
    Reply::text(429, "Too many requests, please try again later.").header("retry-after", "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_again_when_its_request_ends() {
        let limit = Limit::new(1);
        let first = limit.enter();
        assert!(first.is_some() && limit.enter().is_none());
        drop(first);
        assert!(limit.enter().is_some());
    }
}
