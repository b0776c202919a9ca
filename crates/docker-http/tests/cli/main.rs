//! The real docker CLI against a real engine: every test has an engine of its own.

#![allow(clippy::unwrap_used)]

mod bench;
mod compose;
mod differ;
mod images;
mod kills;
mod life;
mod networks;
mod pods;
mod python;
mod recovery;
mod registry;
mod streams;
mod tls;
mod volumes;
