//! The kind-blind API pipeline. Pure: it reads a [`store::View`] and answers with what to reply, to write
//! or to watch; faces and loops carry it out. It does no IO and knows no kind by name.
//!
//! ```text
//! loop {
//!     match api.plan(&request, &store.view()) {
//!         Outcome::Commit(mut pending) => {
//!             let txn = std::mem::take(&mut pending.txn);
//!             match api.settle(pending, store.commit(txn)) { Next::Reply(r) => ..., Next::Retry => continue }
//!         }
//!         ...
//!     }
//! }
//! ```

mod answer;
mod call;
mod catalog;
mod custom;
mod decode;
mod discovery;
mod encode;
mod heads;
mod jsonpath;
mod negotiate;
mod object;
mod openapi;
mod outcome;
mod protobuf;
mod query;
mod read;
mod reply;
mod request;
mod route;
mod select;
mod server;
mod table;
mod usage;
mod watch;
mod write;

pub use call::{Call, DeleteOptions, Options, Patch, PatchKind, Propagation, Verb};
pub use heads::heads;
pub use kinds::{AllowAll, Attributes, Authorizer, Decision, NoTokens, Tokens};
pub use outcome::{CallNext, CallOutcome, ConnectPlan, Next, Outcome, Pending, PendingCall};
pub use reply::{Chunk, Reply, Rope};
pub use request::{Env, Method, Request};
pub use server::Api;
pub use usage::{GROUP as USAGE_GROUP, Usage};
pub use watch::WatchPlan;
