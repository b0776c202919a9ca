//! Waiting for SIGTERM. The first process of a container gets no default action for signals: it must ask for them.

use std::io::Read;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};

unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn write(fd: i32, bytes: *const u8, count: usize) -> isize;
}

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// The end that a signal writes to.
static WAKE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn wake(_: i32) {
    // SAFETY: write(2) may be called in a signal handler; the descriptor is never closed.
    unsafe { write(WAKE.load(Ordering::Relaxed), b"!".as_ptr(), 1) };
}

/// Gives a function that waits until the process is asked to end.
pub fn asked_to_end() -> std::io::Result<impl FnOnce() -> std::io::Result<()>> {
    let (mut ear, mouth) = UnixStream::pair()?;
    WAKE.store(mouth.into_raw_fd(), Ordering::Relaxed);
    for number in [SIGTERM, SIGINT] {
        // SAFETY: the handler only loads an atomic and calls write(2).
        unsafe { signal(number, wake) };
    }
    Ok(move || ear.read_exact(&mut [0]))
}
