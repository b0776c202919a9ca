//! Requests and limits as the kernel counts them (pkg/kubelet/cm/helpers_linux.go, pkg/kubelet/qos/policy.go).

use crate::types::NodePolicy;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use meta::Quantity;

/// What a container's cgroup is told; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CgroupLimits {
    pub cpu_shares: u64,
    /// Microseconds per `cpu_period`.
    pub cpu_quota: i64,
    pub cpu_period: u64,
    pub memory_bytes: i64,
    pub oom_score_adj: i32,
}

const PERIOD: u64 = 100_000;
const SHARES_MIN: i64 = 2;
const SHARES_MAX: i64 = 262_144;
const QUOTA_MIN: i64 = 1000;

pub fn limits(pod: &Pod, container: &Container, policy: &NodePolicy) -> CgroupLimits {
    let resources = container.resources.clone().unwrap_or_default();
    let request =
        milli(&resources, Kind::Requests, "cpu").or_else(|| milli(&resources, Kind::Limits, "cpu"));
    let quota = milli(&resources, Kind::Limits, "cpu");
    CgroupLimits {
        cpu_shares: shares(request.unwrap_or(0)),
        cpu_quota: quota.map_or(0, |m| (m * 100).max(QUOTA_MIN)),
        cpu_period: if quota.is_some() { PERIOD } else { 0 },
        memory_bytes: bytes(&resources, Kind::Limits, "memory").unwrap_or(0),
        oom_score_adj: oom_score(pod, &resources, policy),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Limits,
    Requests,
}

fn amount(resources: &ResourceRequirements, kind: Kind, name: &str) -> Option<Quantity> {
    let map = match kind {
        Kind::Limits => resources.limits.as_ref(),
        Kind::Requests => resources.requests.as_ref(),
    };
    Quantity::parse(&map?.get(name)?.0).ok()
}

fn milli(resources: &ResourceRequirements, kind: Kind, name: &str) -> Option<i64> {
    amount(resources, kind, name).map(|q| q.milli_value()).filter(|m| *m > 0)
}

fn bytes(resources: &ResourceRequirements, kind: Kind, name: &str) -> Option<i64> {
    amount(resources, kind, name).map(|q| q.value()).filter(|b| *b > 0)
}

fn shares(milli: i64) -> u64 {
    u64::try_from((milli * 1024 / 1000).clamp(SHARES_MIN, SHARES_MAX)).unwrap_or(2)
}

/// Guaranteed pods go last, best-effort pods first, the others by how much of the node's memory they asked for
/// (`GetContainerOOMScoreAdjust`).
fn oom_score(pod: &Pod, resources: &ResourceRequirements, policy: &NodePolicy) -> i32 {
    let class = pod.status.as_ref().and_then(|s| s.qos_class.as_deref()).unwrap_or("BestEffort");
    let priority = pod.spec.as_ref().and_then(|s| s.priority).unwrap_or(0);
    if priority >= 2_000_001_000 || class == "Guaranteed" {
        return -997;
    }
    if class == "BestEffort" {
        return 1000;
    }
    let asked = bytes(resources, Kind::Requests, "memory").unwrap_or(0);
    let score = 1000 - 1000 * asked / policy.allocatable_memory.max(1);
    i32::try_from(score.clamp(3, 999)).unwrap_or(999)
}
