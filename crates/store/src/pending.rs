//! An answer on its way: to be awaited, or waited for.

use crate::board::Unpark;
use crate::txn::{Receipt, Reject};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The answer to [`Store::request`](crate::Store::request): a future, or blocking by [`Pending::wait`].
pub struct Pending {
    slot: Arc<Mutex<Slot>>,
}

/// The writer's end.
pub(crate) struct Done {
    slot: Arc<Mutex<Slot>>,
}

#[derive(Default)]
struct Slot {
    result: Option<Result<Receipt, Reject>>,
    waker: Option<Waker>,
}

impl Pending {
    pub(crate) fn new() -> (Self, Done) {
        let slot = Arc::<Mutex<Slot>>::default();
        (Self { slot: slot.clone() }, Done { slot })
    }

    /// Blocks the thread until the answer is there.
    ///
    /// # Errors
    /// Why the transaction did not happen.
    pub fn wait(self) -> Result<Receipt, Reject> {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut pending = pin!(self);
        loop {
            if let Poll::Ready(result) = pending.as_mut().poll(&mut Context::from_waker(&waker)) {
                return result;
            }
            std::thread::park();
        }
    }
}

impl Future for Pending {
    type Output = Result<Receipt, Reject>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = lock(&self.slot);
        if let Some(result) = slot.result.take() {
            return Poll::Ready(result);
        }
        slot.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Done {
    pub fn set(self, result: Result<Receipt, Reject>) {
        lock(&self.slot).result = Some(result);
    }
}

impl Drop for Done {
    /// Also when the writer goes away without an answer: nobody waits for ever.
    fn drop(&mut self) {
        let mut slot = lock(&self.slot);
        slot.result.get_or_insert(Err(Reject::Closed));
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
