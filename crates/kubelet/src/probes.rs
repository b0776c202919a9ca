//! Startup, liveness and readiness (pkg/kubelet/prober/worker.go).

use crate::plan::Sight;
use crate::types::{ContainerPhase, ContainerSeen, PodOp, PodPlan, ProbeKind, ProbeSeen};
use k8s_openapi::api::core::v1::{Container, Probe};
use meta::Time;

/// The probe's state after one more run.
pub fn record_probe(
    before: Option<&ProbeSeen>,
    probe: &Probe,
    outcome: Result<(), String>,
    at: Time,
) -> ProbeSeen {
    let ok = outcome.is_ok();
    let streak = before.filter(|b| b.ok == ok).map_or(0, |b| b.streak) + 1;
    let threshold = if ok {
        probe.success_threshold.unwrap_or(1)
    } else {
        probe.failure_threshold.unwrap_or(3)
    };
    let reached = streak >= u32::try_from(threshold).unwrap_or(1).max(1);
    let verdict = if reached { Some(ok) } else { before.and_then(|b| b.verdict) };
    ProbeSeen { at, ok, streak, verdict, message: outcome.err().unwrap_or_default() }
}

pub(crate) fn probe_of(container: &Container, kind: ProbeKind) -> Option<&Probe> {
    match kind {
        ProbeKind::Startup => container.startup_probe.as_ref(),
        ProbeKind::Liveness => container.liveness_probe.as_ref(),
        ProbeKind::Readiness => container.readiness_probe.as_ref(),
    }
}

fn seen<'a>(sight: &Sight<'a>, running: &ContainerSeen, kind: ProbeKind) -> Option<&'a ProbeSeen> {
    sight.seen.probes.get(&(running.id.clone(), kind))
}

/// Runs what is due and stops a container that startup or liveness has given up on.
pub(crate) fn tend(
    sight: &Sight<'_>,
    container: &Container,
    running: &ContainerSeen,
    plan: &mut PodPlan,
) {
    let starting = container.startup_probe.is_some()
        && verdict(sight, running, ProbeKind::Startup) != Some(true);
    let kinds: &[ProbeKind] =
        if starting { &[ProbeKind::Startup] } else { &[ProbeKind::Liveness, ProbeKind::Readiness] };
    for kind in kinds {
        let Some(probe) = probe_of(container, *kind) else { continue };
        if *kind != ProbeKind::Readiness && verdict(sight, running, *kind) == Some(false) {
            return give_up(sight, container, running, *kind, plan);
        }
        run_when_due(sight, probe, running, *kind, plan);
    }
}

fn verdict(sight: &Sight<'_>, running: &ContainerSeen, kind: ProbeKind) -> Option<bool> {
    seen(sight, running, kind).and_then(|p| p.verdict)
}

fn give_up(
    sight: &Sight<'_>,
    container: &Container,
    running: &ContainerSeen,
    kind: ProbeKind,
    plan: &mut PodPlan,
) {
    let own = probe_of(container, kind).and_then(|p| p.termination_grace_period_seconds);
    let grace = own.unwrap_or_else(|| sight.grace_secs());
    let op = sight.stop(running, grace, true);
    if !sight.seen.under_way.contains(&op) {
        let which = if kind == ProbeKind::Startup { "startup" } else { "liveness" };
        let message =
            format!("Container {} failed {which} probe, will be restarted", container.name);
        sight.note(plan, "Killing", message, &container.name);
    }
    sight.ask(plan, op);
}

fn run_when_due(
    sight: &Sight<'_>,
    probe: &Probe,
    running: &ContainerSeen,
    kind: ProbeKind,
    plan: &mut PodPlan,
) {
    let started = running.started.unwrap_or(sight.now);
    let first = started.plus_secs(probe.initial_delay_seconds.unwrap_or(0).into());
    let period = i64::from(probe.period_seconds.unwrap_or(10).max(1));
    let due = seen(sight, running, kind).map_or(first, |last| last.at.plus_secs(period));
    if due > sight.now {
        return sight.wake(plan, due);
    }
    let (id, name) = (running.id.clone(), running.name.clone());
    sight.ask(plan, PodOp::Probe { id, name, kind });
}

/// Past its startup probe and its post-start hook.
pub(crate) fn is_started(sight: &Sight<'_>, container: &Container) -> bool {
    let Some(latest) = sight.latest(&container.name) else { return false };
    let hooked = !crate::containers::needs_post_start(container)
        || sight.seen.hooks.contains_key(&(latest.id.clone(), crate::types::Hook::PostStart));
    latest.phase == ContainerPhase::Running
        && hooked
        && (container.startup_probe.is_none()
            || verdict(sight, latest, ProbeKind::Startup) == Some(true))
}

/// Started, and ready by its probe if it has one.
pub(crate) fn is_ready(sight: &Sight<'_>, container: &Container) -> bool {
    let Some(latest) = sight.latest(&container.name) else { return false };
    is_started(sight, container)
        && (container.readiness_probe.is_none()
            || verdict(sight, latest, ProbeKind::Readiness) == Some(true))
}
