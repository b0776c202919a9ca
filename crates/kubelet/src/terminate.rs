//! The end of a pod: deleted, finished, or past its deadline (pkg/kubelet/kuberuntime/kuberuntime_container.go
//! `killContainersWithSyncResult`, pkg/kubelet/pod_workers.go).

use crate::plan::Sight;
use crate::types::{ContainerKind, ContainerPhase, ContainerSeen, PodOp, PodPlan, VolumesSeen};

/// A deleted pod: containers stop within the grace period, then everything of it goes, then it is gone.
pub(crate) fn deleted(sight: &Sight<'_>, plan: &mut PodPlan) {
    if stop_containers(sight, sight.grace_secs(), plan) {
        return;
    }
    if stop_sandboxes(sight, plan) {
        return;
    }
    for container in &sight.seen.containers {
        sight.ask(plan, PodOp::RemoveContainer { id: container.id.clone() });
    }
    if !sight.seen.containers.is_empty() {
        return;
    }
    for sandbox in &sight.seen.sandboxes {
        sight.ask(plan, PodOp::RemoveSandbox { id: sandbox.id.clone() });
    }
    if !sight.seen.sandboxes.is_empty() {
        return;
    }
    if sight.seen.volumes != VolumesSeen::Absent {
        return sight.ask(plan, PodOp::CleanUp);
    }
    plan.gone = sight.seen.under_way.is_empty();
}

/// A finished pod keeps its containers for their logs, but nothing runs and no address is held.
pub(crate) fn over(sight: &Sight<'_>, plan: &mut PodPlan) {
    let grace = sight.spec.termination_grace_period_seconds.unwrap_or(30);
    if !stop_containers(sight, grace, plan) {
        stop_sandboxes(sight, plan);
    }
}

/// Stops what runs; sidecars only after everything else, the last one first. True while something runs.
fn stop_containers(sight: &Sight<'_>, grace_secs: i64, plan: &mut PodPlan) -> bool {
    let running: Vec<&ContainerSeen> =
        sight.seen.containers.iter().filter(|c| c.phase == ContainerPhase::Running).collect();
    let sidecars: Vec<&str> = sight
        .wanted()
        .filter(|w| w.kind == ContainerKind::Sidecar)
        .map(|w| w.container.name.as_str())
        .collect();
    let (late, first): (Vec<&ContainerSeen>, Vec<&ContainerSeen>) =
        running.iter().copied().partition(|c| sidecars.contains(&c.name.as_str()));
    for container in &first {
        stop(sight, container, grace_secs, plan);
    }
    if first.is_empty() {
        let order = |c: &&ContainerSeen| sidecars.iter().position(|name| *name == c.name);
        if let Some(last) = late.into_iter().max_by_key(order) {
            stop(sight, last, grace_secs, plan);
        }
    }
    !running.is_empty()
}

fn stop(sight: &Sight<'_>, container: &ContainerSeen, grace_secs: i64, plan: &mut PodPlan) {
    let stopping = sight.seen.under_way.iter().any(|op| {
        matches!(op, PodOp::StopContainer { id, grace_secs: had, .. } if *id == container.id && *had <= grace_secs)
    });
    if stopping {
        return;
    }
    let op = sight.stop(container, grace_secs, true);
    sight.note(plan, "Killing", format!("Stopping container {}", container.name), &container.name);
    sight.ask(plan, op);
}

/// True while a sandbox is up.
fn stop_sandboxes(sight: &Sight<'_>, plan: &mut PodPlan) -> bool {
    let up: Vec<_> = sight.seen.sandboxes.iter().filter(|s| s.ready).collect();
    for sandbox in &up {
        sight.ask(plan, PodOp::StopSandbox { id: sandbox.id.clone() });
    }
    !up.is_empty()
}
