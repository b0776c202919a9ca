//! Drives a [`Turn`] with the real clock in a thread of its own.

use crate::scheduling::Scheduling;
use crate::turn::{Entropy, Turn};
use api::Api;
use controllers::Row;
use meta::Time;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::Store;

/// A running loop; dropping it stops the loop and waits for it.
pub struct Handle {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// One of the loops, as the thread that drives it sees it.
trait Loop {
    fn drive_here(&self);
    /// Returns whether it did anything.
    fn turn(&mut self, now: Time) -> bool;
    fn seen(&self) -> u64;
    fn next_timer(&self) -> Option<Time>;
}

impl Loop for Turn {
    fn drive_here(&self) {
        Turn::drive_here(self);
    }

    fn turn(&mut self, now: Time) -> bool {
        Turn::turn(self, now)
    }

    fn seen(&self) -> u64 {
        Turn::seen(self)
    }

    fn next_timer(&self) -> Option<Time> {
        Turn::next_timer(self)
    }
}

impl Loop for Scheduling {
    fn drive_here(&self) {
        Scheduling::drive_here(self);
    }

    fn turn(&mut self, now: Time) -> bool {
        Scheduling::turn(self, now)
    }

    fn seen(&self) -> u64 {
        Scheduling::seen(self)
    }

    fn next_timer(&self) -> Option<Time> {
        Scheduling::next_timer(self)
    }
}

/// Starts the controllers of `table`.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(
    api: Arc<Api>,
    store: Store,
    table: &'static [&'static Row],
) -> std::io::Result<Handle> {
    spawn("control", store.clone(), move || Turn::new(api, store, table, entropy()))
}

/// Starts the scheduler.
///
/// # Errors
/// When the thread cannot be started.
pub fn start_scheduler(api: Arc<Api>, store: Store) -> std::io::Result<Handle> {
    spawn("scheduler", store.clone(), move || Scheduling::new(api, store, entropy()))
}

fn spawn<L: Loop>(
    name: &str,
    store: Store,
    make: impl FnOnce() -> L + Send + 'static,
) -> std::io::Result<Handle> {
    let stop = Arc::new(AtomicBool::new(false));
    let theirs = stop.clone();
    let thread = std::thread::Builder::new()
        .name(name.into())
        .spawn(move || run(&mut make(), &store, &theirs))?;
    Ok(Handle { stop, thread: Some(thread) })
}

fn run(driven: &mut impl Loop, store: &Store, stop: &AtomicBool) {
    driven.drive_here();
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut subscription = store.subscribe();
    while !stop.load(Ordering::Acquire) {
        let now = clock();
        if driven.turn(now) {
            continue;
        }
        if subscription.poll_past(driven.seen(), &mut Context::from_waker(&waker)).is_ready() {
            continue;
        }
        match driven.next_timer() {
            Some(at) => std::thread::park_timeout(until(at, now)),
            None => std::thread::park(),
        }
    }
}

fn until(at: Time, now: Time) -> Duration {
    Duration::from_micros(u64::try_from(at.0 - now.0).unwrap_or(0))
}

fn clock() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn entropy() -> Entropy {
    Box::new(|| {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the kernel always has random bytes");
        bytes
    })
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the loop has been printed; there is nobody here to hand it to.
            let _ = thread.join();
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
