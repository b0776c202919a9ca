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

/// So many waiting for one resource are woken at once whenever it changes; more are woken in turns.
const CROWD: usize = 64;
/// In a crowd, everybody costs all others about this much.
const EACH: Duration = Duration::from_micros(10);

#[derive(Default)]
struct Waiting {
    next: u64,
    /// Changed while its crowd had just been woken, and when the crowd's next turn is.
    owed: BTreeMap<Resource, Instant>,
    /// When each crowd may be woken again.
    rested: BTreeMap<Resource, Instant>,
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
            waiting.take(&of, &mut woken);
        }
        drop(waiting);
        woken.into_iter().for_each(Waker::wake);
    }

    /// As [`Board::wake`], but a crowd is woken at most every so often: changes in between reach everybody in one
    /// go, where one go for each would cost more than the changes. Answers when [`Board::wake_owed`] is due.
    pub fn wake_in_turns(&self, touched: BTreeSet<Resource>, now: Instant) -> Option<Instant> {
        let mut waiting = self.waiting();
        let mut woken: Vec<Waker> = Vec::new();
        for resource in touched {
            waiting.take_in_turns(resource, now, &mut woken);
        }
        waiting.take(&None, &mut woken);
        let due = waiting.owed.values().min().copied();
        drop(waiting);
        woken.into_iter().for_each(Waker::wake);
        due
    }

    /// Wakes the crowds whose turn it is, and answers when the next turn is.
    pub fn wake_owed(&self, now: Instant) -> Option<Instant> {
        let mut waiting = self.waiting();
        let mut woken: Vec<Waker> = Vec::new();
        let ready: Vec<_> =
            waiting.owed.iter().filter(|(_, at)| **at <= now).map(|(of, _)| of.clone()).collect();
        for resource in ready {
            waiting.owed.remove(&resource);
            waiting.take_in_turns(resource, now, &mut woken);
        }
        let due = waiting.owed.values().min().copied();
        drop(waiting);
        woken.into_iter().for_each(Waker::wake);
        due
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

impl Waiting {
    fn take(&mut self, of: &Option<Resource>, woken: &mut Vec<Waker>) {
        woken.extend(self.wakers.remove(of).into_iter().flat_map(BTreeMap::into_values));
    }

    fn take_in_turns(&mut self, resource: Resource, now: Instant, woken: &mut Vec<Waker>) {
        if let Some(at) = self.rested.get(&resource).filter(|at| **at > now) {
            self.owed.insert(resource, *at);
            return;
        }
        let of = Some(resource);
        let crowd = self.wakers.get(&of).map_or(0, BTreeMap::len);
        self.take(&of, woken);
        let Some(resource) = of else { return };
        if crowd > CROWD {
            let pause = EACH * u32::try_from(crowd).unwrap_or(u32::MAX);
            self.rested.insert(resource, now + pause);
        } else {
            self.rested.remove(&resource);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::History;
    use crate::state::State;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_crowd_is_woken_in_turns_and_nobody_is_forgotten() {
        let board = Board::new(View::new(State::default(), History::new(0, 1), 1));
        let (pods, few) = (Resource::new("", "pods"), Resource::new("", "secrets"));
        let subscribe = |of: &Resource| board.subscribe(Some(of.clone()));
        let mut crowd: Vec<_> = (0..100).map(|_| subscribe(&pods)).collect();
        let mut quiet = subscribe(&few);
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(count.clone());
        let mut wait = |crowd: &mut Vec<Subscription>| {
            let mut cx = Context::from_waker(&waker);
            crowd.iter_mut().for_each(|s| assert!(s.poll_past(0, &mut cx).is_pending()));
            assert!(quiet.poll_past(0, &mut cx).is_pending());
        };
        let woken = || count.0.swap(0, Ordering::Relaxed);
        let (now, both) = (Instant::now(), BTreeSet::from([pods, few]));
        wait(&mut crowd);
        assert_eq!((board.wake_in_turns(both.clone(), now), woken()), (None, 101));
        wait(&mut crowd);
        let due = board.wake_in_turns(both, now).expect("the crowd has just been woken");
        assert_eq!((woken(), due), (1, now + EACH * 100));
        assert_eq!((board.wake_owed(now), woken()), (Some(due), 0));
        assert_eq!((board.wake_owed(due), woken()), (None, 100));
    }
}
