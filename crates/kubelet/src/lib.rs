//! What a node does for its Pods: [`plan_pod`] looks at a pod, at what the node has observed of it, and at the time,
//! and answers with operations for the node's hands, the status to report, and when to look again.
//!
//! Pure: no IO, clock, threads or randomness, and no knowledge of the engine. Crate `node` observes, applies and
//! reports. Nothing is remembered here: the same observation gives the same plan.

mod backoff;
mod containers;
mod downward;
mod env;
mod names;
mod notes;
mod plan;
mod probes;
mod resize;
mod resources;
mod security;
mod status;
mod terminate;
mod types;
mod volumes;

#[cfg(test)]
mod tests;

pub use containers::spec_hash;
pub use env::{Sources, command_args, container_env, expand};
pub use names::{Resolver, fqdn, hostname, hosts_file, kernel_hostname, resolver};
pub use plan::plan_pod;
pub use probes::record_probe;
pub use resources::{CgroupLimits, limits};
pub use security::{Seccomp, Security, security, verify_non_root};
pub use types::{
    ContainerKind, ContainerPhase, ContainerSeen, Failure, Hook, NodePolicy, Note, PodOp, PodPlan,
    PodSeen, ProbeKind, ProbeSeen, SandboxSeen, VolumesSeen,
};
pub use volumes::{TokenFile, VolumeContent, VolumeFile, content};
