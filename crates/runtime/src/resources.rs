//! Limits of a container, in docker's units. `None` leaves the kernel's value alone.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Bytes; -1 is unlimited.
    pub memory: Option<i64>,
    /// Soft limit, bytes.
    pub memory_reservation: Option<i64>,
    /// Memory plus swap, bytes, as docker counts it; -1 is unlimited.
    pub memory_swap: Option<i64>,
    /// 0 to 100; v1 only.
    pub memory_swappiness: Option<u64>,
    pub oom_kill_disable: bool,
    /// v1 shares, 2 to 262144; converted to a weight on v2.
    pub cpu_shares: Option<u64>,
    /// Microseconds per period; -1 is unlimited.
    pub cpu_quota: Option<i64>,
    /// Microseconds.
    pub cpu_period: Option<u64>,
    /// `0-3,5`; empty string inherits.
    pub cpuset_cpus: Option<String>,
    pub cpuset_mems: Option<String>,
    /// -1 is unlimited.
    pub pids: Option<i64>,
    /// 10 to 1000.
    pub blkio_weight: Option<u16>,
    pub blkio_throttle: Vec<Throttle>,
    pub hugetlb: Vec<HugetlbLimit>,
    /// cgroup v2 files written as they are (`memory.high`, `memory.min` ...); refused on v1.
    pub unified: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    pub kind: ThrottleKind,
    pub major: u32,
    pub minor: u32,
    /// Bytes or operations per second; 0 lifts the limit.
    pub rate: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ThrottleKind {
    ReadBps,
    WriteBps,
    ReadIops,
    WriteIops,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HugetlbLimit {
    /// `2MB`, `1GB`.
    pub page_size: String,
    pub limit: u64,
}
