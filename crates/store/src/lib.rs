//! The one store: an MVCC state machine in memory, its history of changes, and the single writer.
//!
//! Kind-blind: it files [`Object`]s (canonical JSON bytes plus the few fields needed for selection)
//! under a [`Resource`](meta::Resource), stamps one revision per change, and hands out immutable
//! [`View`]s. Durability lies behind the [`Log`] trait; nothing is visible before the log has it.
//! It has no clock and does no IO: when to compact is its caller's business.

mod board;
pub mod codec;
mod core;
mod derived;
mod draft;
mod head;
mod history;
mod index;
mod intern;
mod log;
mod object;
mod pending;
mod state;
mod strip;
mod txn;
mod view;
mod writer;

pub use board::Subscription;
pub use core::Options;
pub use draft::{Comma, Draft};
pub use head::Heads;
pub use history::{Change, Changes, Compacted, OutOfRange};
pub use log::{Log, LogError, Record, Snapshot, Stored, Volatile};
pub use object::{Head, Key, Object, Owner};
pub use pending::Pending;
pub use state::State;
pub use txn::{Expect, Op, Receipt, Reject, Txn};
pub use view::View;
pub use writer::Store;
