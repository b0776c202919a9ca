//! The single writer: drains requests, applies them, makes them durable in one group, publishes.

use crate::history::{Change, Compacted};
use crate::log::{Log, LogError};
use crate::txn::{Receipt, Reject, Txn};
use crate::view::View;
use std::sync::Arc;

/// Handle to the store; clones share it.
#[derive(Clone)]
pub struct Store {
    _shared: Arc<()>,
}

/// Wakes when the published revision moves; the reader then asks [`Store::changes`].
pub struct Subscription {
    _shared: Arc<()>,
}

impl Store {
    /// Replays the log and starts the writer thread. `head` parses the selection fields of a replayed object.
    ///
    /// # Errors
    /// When the log cannot be read or is damaged.
    pub fn open(_log: Box<dyn Log>) -> Result<Self, LogError> {
        Err(LogError { message: "the store has no writer yet".into(), transient: false })
    }

    pub fn view(&self) -> View {
        View { state: Arc::default() }
    }

    /// Commits and waits until the transaction is durable and published.
    pub fn commit(&self, _txn: Txn) -> Result<Receipt, Reject> {
        Err(Reject::Closed)
    }

    /// As [`Store::commit`], without blocking: `done` runs on the writer thread and must be short.
    pub fn submit(&self, _txn: Txn, done: Box<dyn FnOnce(Result<Receipt, Reject>) + Send>) {
        done(Err(Reject::Closed));
    }

    /// Changes after `revision`, oldest first.
    ///
    /// # Errors
    /// [`Compacted`] when some of them are gone.
    pub fn changes(&self, _revision: u64) -> Result<Vec<Arc<Change>>, Compacted> {
        Ok(Vec::new())
    }

    pub fn subscribe(&self) -> Subscription {
        Subscription { _shared: self._shared.clone() }
    }
}
