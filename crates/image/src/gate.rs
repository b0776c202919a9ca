//! Keeps garbage collection away from work in progress.
//!
//! Work that makes content before anything refers to it (pulls, loads, commits) holds the gate;
//! collection waits for nobody: it runs at once when nothing holds the gate, else it is done by
//! whoever leaves last.

use std::sync::{Condvar, Mutex};

#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    free: Condvar,
}

#[derive(Default)]
struct State {
    busy: usize,
    collecting: bool,
    wanted: bool,
}

impl Gate {
    /// Holds off collection until the guard is dropped; waits for one that is running.
    pub fn enter(self: &std::sync::Arc<Self>) -> Busy {
        let mut state = self.state.lock().expect("no panic while held");
        while state.collecting {
            state = self.free.wait(state).expect("no panic while held");
        }
        state.busy += 1;
        Busy(self.clone())
    }

    /// Starts collecting if nothing is in progress; else remembers the wish.
    pub fn try_collect(self: &std::sync::Arc<Self>) -> Option<Collecting> {
        let mut state = self.state.lock().expect("no panic while held");
        if state.busy > 0 || state.collecting {
            state.wanted = true;
            return None;
        }
        (state.collecting, state.wanted) = (true, false);
        Some(Collecting(self.clone()))
    }

    /// True once when a collection was wanted and nothing is in progress any more.
    pub fn take_wish(&self) -> bool {
        let mut state = self.state.lock().expect("no panic while held");
        state.busy == 0 && std::mem::take(&mut state.wanted)
    }
}

/// Work in progress.
pub(crate) struct Busy(std::sync::Arc<Gate>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.state.lock().expect("no panic while held").busy -= 1;
    }
}

/// A running collection.
pub(crate) struct Collecting(std::sync::Arc<Gate>);

impl Drop for Collecting {
    fn drop(&mut self) {
        self.0.state.lock().expect("no panic while held").collecting = false;
        self.0.free.notify_all();
    }
}
