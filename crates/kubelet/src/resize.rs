//! In-place resize of a running pod (pkg/kubelet/allocation/allocation_manager.go,
//! pkg/kubelet/kuberuntime/kuberuntime_manager.go `computePodResizeAction`).
//!
//! What a container was last told stands with the container; what differs from the spec is brought to it, by its
//! cgroup or, where the resize policy says so, by a restart.

use crate::plan::Sight;
use crate::resources::{CgroupLimits, limits};
use crate::types::{ContainerPhase, ContainerSeen, PodOp, PodPlan};
use k8s_openapi::api::core::v1::Container;
use meta::Quantity;

/// Where a pod's resize stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resize {
    Settled,
    /// Containers still have to be brought to their spec.
    UnderWay,
    /// The node cannot ever hold what is asked for.
    Infeasible(String),
}

pub(crate) fn standing(sight: &Sight<'_>) -> Resize {
    let differs = sight.wanted().any(|w| {
        let running = sight.latest(&w.container.name);
        running
            .is_some_and(|c| c.phase == ContainerPhase::Running && differs(sight, w.container, c))
    });
    match (differs, infeasible(sight)) {
        (false, _) => Resize::Settled,
        (true, Some(why)) => Resize::Infeasible(why),
        (true, None) => Resize::UnderWay,
    }
}

/// Asks for the resize of one running container; true when it is to be restarted instead.
pub(crate) fn tend(
    sight: &Sight<'_>,
    container: &Container,
    running: &ContainerSeen,
    plan: &mut PodPlan,
) -> bool {
    if !differs(sight, container, running) || infeasible(sight).is_some() {
        return false;
    }
    if needs_restart(sight, container, running) {
        return true;
    }
    let (id, name) = (running.id.clone(), running.name.clone());
    sight.ask(plan, PodOp::Resize { id, name });
    false
}

/// The part of the limits that a running container's cgroup can be brought to.
fn wanted(sight: &Sight<'_>, container: &Container) -> CgroupLimits {
    CgroupLimits { oom_score_adj: 0, ..limits(sight.pod, container, sight.policy) }
}

fn differs(sight: &Sight<'_>, container: &Container, running: &ContainerSeen) -> bool {
    let told = CgroupLimits { oom_score_adj: 0, ..running.limits };
    told != wanted(sight, container)
}

fn needs_restart(sight: &Sight<'_>, container: &Container, running: &ContainerSeen) -> bool {
    let restarts = |resource: &str| {
        let policies = container.resize_policy.iter().flatten();
        policies
            .clone()
            .any(|p| p.resource_name == resource && p.restart_policy == "RestartContainer")
    };
    let (told, wanted) = (&running.limits, wanted(sight, container));
    let memory = told.memory_bytes != wanted.memory_bytes;
    let cpu = (told.cpu_shares, told.cpu_quota) != (wanted.cpu_shares, wanted.cpu_quota);
    (memory && restarts("memory")) || (cpu && restarts("cpu"))
}

fn infeasible(sight: &Sight<'_>) -> Option<String> {
    let asked = |name: &str| -> i64 {
        let requests = |c: &Container| {
            let text = c.resources.as_ref()?.requests.as_ref()?.get(name)?.0.clone();
            Quantity::parse(&text).ok().map(|q| q.milli_value())
        };
        sight.spec.containers.iter().filter_map(requests).sum()
    };
    let capacity = [
        ("cpu", sight.policy.allocatable_cpu_milli, 1),
        ("memory", sight.policy.allocatable_memory, 1000),
    ];
    capacity.into_iter().find_map(|(name, capacity, milli)| {
        let requested = asked(name) / milli;
        (capacity > 0 && requested > capacity).then(|| {
            format!(
                "Node didn't have enough capacity: {name}, requested: {requested}, capacity: {capacity}"
            )
        })
    })
}
