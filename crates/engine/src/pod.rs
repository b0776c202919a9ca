//! Pod sandboxes: several containers sharing network, IPC and, if wanted, PID namespace.
//!
//! The shapes follow the CRI's RunPodSandbox, CreateContainer and friends, in neutral words: the
//! caller decides what a pod is. Containers of pods do not show up on the Docker face.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::time::Stamp;

/// Whose namespace a sandbox or container uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NamespaceMode {
    /// One for the whole sandbox.
    #[default]
    Pod,
    /// One for each container.
    Container,
    /// The machine's.
    Node,
}

/// Where the sandbox's network comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SandboxNetwork {
    /// The machine's own network namespace.
    Host,
    /// An endpoint on the engine network with this name (create it first).
    Bridge(String),
}

/// The resolver configuration of a sandbox, written to its resolv.conf as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SandboxDns {
    pub servers: Vec<String>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

/// A port of the machine that leads into the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxPort {
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    pub container_port: u16,
    pub host_port: u16,
    /// Empty: every address.
    pub host_ip: String,
}

/// A sandbox that is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// Unique among live sandboxes of this engine; running one twice is a conflict.
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Empty: the machine's host name.
    pub hostname: String,
    /// `None`: the machine's resolv.conf.
    pub dns: Option<SandboxDns>,
    /// Whole content of `/etc/hosts`; `None`: the engine writes the usual one.
    pub hosts: Option<String>,
    pub network: SandboxNetwork,
    pub pid: NamespaceMode,
    pub ipc: NamespaceMode,
    pub ports: Vec<SandboxPort>,
    pub sysctls: BTreeMap<String, String>,
    /// The cgroup (relative to the hierarchies' roots) under which all its containers live;
    /// empty: the engine makes one.
    pub cgroup_parent: String,
    /// Limits of the whole sandbox. Recorded only: whoever names `cgroup_parent` sets them there,
    /// as the kubelet does with its pod cgroups.
    pub resources: PodResources,
    /// Bytes of `/dev/shm` shared by its containers; 0: 64 MiB.
    pub shm_size: u64,
}

/// What a running sandbox looks like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SandboxSeen {
    pub id: String,
    pub spec: SandboxSpec,
    pub created: Stamp,
    pub ready: bool,
    /// Addresses inside; empty on the host network.
    pub ips: Vec<String>,
    /// The network namespace, for port forwarding; `None` on the host network.
    pub netns: Option<PathBuf>,
    /// The cgroup below the hierarchies' roots.
    pub cgroup: String,
}

/// Limits; 0 or empty means none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PodResources {
    pub cpu_shares: u64,
    /// Microseconds per period.
    pub cpu_quota: i64,
    pub cpu_period: u64,
    pub memory_bytes: i64,
    pub memory_swap_bytes: i64,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    pub pids: i64,
    pub oom_score_adj: i32,
    /// Huge page limits by page size (`2MB`).
    pub hugepages: BTreeMap<String, u64>,
}

/// A bind mount into a pod's container. The source must exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodMount {
    pub source: PathBuf,
    pub target: String,
    pub read_only: bool,
    /// `private`, `rslave` or `rshared`.
    pub propagation: String,
    /// The image whose content is mounted instead of `source`; empty: none.
    pub image: String,
    /// Below the image or source; empty: its root.
    pub sub_path: String,
}

/// What a process may do. `None` leaves the image's or the engine's default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PodSecurity {
    /// `uid`, `uid:gid`, `name` or `name:group`; `None`: the image's.
    pub user: Option<String>,
    pub supplemental_groups: Vec<u32>,
    pub privileged: bool,
    pub capabilities_add: Vec<String>,
    pub capabilities_drop: Vec<String>,
    pub no_new_privileges: bool,
    pub readonly_rootfs: bool,
    /// `None`: the engine's default profile; `Some("unconfined")`; else the profile's JSON.
    pub seccomp: Option<String>,
    /// `None`: the usual ones.
    pub masked_paths: Option<Vec<String>>,
    pub readonly_paths: Option<Vec<String>>,
}

/// A device of the machine inside the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodDevice {
    pub host_path: String,
    pub container_path: String,
    /// Letters of `rwm`.
    pub permissions: String,
}

/// A container inside a sandbox.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PodContainerSpec {
    /// Unique among live containers of the sandbox.
    pub name: String,
    /// Reference, digest or id of an image that is already here.
    pub image: String,
    /// Replaces the image's entrypoint; `None`: the image's.
    pub command: Option<Vec<String>>,
    /// Replaces the image's command; `None`: the image's unless `command` is set.
    pub args: Option<Vec<String>>,
    pub working_dir: Option<String>,
    /// On top of the image's; later wins.
    pub env: Vec<(String, String)>,
    pub mounts: Vec<PodMount>,
    pub devices: Vec<PodDevice>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Absolute path of the log file, in the CRI's format; its directory must exist.
    pub log_path: Option<PathBuf>,
    /// The log is moved aside when it would grow beyond this; 0: never.
    #[serde(default)]
    pub log_max_bytes: u64,
    /// Log files kept, the present one included.
    #[serde(default)]
    pub log_max_files: u32,
    pub stdin: bool,
    pub stdin_once: bool,
    pub tty: bool,
    pub resources: PodResources,
    pub security: PodSecurity,
    /// `None`: the sandbox's PID mode. `Container` gives it its own.
    pub pid: Option<NamespaceMode>,
    /// The signal that `stop` sends; `None`: the image's, else SIGTERM.
    pub stop_signal: Option<String>,
}

/// Phases of a pod's container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodContainerPhase {
    Created,
    Running,
    Exited,
}

/// What a pod's container looks like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PodContainerSeen {
    pub id: String,
    pub sandbox: String,
    pub spec: PodContainerSpec,
    /// Digest of the image's configuration, `sha256:..`.
    pub image_id: String,
    pub phase: PodContainerPhase,
    pub created: Stamp,
    pub started: Stamp,
    pub finished: Stamp,
    pub exit_code: i32,
    pub oom_killed: bool,
    /// Why it could not start; empty when it did.
    pub error: String,
    pub pid: i32,
}

/// What an exec that was waited for gave back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    pub exit_code: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// The time ran out and the process was killed.
    pub timed_out: bool,
}

/// Which sandboxes or containers a list wants; empty fields match all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodFilter {
    /// A full id or a prefix.
    pub id: String,
    pub sandbox: String,
    pub labels: BTreeMap<String, String>,
}

/// CPU and memory of a sandbox or container at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PodUsage {
    pub at: Stamp,
    pub cpu_nanos: u64,
    pub memory_bytes: u64,
    /// Memory without what the kernel can take back at once (inactive file pages).
    pub working_set_bytes: u64,
    pub pids: u64,
    /// Bytes of the writable layer.
    pub writable_bytes: u64,
}
