//! What the runtime observed: containers, sandboxes, exits, statistics, events.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A container as it is now. Survives the daemon and the keeper until it is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSeen {
    pub id: String,
    pub sandbox: Option<String>,
    /// First process, in the host's numbering; 0 when there is none any more.
    pub pid: i32,
    pub state: State,
    /// From the kernel at the time of the call.
    pub paused: bool,
    /// Whether the kernel killed any process of the container for memory so far.
    pub oom: bool,
    pub created: Nanos,
    pub started: Option<Nanos>,
    pub exit: Option<Exit>,
    /// What could not be done on this machine and was left out (a capability, an rlimit ...).
    pub warnings: Vec<String>,
    pub labels: BTreeMap<String, String>,
    /// `<cgroup_parent>/<id>`
    pub cgroup: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Set up to the last step, waiting for `start`.
    Created,
    Running,
    Exited,
}

/// Nanoseconds since the Unix epoch.
pub type Nanos = i64;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit status, or 128 plus the signal.
    pub code: i32,
    pub signal: Option<i32>,
    pub oom: bool,
    pub at: Nanos,
    /// The keeper itself had died: the code is then 137 and not the process's own word.
    pub lost: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSeen {
    pub id: String,
    /// Usable by any process of the host as long as the sandbox lives; `None` is the host's.
    pub net: Option<PathBuf>,
    pub ipc: Option<PathBuf>,
    pub uts: Option<PathBuf>,
    /// The pause process, 0 when the process namespace is not shared.
    pub pid: i32,
    pub created: Nanos,
    pub labels: BTreeMap<String, String>,
}

/// Everything the keeper holds, in the order of ids.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeSeen {
    pub containers: Vec<ContainerSeen>,
    pub sandboxes: Vec<SandboxSeen>,
    /// Execs still running.
    pub execs: Vec<ExecSeen>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSeen {
    pub id: String,
    pub container: String,
    pub pid: i32,
    pub warnings: Vec<String>,
}

/// An exec that has just started, with our ends of its streams.
#[derive(Debug)]
pub struct ExecStarted {
    pub seen: ExecSeen,
    pub stdio: Stdio,
}

/// Our ends of a process's streams. With a terminal `stdout` carries everything, `stderr` is
/// `None`. For execs these are pipes (or the terminal itself), for attached containers sockets.
/// End of output: end of file, or EIO on a terminal. Closing `stdin` ends the process's input.
#[derive(Debug, Default)]
pub struct Stdio {
    pub stdin: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Event {
    Started {
        id: String,
        pid: i32,
        at: Nanos,
    },
    /// All processes are gone, the output has been logged to its end.
    Exited {
        id: String,
        exit: Exit,
    },
    /// The kernel killed a process of the container for memory; the container may live on.
    Oom {
        id: String,
        at: Nanos,
    },
    ExecExited {
        id: String,
        container: String,
        code: i32,
        at: Nanos,
    },
}

/// Numbers of one container; `None` where this kernel does not count.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    pub at: Nanos,
    pub cpu: CpuStats,
    pub memory: MemoryStats,
    pub pids: PidsStats,
    pub io: Vec<IoStats>,
}

/// Nanoseconds and counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuStats {
    pub total: u64,
    pub user: u64,
    pub system: u64,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled: u64,
    /// v1 only.
    pub per_cpu: Vec<u64>,
}

/// Bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryStats {
    pub usage: u64,
    /// v1 only.
    pub max_usage: Option<u64>,
    /// `u64::MAX` is unlimited.
    pub limit: u64,
    pub failcnt: u64,
    pub oom_kills: u64,
    /// Usage without inactive file pages, as docker and the kubelet show it.
    pub working_set: u64,
    /// memory.stat as it is; names differ between v1 and v2.
    pub stat: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PidsStats {
    pub current: u64,
    /// `None` is unlimited.
    pub limit: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IoStats {
    pub major: u32,
    pub minor: u32,
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}
