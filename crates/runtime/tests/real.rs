//! The runtime on the real kernel, with busybox as root file system. Needs root; says so and
//! passes otherwise.

#![allow(clippy::unwrap_used)]

mod real {
    pub mod attach;
    pub mod basics;
    pub mod crash;
    pub mod limits;
    pub mod node;
    pub mod sandboxes;
    pub mod walls;
}
