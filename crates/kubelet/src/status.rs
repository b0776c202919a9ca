//! What the pod's status says (pkg/kubelet/kubelet_pods.go `generateAPIPodStatus`, `getPhase`;
//! pkg/kubelet/status/generate.go).

mod conditions;
mod container;

use crate::containers::{self, Standing};
use crate::plan::Sight;
use crate::types::{ContainerKind, ContainerPhase, ContainerSeen};
use k8s_openapi::api::core::v1::{ContainerStatus, HostIP, PodIP, PodStatus};

/// The whole status. Fields of other writers (scheduler, resize, readiness gates) stay as they are.
pub(crate) fn report(sight: &Sight<'_>) -> PodStatus {
    let mut status = sight.pod.status.clone().unwrap_or_default();
    addresses(sight, &mut status);
    status.start_time.get_or_insert_with(|| typed::api_time(sight.now));
    let (init, apps): (Vec<_>, Vec<_>) = sight.wanted().partition(|w| w.kind != ContainerKind::App);
    let of = |list: Vec<_>| -> Option<Vec<ContainerStatus>> {
        let statuses: Vec<_> = list.into_iter().map(|w| container::status(sight, w)).collect();
        (!statuses.is_empty()).then_some(statuses)
    };
    status.init_container_statuses = of(init);
    status.container_statuses = of(apps);
    status.ephemeral_container_statuses = container::ephemeral(sight);
    phase(sight, &mut status);
    status.observed_generation = sight.pod.metadata.generation;
    conditions::set(sight, &mut status);
    status
}

fn addresses(sight: &Sight<'_>, status: &mut PodStatus) {
    let hosts = &sight.policy.host_ips;
    status.host_ip = hosts.first().cloned();
    status.host_ips = Some(hosts.iter().map(|ip| HostIP { ip: ip.clone() }).collect());
    let own = sight.seen.sandboxes.last().map(|s| s.ips.clone()).unwrap_or_default();
    let ips = if sight.spec.host_network == Some(true) { hosts.clone() } else { own };
    // Addresses of a pod whose sandbox is gone stay visible, as upstream keeps them.
    if !ips.is_empty() {
        status.pod_ip = ips.first().cloned();
        status.pod_ips = Some(ips.into_iter().map(|ip| PodIP { ip }).collect());
    }
}

fn phase(sight: &Sight<'_>, status: &mut PodStatus) {
    if sight.is_over() {
        return;
    }
    // A pod is over only when nothing of it runs any more (status_manager.go, `mergePodStatus`).
    if anything_runs(sight) && (sight.deadline_passed() || has_ended(sight)) {
        status.phase.get_or_insert_with(|| "Running".into());
        return;
    }
    if sight.deadline_passed() {
        status.phase = Some("Failed".into());
        status.reason = Some("DeadlineExceeded".into());
        let message = "Pod was active on the node longer than the specified deadline";
        status.message = Some(message.into());
        return;
    }
    status.phase = Some(decided(sight).into());
}

/// Whether its containers have brought the pod to its end; sidecars may still have to be stopped.
pub(crate) fn has_ended(sight: &Sight<'_>) -> bool {
    !sight.is_deleted() && matches!(decided(sight), "Succeeded" | "Failed")
}

fn decided(sight: &Sight<'_>) -> &'static str {
    if sight.is_deleted() && !anything_runs(sight) && started_once(sight) {
        return if anything_failed(sight) { "Failed" } else { "Succeeded" };
    }
    let started = apps_started(sight);
    for wanted in sight.wanted().filter(|w| w.kind == ContainerKind::Init) {
        match containers::standing(sight, wanted) {
            Standing::Succeeded => {}
            Standing::Failed => return "Failed",
            _ if started => {}
            _ => return "Pending",
        }
    }
    apps(sight)
}

fn apps_started(sight: &Sight<'_>) -> bool {
    let mut apps = sight.wanted().filter(|w| w.kind == ContainerKind::App);
    apps.any(|w| sight.latest(&w.container.name).is_some())
}

fn apps(sight: &Sight<'_>) -> &'static str {
    let apps = || sight.wanted().filter(|w| w.kind == ContainerKind::App);
    let standings: Vec<Standing> = apps().map(|w| containers::standing(sight, w)).collect();
    if apps().any(|w| never_ran(sight, &w.container.name)) {
        return "Pending";
    }
    let alive = |s: &Standing| matches!(s, Standing::Running | Standing::ToStart { .. });
    if standings.iter().any(alive) {
        return "Running";
    }
    if standings.iter().all(|s| *s == Standing::Succeeded) { "Succeeded" } else { "Failed" }
}

/// No attempt yet, or only a first one that was made and not started (`getPhase` in pkg/kubelet/kubelet_pods.go:
/// waiting, and never terminated before).
fn never_ran(sight: &Sight<'_>, container: &str) -> bool {
    let made = |c: &ContainerSeen| {
        c.phase == ContainerPhase::Created && c.error.is_empty() && c.attempt == 0
    };
    sight.latest(container).is_none_or(made)
}

fn anything_runs(sight: &Sight<'_>) -> bool {
    sight.seen.containers.iter().any(|c| c.phase == ContainerPhase::Running)
}

fn started_once(sight: &Sight<'_>) -> bool {
    !sight.seen.containers.is_empty()
}

fn anything_failed(sight: &Sight<'_>) -> bool {
    let mut apps = sight.wanted().filter(|w| w.kind == ContainerKind::App);
    apps.any(|w| sight.latest(&w.container.name).is_none_or(|c| c.exit_code != 0))
}
