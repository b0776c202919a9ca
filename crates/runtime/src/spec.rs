//! What a caller wants: containers, sandboxes, processes. Plain data, no behaviour.
//!
//! Names are resolved before they come here (users to numbers, images to directories); the only
//! exception is [`crate::users`], which offers that lookup safely.

use crate::resources::Resources;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One container: a root file system, one first process, and the walls around it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    /// Unique on this keeper: letters, digits, `_`, `.`, `-`, at most 128.
    pub id: String,
    /// Sandbox whose namespaces [`Namespace::Sandbox`] means.
    pub sandbox: Option<String>,
    pub rootfs: Rootfs,
    pub readonly_rootfs: bool,
    pub process: ProcessSpec,
    /// Run the process under a tiny built-in init as pid 1 (`docker run --init`).
    pub init: bool,
    pub namespaces: Namespaces,
    /// Set only in a new UTS namespace; empty leaves the kernel's value.
    pub hostname: String,
    pub domainname: String,
    /// Applied in order, after the root file system. Nothing is added implicitly:
    /// see [`crate::defaults`] for what docker mounts.
    pub mounts: Vec<Mount>,
    pub masked_paths: Vec<String>,
    pub readonly_paths: Vec<String>,
    /// Device nodes to make under `/dev`, beyond [`crate::defaults::devices`].
    pub devices: Vec<Device>,
    /// Device cgroup rules, in order; empty means everything is allowed.
    pub device_rules: Vec<DeviceRule>,
    /// Only sysctls of namespaces that the container does not share with the host.
    pub sysctls: BTreeMap<String, String>,
    /// Parent cgroup as an absolute path below each hierarchy, for example `/boxship/default`.
    /// The container's own cgroup is `<cgroup_parent>/<id>`.
    pub cgroup_parent: String,
    pub resources: Resources,
    pub stdin: Stdin,
    pub logs: LogSpec,
    /// Opaque to the runtime, returned by `observe`.
    pub labels: BTreeMap<String, String>,
}

/// Where `/` comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Rootfs {
    /// A directory used as it is.
    Dir(PathBuf),
    /// Mounted in the container's own mount namespace, so it never shows in the host's.
    /// `lower` is ordered from the topmost layer down, as overlayfs wants it.
    Overlay { lower: Vec<PathBuf>, upper: PathBuf, work: PathBuf },
}

impl Default for Rootfs {
    fn default() -> Self {
        Self::Dir(PathBuf::new())
    }
}

/// A process to start: the first one of a container, or one more by exec.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessSpec {
    /// `args[0]` is looked up in the PATH of `env`, inside the container, unless it has a slash.
    pub args: Vec<String>,
    /// `NAME=value`; the whole environment, nothing is inherited.
    pub env: Vec<String>,
    /// Created when missing. Empty means `/`.
    pub cwd: String,
    pub user: User,
    /// A terminal of this size instead of pipes.
    pub tty: Option<TtySize>,
    pub capabilities: Capabilities,
    pub no_new_privileges: bool,
    pub seccomp: Seccomp,
    pub rlimits: Vec<Rlimit>,
    pub oom_score_adj: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub additional_gids: Vec<u32>,
    /// Default 0o022.
    pub umask: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TtySize {
    pub rows: u16,
    pub cols: u16,
}

/// Capability names with their prefix (`CAP_CHOWN`). Sets are intersected with what the keeper
/// itself has; what had to go is reported in [`crate::ContainerSeen::warnings`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    pub bounding: Vec<String>,
    pub effective: Vec<String>,
    pub permitted: Vec<String>,
    pub inheritable: Vec<String>,
    pub ambient: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Seccomp {
    /// No filter.
    #[default]
    Unconfined,
    /// Docker's default profile.
    RuntimeDefault,
    /// The text of a profile in docker's JSON format.
    Profile(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// Lower case without prefix, as docker writes it: `nofile`, `core`, `nproc` ...
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}

/// One namespace of each kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    pub net: Namespace,
    pub pid: Namespace,
    pub ipc: Namespace,
    pub uts: Namespace,
    pub cgroup: Namespace,
    /// A user namespace with these mappings; `None` is the keeper's.
    pub user: Option<UserMaps>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Namespace {
    /// A fresh one that dies with the container.
    #[default]
    New,
    /// The keeper's own.
    Host,
    /// The one of the sandbox in [`ContainerSpec::sandbox`].
    Sandbox,
    /// The one of another running container, by id (`--pid container:X`).
    Container(String),
    /// A namespace file.
    Path(PathBuf),
}

/// At most 340 lines each, as the kernel allows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UserMaps {
    pub uids: Vec<IdMap>,
    pub gids: Vec<IdMap>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    pub container: u32,
    pub host: u32,
    pub size: u32,
}

/// One mount. `target` is a path inside the container; links on the way are followed inside the
/// root only. A missing target is created: a file when the source is one, else a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub target: String,
    pub kind: MountKind,
    #[serde(default)]
    pub readonly: bool,
    /// `nosuid`, `nodev`, `noexec`, `relatime`, `noatime`, `nodiratime`, `strictatime`.
    #[serde(default)]
    pub flags: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MountKind {
    /// `recursive` is docker's rbind and the default of every client; a read-only recursive bind
    /// makes the mounts below it read-only as well.
    Bind {
        source: PathBuf,
        recursive: bool,
        propagation: Propagation,
    },
    /// `options` as for mount(8), for example `size=64m`, `mode=1777`.
    Tmpfs {
        options: Vec<String>,
    },
    Proc,
    Sysfs,
    Mqueue,
    Devpts,
    /// The container's own cgroup: cgroup2, or a tmpfs with one directory per v1 hierarchy.
    Cgroup,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Propagation {
    #[default]
    Private,
    /// Mounts made on the host show in the container (HostToContainer).
    Slave,
    /// Both ways (Bidirectional). The source must lie on a shared mount.
    Shared,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub path: String,
    pub kind: DeviceKind,
    pub major: u32,
    pub minor: u32,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeviceKind {
    Char,
    Block,
    /// A named pipe. Rules never match one.
    Fifo,
    /// In rules only: char and block.
    All,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    pub allow: bool,
    pub kind: DeviceKind,
    /// `None` is `*`.
    pub major: Option<u32>,
    pub minor: Option<u32>,
    /// Any of `r`, `w`, `m`.
    pub access: String,
}

/// What the first process reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stdin {
    /// `/dev/null` (or a terminal nobody types on).
    #[default]
    Closed,
    /// Stays open when an attached client goes away.
    Open,
    /// Closed when the first attached client closes its side (docker's StdinOnce).
    Once,
}

/// Where output goes besides attached clients. A terminal's output counts as stdout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogSpec {
    pub format: LogFormat,
    /// The newest file; older ones get `.1`, `.2` ... (docker's way). Parent must exist.
    pub path: PathBuf,
    /// Bytes after which a file is rotated; 0 never.
    pub max_size: u64,
    /// Files kept, with the newest; 0 or 1 keeps one and truncates it.
    pub max_files: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LogFormat {
    #[default]
    None,
    /// Docker's json-file: `{"log":"text\n","stream":"stdout","time":"..."}`.
    JsonFile,
    /// `<RFC3339Nano> stdout|stderr F|P text`.
    Cri,
}

/// Namespaces held on their own, before and after the containers that join them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxSpec {
    /// Same rules as container ids; a name space of its own.
    pub id: String,
    /// `true`: a new network namespace with `lo` up; else the host's.
    pub net: bool,
    pub ipc: bool,
    pub uts: bool,
    /// Shared process namespace, held by a tiny pause process that reaps orphans.
    pub pid: bool,
    pub hostname: String,
    pub domainname: String,
    /// Of the namespaces made here (`net.*`, `kernel.shm*` ...).
    pub sysctls: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

/// One more process in a running container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecSpec {
    /// Unique on this keeper among execs.
    pub id: String,
    pub container: String,
    pub process: ProcessSpec,
    /// Whether the caller wants to write; else the process reads `/dev/null`.
    pub stdin: bool,
}

/// Which streams of a running container a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AttachSpec {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}
