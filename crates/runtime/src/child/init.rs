//! Tiny inits: pid 1 beside the user's process (`--init`), and the pause process of a sandbox.
//!
//! Both are forks that never exec: they cost a few private pages. They reap whatever dies.

use crate::error::{Error, Result};
use crate::sys::process::{self, Forked};
use std::os::fd::OwnedFd;

/// Forks. The child returns and goes on to exec; pid 1 never comes back.
pub fn stay(report: &OwnedFd) -> Result<()> {
    let fail = |e| Error::kernel("fork", "init", &e);
    let everything: Vec<i32> = (1..=64).filter(|s| !UNWAITABLE.contains(s)).collect();
    process::set_signal_mask(&everything).map_err(fail)?;
    match process::fork(0, None).map_err(fail)? {
        Forked::Child => {
            let _ = report;
            Ok(())
        }
        Forked::Parent(pid) => {
            let _ = process::set_name(c"docker-init");
            let _ = process::close_all_but(&[]);
            watch(pid, &everything)
        }
    }
}

/// Waits for signals until killed; the keeper's SIGKILL ends it.
pub fn pause() -> ! {
    let everything: Vec<i32> = (1..=64).filter(|s| !UNWAITABLE.contains(s)).collect();
    let _ = process::set_name(c"pause");
    let _ = process::set_signal_mask(&everything);
    let _ = process::close_all_but(&[]);
    watch(0, &everything)
}

/// Faults of our own must not be held back.
const UNWAITABLE: &[i32] = &[
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGABRT,
    libc::SIGTRAP,
    32,
    33,
];

/// Reaps, forwards signals to `main`, ends with it. Without a `main` never ends.
fn watch(main: i32, signals: &[i32]) -> ! {
    loop {
        let Ok((signal, from_kernel)) = process::next_signal(signals) else { continue };
        if signal != libc::SIGCHLD {
            // What the terminal sends reaches the whole foreground group by itself.
            if main != 0 && !from_kernel {
                let _ = process::kill(main, signal);
            }
            continue;
        }
        while let Ok(Some((pid, status))) = process::reap() {
            if pid == main {
                process::exit_now(process::exit_code(status).0)
            }
        }
    }
}
