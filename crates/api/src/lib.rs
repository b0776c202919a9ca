//! The kind-blind API pipeline. Pure: it reads a [`store::View`] and answers with what to reply, to write
//! or to watch; faces and loops carry it out.

mod call;

pub use call::{Call, DeleteOptions, Options, Patch, PatchKind, Propagation, Verb};
