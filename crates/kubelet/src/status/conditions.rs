//! The pod's conditions (pkg/kubelet/status/generate.go).

use crate::containers::{self, Standing};
use crate::plan::Sight;
use crate::probes;
use crate::resize::{self, Resize};
use crate::types::ContainerKind;
use k8s_openapi::api::core::v1::{PodCondition, PodStatus};

/// A condition's say: status, reason, message.
type Say = (bool, Option<&'static str>, Option<String>);

pub(crate) fn set(sight: &Sight<'_>, status: &mut PodStatus) {
    let initialised = initialised(sight, status);
    let containers = containers_ready(sight, status);
    let ready = ready(sight, status, &containers);
    let sandbox = sight.sandbox().is_some();
    put(sight, status, "PodReadyToStartContainers", (sandbox, None, None));
    put(sight, status, "Initialized", initialised);
    put(sight, status, "Ready", ready);
    put(sight, status, "ContainersReady", containers);
    put(sight, status, "PodScheduled", (true, None, None));
    resize_conditions(sight, status);
}

/// There while a resize waits or goes on, gone when it is settled.
fn resize_conditions(sight: &Sight<'_>, status: &mut PodStatus) {
    let (pending, in_progress) = match resize::standing(sight) {
        Resize::Settled => (None, false),
        Resize::UnderWay => (None, true),
        Resize::Infeasible(why) => (Some(why), false),
    };
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|c| match c.type_.as_str() {
            "PodResizePending" => pending.is_some(),
            "PodResizeInProgress" => in_progress,
            _ => true,
        });
    }
    if pending.is_some() {
        put(sight, status, "PodResizePending", (true, Some("Infeasible"), pending));
    }
    if in_progress {
        put(sight, status, "PodResizeInProgress", (true, None, None));
    }
}

fn put(sight: &Sight<'_>, status: &mut PodStatus, kind: &str, (is, reason, message): Say) {
    let conditions = status.conditions.get_or_insert_default();
    let text = if is { "True" } else { "False" };
    let before = conditions.iter().find(|c| c.type_ == kind).cloned();
    let since =
        before.as_ref().filter(|c| c.status == text).and_then(|c| c.last_transition_time.clone());
    let condition = PodCondition {
        type_: kind.into(),
        status: text.into(),
        reason: reason.map(Into::into),
        message,
        last_transition_time: since.or_else(|| Some(typed::api_time(sight.now))),
        last_probe_time: before.and_then(|c| c.last_probe_time),
        observed_generation: sight.pod.metadata.generation,
    };
    match conditions.iter_mut().find(|c| c.type_ == kind) {
        Some(there) => *there = condition,
        None => conditions.push(condition),
    }
}

fn initialised(sight: &Sight<'_>, status: &PodStatus) -> Say {
    if status.phase.as_deref() == Some("Succeeded") {
        return (true, Some("PodCompleted"), None);
    }
    let started = sight
        .wanted()
        .any(|w| w.kind == ContainerKind::App && sight.latest(&w.container.name).is_some());
    let incomplete: Vec<&str> = sight
        .wanted()
        .filter(|w| match w.kind {
            ContainerKind::Init => {
                containers::standing(sight, *w) != Standing::Succeeded && !started
            }
            ContainerKind::Sidecar => !probes::is_started(sight, w.container) && !started,
            _ => false,
        })
        .map(|w| w.container.name.as_str())
        .collect();
    if incomplete.is_empty() {
        return (true, None, None);
    }
    let message = format!("containers with incomplete status: [{}]", incomplete.join(" "));
    (false, Some("ContainersNotInitialized"), Some(message))
}

fn containers_ready(sight: &Sight<'_>, status: &PodStatus) -> Say {
    match status.phase.as_deref() {
        Some("Succeeded") => return (false, Some("PodCompleted"), None),
        Some("Failed") => return (false, Some("PodFailed"), None),
        _ => {}
    }
    let unready: Vec<&str> = sight
        .wanted()
        .filter(|w| w.kind != ContainerKind::Init && !probes::is_ready(sight, w.container))
        .map(|w| w.container.name.as_str())
        .collect();
    if unready.is_empty() {
        return (true, None, None);
    }
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    (false, Some("ContainersNotReady"), Some(message))
}

/// Containers ready, and every readiness gate open.
fn ready(sight: &Sight<'_>, status: &PodStatus, containers: &Say) -> Say {
    if !containers.0 {
        return containers.clone();
    }
    let open = |gate: &str| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.any(|c| c.type_ == gate && c.status == "True")
    };
    let gates = sight.spec.readiness_gates.iter().flatten();
    let closed: Vec<String> = gates
        .filter(|gate| !open(&gate.condition_type))
        .map(|gate| {
            format!(
                "corresponding condition of pod readiness gate {:?} does not exist.",
                gate.condition_type
            )
        })
        .collect();
    if closed.is_empty() {
        return (true, None, None);
    }
    (false, Some("ReadinessGatesNotReady"), Some(closed.join(", ")))
}
