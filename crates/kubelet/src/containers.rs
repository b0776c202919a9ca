//! Which containers start, restart or stop now.
//!
//! Init containers one after another, sidecars as soon as they are started, then everything else together
//! (kuberuntime_container.go, `computeInitContainerActions`; kuberuntime_manager.go, `computePodActions`).

use crate::backoff;
use crate::plan::{Sight, Wanted};
use crate::probes;
use crate::resize;
use crate::types::{
    ContainerKind, ContainerPhase, ContainerSeen, Hook, PodOp, PodPlan, SandboxSeen,
};
use k8s_openapi::api::core::v1::Container;

/// Where a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Never started, or to be started again.
    ToStart {
        attempt: u32,
        crashes: u32,
        wait_until: Option<meta::Time>,
    },
    Running,
    /// Exited with 0 and stays so.
    Succeeded,
    /// Exited otherwise and stays so.
    Failed,
}

/// Whether a new sandbox would have anything to do.
pub(crate) fn something_to_run(sight: &Sight<'_>) -> bool {
    let apps = sight.wanted().filter(|w| w.kind == ContainerKind::App);
    let mut standings = apps.map(|w| standing(sight, w));
    standings.any(|s| matches!(s, Standing::ToStart { .. } | Standing::Running))
}

pub(crate) fn run(sight: &Sight<'_>, sandbox: &SandboxSeen, plan: &mut PodPlan) {
    if !initialised(sight, sandbox, plan) {
        return;
    }
    for wanted in sight.wanted().filter(|w| w.kind == ContainerKind::App) {
        step(sight, sandbox, wanted, plan);
    }
    ephemeral(sight, sandbox, plan);
}

/// Brings init containers on; true when the others may start. Once they may, a restarted sidecar does not hold
/// them up again.
fn initialised(sight: &Sight<'_>, sandbox: &SandboxSeen, plan: &mut PodPlan) -> bool {
    let apps_started = sight.wanted().any(|w| {
        w.kind == ContainerKind::App
            && sight.latest(&w.container.name).is_some_and(|c| c.sandbox == sandbox.id)
    });
    for wanted in sight.wanted().filter(|w| w.kind != ContainerKind::App) {
        let done = match wanted.kind {
            ContainerKind::Sidecar => {
                step(sight, sandbox, wanted, plan);
                probes::is_started(sight, wanted.container)
            }
            _ if apps_started => true,
            _ => match standing(sight, wanted) {
                Standing::Succeeded => true,
                Standing::Failed => false,
                _ => {
                    step(sight, sandbox, wanted, plan);
                    false
                }
            },
        };
        if !done && !apps_started {
            return false;
        }
    }
    true
}

fn step(sight: &Sight<'_>, sandbox: &SandboxSeen, wanted: Wanted<'_>, plan: &mut PodPlan) {
    // What is half made belongs to the start under way; another attempt beside it would fight it for its ports.
    if is_starting(sight, &wanted.container.name) {
        return;
    }
    match standing(sight, wanted) {
        Standing::ToStart { wait_until: Some(at), .. } if at > sight.now => {
            sight.wake(plan, at);
        }
        Standing::ToStart { attempt, crashes, .. } => {
            let name = wanted.container.name.clone();
            sight.ask(plan, PodOp::StartContainer { name, kind: wanted.kind, attempt, crashes });
        }
        Standing::Running => tend(sight, sandbox, wanted.container, plan),
        Standing::Succeeded | Standing::Failed => {}
    }
}

fn is_starting(sight: &Sight<'_>, container: &str) -> bool {
    let start = |op: &PodOp| matches!(op, PodOp::StartContainer { name, .. } if name == container);
    sight.seen.under_way.iter().any(start)
}

/// A running container: its hook, its probes, its spec.
fn tend(sight: &Sight<'_>, sandbox: &SandboxSeen, container: &Container, plan: &mut PodPlan) {
    let Some(running) = sight.latest(&container.name) else { return };
    if running.sandbox != sandbox.id {
        return sight.ask(plan, sight.stop(running, sight.grace_secs(), false));
    }
    match post_start(sight, container, running) {
        Some(Ok(())) | None => {}
        Some(Err(_)) => return sight.ask(plan, sight.stop(running, sight.grace_secs(), true)),
    }
    if needs_post_start(container) && post_start(sight, container, running).is_none() {
        let (id, name) = (running.id.clone(), running.name.clone());
        return sight.ask(plan, PodOp::RunHook { id, name, hook: Hook::PostStart });
    }
    if running.spec_hash != spec_hash(container) {
        let message = format!("Container {} definition changed, will be restarted", container.name);
        sight.note(plan, "Killing", message, &container.name);
        return sight.ask(plan, sight.stop(running, sight.grace_secs(), true));
    }
    if resize::tend(sight, container, running, plan) {
        let message = format!("Container {} resize requires restart", container.name);
        sight.note(plan, "Killing", message, &container.name);
        return sight.ask(plan, sight.stop(running, sight.grace_secs(), true));
    }
    probes::tend(sight, container, running, plan);
}

pub(crate) fn needs_post_start(container: &Container) -> bool {
    container.lifecycle.as_ref().is_some_and(|l| l.post_start.is_some())
}

fn post_start<'a>(
    sight: &Sight<'a>,
    container: &Container,
    running: &ContainerSeen,
) -> Option<&'a Result<(), String>> {
    needs_post_start(container)
        .then(|| sight.seen.hooks.get(&(running.id.clone(), Hook::PostStart)))
        .flatten()
}

/// Where a container stands, by its newest attempt and the restart policies.
pub(crate) fn standing(sight: &Sight<'_>, wanted: Wanted<'_>) -> Standing {
    let Some(latest) = sight.latest(&wanted.container.name) else {
        return Standing::ToStart { attempt: 0, crashes: 0, wait_until: None };
    };
    match latest.phase {
        ContainerPhase::Running => Standing::Running,
        // Left over from a start that was interrupted: start over.
        ContainerPhase::Created if latest.error.is_empty() => {
            let (attempt, crashes) = (latest.attempt + 1, latest.crashes);
            Standing::ToStart { attempt, crashes, wait_until: None }
        }
        _ => exited(sight, wanted, latest),
    }
}

fn exited(sight: &Sight<'_>, wanted: Wanted<'_>, latest: &ContainerSeen) -> Standing {
    let ok = latest.exit_code == 0 && latest.error.is_empty();
    if !restarts(sight, wanted, ok) {
        return if ok { Standing::Succeeded } else { Standing::Failed };
    }
    let finished = latest.finished.unwrap_or(sight.now);
    let ran_secs = latest.started.map_or(0, |started| finished.ms_since(started) / 1000);
    let crashes = backoff::crashes_after(latest.crashes, ran_secs);
    Standing::ToStart {
        attempt: latest.attempt + 1,
        crashes: crashes + 1,
        wait_until: Some(finished.plus_secs(backoff::delay_secs(crashes))),
    }
}

/// The pod's restart policy, or the container's own; init containers never run again after success.
fn restarts(sight: &Sight<'_>, wanted: Wanted<'_>, ok: bool) -> bool {
    let own = wanted.container.restart_policy.as_deref();
    let policy = own.or(sight.spec.restart_policy.as_deref()).unwrap_or("Always");
    match (wanted.kind, policy) {
        (ContainerKind::Sidecar, _) => true,
        (_, "Never") | (ContainerKind::Ephemeral, _) => false,
        (ContainerKind::Init, _) | (_, "OnFailure") => !ok,
        _ => true,
    }
}

/// Debug containers start once, whatever became of the others.
fn ephemeral(sight: &Sight<'_>, sandbox: &SandboxSeen, plan: &mut PodPlan) {
    for debug in sight.spec.ephemeral_containers.iter().flatten() {
        let fresh = sight.latest(&debug.name).is_none() && !is_starting(sight, &debug.name);
        if fresh && sandbox.ready {
            let (name, kind) = (debug.name.clone(), ContainerKind::Ephemeral);
            sight.ask(plan, PodOp::StartContainer { name, kind, attempt: 0, crashes: 0 });
        }
    }
}

/// What a restart is needed for when it changes (upstream hashes name and image alone since 1.31,
/// container/helpers.go `HashContainer`). FNV-1a.
pub fn spec_hash(container: &Container) -> u64 {
    let image = container.image.as_deref().unwrap_or_default();
    let text = format!("{}\0{image}", container.name);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
