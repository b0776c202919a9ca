//! Patches and server-side apply as pure functions over values and their schema.
//!
//! Knows no kind, reads nothing, stores nothing: the API pipeline hands in the live object, the patch and the
//! [`schema::Type`] they share.

mod apply;
mod fieldset;
mod fieldsv1;
mod json;
mod managed;
mod reconcile;
mod shape;
mod strategic;
mod typed;
mod walk;

#[cfg(test)]
mod tests;

pub use apply::Force;
pub use fieldset::{FieldSet, Step};
pub use fieldsv1::{decode as decode_fields, encode as encode_fields};
pub use json::{json_patch, merge_patch};
pub use managed::{Applied, Target, Writer, apply, track};
pub use shape::At;
pub use strategic::strategic;
pub use typed::misfits;
