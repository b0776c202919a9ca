//! The one store: an MVCC state machine in memory, its history of changes, and the single writer.
//!
//! Kind-blind: it files [`Object`]s (canonical JSON bytes plus the few fields needed for selection)
//! under a [`Resource`](meta::Resource), stamps one revision per change, and hands out immutable
//! [`View`]s. Durability lies behind the [`Log`] trait; nothing is visible before the log has it.

mod history;
mod log;
mod object;
mod state;
mod txn;
mod view;
mod writer;

pub use history::{Change, Compacted};
pub use log::{Log, LogError, Record};
pub use object::{Comma, Draft, Head, Key, Object, Owner};
pub use state::State;
pub use txn::{Expect, Op, Receipt, Reject, Txn};
pub use view::View;
pub use writer::{Store, Subscription};
