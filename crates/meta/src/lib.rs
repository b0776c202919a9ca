//! Words of the Kubernetes API machinery, shared by every crate above.
//!
//! Values, names, group-version-kinds, quantities, selectors, time, identities and problems
//! (the errors a client sees). No IO, no clock, no knowledge of any kind.

mod duration;
mod gvk;
mod identity;
pub mod names;
mod problem;
mod quantity;
mod selector;
mod time;

pub use duration::GoDuration;
pub use gvk::{Gvk, Gvr, Resource};
pub use identity::Identity;
pub use problem::{Cause, Details, Fault, FaultRule, Problem, Reason};
pub use quantity::{Quantity, QuantityError, QuantityFormat};
pub use selector::{FieldSelector, FieldTerm, LabelRule, LabelSelector, Requirement};
pub use time::Time;

/// A JSON value. Maps keep their keys sorted, so serialising a value is canonical.
pub type Value = serde_json::Value;
/// A JSON object.
pub type Map = serde_json::Map<String, Value>;
