//! Goldens and properties of the whole language.

mod graph;
mod language;
mod properties;
