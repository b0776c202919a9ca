//! The words between the kubelet's brain and the node's hands.

use crate::resources::CgroupLimits;
use k8s_openapi::api::core::v1::PodStatus;
use meta::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Everything the node has observed about one pod (one uid).
#[derive(Debug, Clone, Default)]
pub struct PodSeen {
    /// Oldest first; more than one only after a sandbox died and was made anew.
    pub sandboxes: Vec<SandboxSeen>,
    /// Every attempt of every container that still exists, oldest first.
    pub containers: Vec<ContainerSeen>,
    pub volumes: VolumesSeen,
    /// The latest runs, by container id.
    pub probes: BTreeMap<(String, ProbeKind), ProbeSeen>,
    /// Hooks that have ended: `Err` with what went wrong. By container id.
    pub hooks: BTreeMap<(String, Hook), Result<(), String>>,
    /// Operations under way: they are not to be asked for again.
    pub under_way: BTreeSet<PodOp>,
    /// Operations that failed last time they were tried: what happened, how often in a row, and when last.
    pub failed: BTreeMap<PodOp, Failure>,
}

/// An operation's latest failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A reason word for statuses and events (`ErrImagePull`, `FailedMount`, `RunContainerError`).
    pub reason: String,
    pub message: String,
    pub count: u32,
    pub at: Time,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxSeen {
    pub id: String,
    pub ready: bool,
    /// Empty on the host network.
    pub ips: Vec<String>,
    pub created: Time,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSeen {
    pub id: String,
    pub name: String,
    pub sandbox: String,
    /// 0 for the first start; the restart count is the highest attempt.
    pub attempt: u32,
    /// Crashes in a row before this start; what the next back-off counts from.
    pub crashes: u32,
    pub image: String,
    /// `sha256:..` of the image's configuration.
    pub image_id: String,
    pub phase: ContainerPhase,
    pub created: Time,
    pub started: Option<Time>,
    pub finished: Option<Time>,
    pub exit_code: i32,
    pub oom_killed: bool,
    /// Why the engine could not start it; empty when it did.
    pub error: String,
    /// Content of the termination message file, read after exit.
    pub termination_message: String,
    /// Last lines of the log, read after a failed exit (`FallbackToLogsOnError`).
    pub log_tail: String,
    /// Hash of the part of the spec that makes a restart necessary when it changes.
    pub spec_hash: u64,
    /// What its cgroup was last told.
    pub limits: CgroupLimits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerPhase {
    Created,
    Running,
    Exited,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContainerKind {
    Init,
    /// An init container that keeps running (`restartPolicy: Always`).
    Sidecar,
    App,
    Ephemeral,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum VolumesSeen {
    #[default]
    Absent,
    /// Everything the pod mounts is there. Refreshing changed sources is the hands' own business.
    Ready,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    Startup,
    Liveness,
    Readiness,
}

/// What a probe has come to; made by [`record_probe`](crate::record_probe).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSeen {
    pub at: Time,
    /// The last run's outcome.
    pub ok: bool,
    /// How many runs in a row had this outcome.
    pub streak: u32,
    /// What the thresholds made of it so far; `None` before the first is reached.
    pub verdict: Option<bool>,
    /// What the failing run said.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    PostStart,
    PreStop,
}

/// One thing for the hands to do. Ordered operations of one plan may run side by side unless they concern the same
/// container; the next plan sees what came of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodOp {
    /// Make the pod's directories and everything it mounts.
    PrepareVolumes,
    RunSandbox,
    StopSandbox {
        id: String,
    },
    RemoveSandbox {
        id: String,
    },
    /// Pull the image as its policy says, create and start this attempt; its spec comes from the pod at that
    /// moment. `crashes` is to be remembered with the container.
    StartContainer {
        name: String,
        kind: ContainerKind,
        attempt: u32,
        crashes: u32,
    },
    RunHook {
        id: String,
        name: String,
        hook: Hook,
    },
    /// The pre-stop hook (when asked for) counts against the grace period; then the stop signal, then SIGKILL.
    StopContainer {
        id: String,
        name: String,
        grace_secs: i64,
        pre_stop: bool,
    },
    RemoveContainer {
        id: String,
    },
    Probe {
        id: String,
        name: String,
        kind: ProbeKind,
    },
    /// Bring a running container's cgroup to the resources in the spec.
    Resize {
        id: String,
        name: String,
    },
    /// Remove directories, mounts and logs of a pod that is gone.
    CleanUp,
}

/// An event for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub warning: bool,
    pub reason: &'static str,
    pub message: String,
    /// The container it is about (`spec.containers{web}`), `""` for the pod.
    pub field_path: String,
}

/// What the node shall do, say and wait for.
#[derive(Debug, Clone, Default)]
pub struct PodPlan {
    pub ops: Vec<PodOp>,
    /// The whole status to report.
    pub status: PodStatus,
    pub wake: Option<Time>,
    pub notes: Vec<Note>,
    /// A deleted pod of which nothing is left here: it may be removed from the API with grace 0.
    pub gone: bool,
}

/// Facts about the node that plans depend on.
#[derive(Debug, Clone, Default)]
pub struct NodePolicy {
    pub node_name: String,
    /// The node's own addresses, primary first.
    pub host_ips: Vec<String>,
    pub cluster_domain: String,
    pub cluster_dns: Vec<String>,
    /// `127.0.0.1:6443` as pods reach it: the `kubernetes` Service's address and port.
    pub max_pods: u32,
    /// Allocatable CPU (milli) and memory (bytes): defaults of the downward API.
    pub allocatable_cpu_milli: i64,
    pub allocatable_memory: i64,
}
