//! Drives a [`Turn`] with the real clock in a thread of its own.

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

/// Starts the loop over `table`.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(
    api: Arc<Api>,
    store: Store,
    table: &'static [&'static Row],
) -> std::io::Result<Handle> {
    let stop = Arc::new(AtomicBool::new(false));
    let theirs = stop.clone();
    let thread = std::thread::Builder::new().name("control".into()).spawn(move || {
        run(&mut Turn::new(api, store.clone(), table, entropy()), &store, &theirs)
    })?;
    Ok(Handle { stop, thread: Some(thread) })
}

fn run(turn: &mut Turn, store: &Store, stop: &AtomicBool) {
    turn.drive_here();
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut subscription = store.subscribe();
    while !stop.load(Ordering::Acquire) {
        let now = clock();
        if turn.turn(now) {
            continue;
        }
        if subscription.poll_past(turn.seen(), &mut Context::from_waker(&waker)).is_ready() {
            continue;
        }
        match turn.next_timer() {
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
