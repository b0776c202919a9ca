//! The engine's values in the shapes of the wire.

pub mod container;
pub mod image;
pub mod network;
