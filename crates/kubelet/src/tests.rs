//! Pods' lives under a fake runtime, and tables of everything that is computed from a pod.

#![allow(clippy::unwrap_used)]

mod life;
mod tables;
mod world;
