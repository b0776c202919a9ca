//! Containers on one machine: namespaces, cgroups, mounts, processes, stdio and logs.
//!
//! A caller describes what it wants ([`ContainerSpec`]) and talks to the node's *keeper*, a small
//! single-threaded process that is the parent of every container and outlives the daemon. The
//! steps a container's first process goes through are an explicit list ([`plan::InitPlan`]),
//! built purely and run by a tiny interpreter in the child.
//!
//! It does not know images (a root file system is a directory or overlay layers), networks (a
//! sandbox has a bare network namespace that others configure), names, restart policies, health
//! or Kubernetes.

mod api;
pub mod caps;
pub mod cgroup;
mod child;
mod client;
pub mod defaults;
mod errno;
mod error;
mod fake;
pub mod keeper;
pub mod plan;
mod resources;
mod seccomp;
mod seen;
mod spec;
pub mod suite;
mod sys;
pub mod users;
mod wire;

pub use api::{Events, Runtime};
pub use client::{Keeper, KeeperOptions, Subscription, stop};
pub use error::{Error, ErrorKind, Result};
pub use fake::FakeRuntime;
pub use resources::{HugetlbLimit, Resources, Throttle, ThrottleKind};
pub use seen::{
    ContainerSeen, CpuStats, Event, ExecSeen, ExecStarted, Exit, IoStats, MemoryStats, Nanos,
    NodeSeen, PidsStats, SandboxSeen, State, Stats, Stdio,
};
pub use spec::{
    AttachSpec, Capabilities, ContainerSpec, Device, DeviceKind, DeviceRule, ExecSpec, IdMap,
    LogFormat, LogSpec, Mount, MountKind, Namespace, Namespaces, ProcessSpec, Propagation, Rlimit,
    Rootfs, SandboxSpec, Seccomp, Stdin, TtySize, User, UserMaps,
};
