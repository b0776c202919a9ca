//! What a deployment says of itself (pkg/controller/deployment/sync.go `calculateStatus`, progress.go).

use super::Rollout;
use crate::plan::Plan;
use api::{Call, Patch, PatchKind, Verb};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as K8sTime;
use meta::Time;
use serde_json::json;
use std::sync::Arc;
use typed::Kind;

/// Patches the status when it says anything new; asks to be woken when the progress deadline passes.
pub(super) fn report(rollout: &Rollout<'_>, plan: &mut Plan) {
    let old = rollout.deployment.status.clone().unwrap_or_default();
    let mut new = counts(rollout, &old);
    available(rollout, &mut new);
    failure(rollout, &mut new);
    progress(rollout, &old, &mut new);
    deadline(rollout, &new, plan);
    if new == old {
        return;
    }
    let metadata = &rollout.deployment.metadata;
    let mut status = serde_json::to_value(&new).unwrap_or_default();
    // A merge patch keeps what it does not name, so what became zero must be said.
    for (key, value) in [
        ("replicas", new.replicas),
        ("updatedReplicas", new.updated_replicas),
        ("readyReplicas", new.ready_replicas),
        ("availableReplicas", new.available_replicas),
        ("unavailableReplicas", new.unavailable_replicas),
        ("terminatingReplicas", new.terminating_replicas),
    ] {
        status[key] = value.unwrap_or(0).into();
    }
    let body = json!({ "metadata": { "uid": metadata.uid }, "status": status });
    let patch = Patch { kind: PatchKind::Merge, body };
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    plan.call(Call::new(Verb::Patch(patch), Deployment::gvr(), namespace, name).on("status"));
}

fn counts(rollout: &Rollout<'_>, old: &DeploymentStatus) -> DeploymentStatus {
    let sum = |of: fn(&ReplicaSet) -> i32| rollout.all().map(|set| of(set)).sum::<i32>();
    let total = sum(|set| set.status.as_ref().map_or(0, |s| s.replicas));
    let serving = sum(super::available);
    let updated =
        rollout.new.as_ref().and_then(|set| Some(set.status.as_ref()?.replicas)).unwrap_or(0);
    let positive = |n: i32| (n > 0).then_some(n);
    DeploymentStatus {
        observed_generation: rollout.deployment.metadata.generation,
        replicas: positive(total),
        updated_replicas: positive(updated),
        ready_replicas: positive(sum(|s| {
            s.status.as_ref().and_then(|s| s.ready_replicas).unwrap_or(0)
        })),
        available_replicas: positive(serving),
        unavailable_replicas: positive(total - serving),
        terminating_replicas: Some(sum(|s| {
            s.status.as_ref().and_then(|s| s.terminating_replicas).unwrap_or(0)
        })),
        collision_count: old.collision_count,
        conditions: old.conditions.clone(),
    }
}

/// Enough pods serve.
fn available(rollout: &Rollout<'_>, status: &mut DeploymentStatus) {
    let least = rollout.replicas() - rollout.max_unavailable();
    let (is, reason, message) = if status.available_replicas.unwrap_or(0) >= least {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    set(status, "Available", is, reason, message, rollout.now);
}

/// A set that cannot make its pods shows here too.
fn failure(rollout: &Rollout<'_>, status: &mut DeploymentStatus) {
    let failed = rollout.new.iter().chain(&rollout.old).find_map(|set: &Arc<ReplicaSet>| {
        let conditions = set.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|c| c.type_ == "ReplicaFailure" && c.status == "True").cloned()
    });
    match failed {
        Some(c) => {
            let (reason, message) = (c.reason.unwrap_or_default(), c.message.unwrap_or_default());
            set(status, "ReplicaFailure", "True", &reason, &message, rollout.now);
        }
        None => forget(status, "ReplicaFailure"),
    }
}

fn progress(rollout: &Rollout<'_>, old: &DeploymentStatus, new: &mut DeploymentStatus) {
    if !has_deadline(rollout) {
        return forget(new, "Progressing");
    }
    let now = rollout.now;
    let before = condition(old, "Progressing").cloned();
    let reason_before = before.as_ref().and_then(|c| c.reason.as_deref()).unwrap_or_default();
    if rollout.spec.paused == Some(true) {
        if reason_before != "ProgressDeadlineExceeded" {
            set(new, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now);
        }
        return;
    }
    if reason_before == "DeploymentPaused" {
        set(new, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now);
    }
    let settled = new.replicas == new.updated_replicas && reason_before == "NewReplicaSetAvailable";
    if settled {
        return;
    }
    let subject = subject(rollout);
    if is_complete(rollout, new) {
        let message = format!("{subject} has successfully progressed.");
        set(new, "Progressing", "True", "NewReplicaSetAvailable", &message, now);
    } else if advanced(old, new) || before.is_none() {
        forget_if_stale(new, &before);
        let message = format!("{subject} is progressing.");
        let reason = if before.is_none() { "NewReplicaSetCreated" } else { "ReplicaSetUpdated" };
        let message = if before.is_none() { created_message(rollout, message) } else { message };
        set(new, "Progressing", "True", reason, &message, now);
    } else if timed_out(rollout, before.as_ref()) {
        let message = format!("{subject} has timed out progressing.");
        set(new, "Progressing", "False", "ProgressDeadlineExceeded", &message, now);
    }
}

fn subject(rollout: &Rollout<'_>) -> String {
    match &rollout.new {
        Some(set) => format!("ReplicaSet {:?}", set.metadata.name.as_deref().unwrap_or_default()),
        None => format!(
            "Deployment {:?}",
            rollout.deployment.metadata.name.as_deref().unwrap_or_default()
        ),
    }
}

fn created_message(rollout: &Rollout<'_>, otherwise: String) -> String {
    let name = rollout.new.as_ref().and_then(|set| set.metadata.name.as_deref());
    name.map_or(otherwise, |name| format!("Created new replica set {name:?}"))
}

/// Each step of progress renews `lastUpdateTime`, from which the deadline counts.
fn forget_if_stale(status: &mut DeploymentStatus, before: &Option<DeploymentCondition>) {
    let Some(before) = before else { return };
    let mut renewed = before.clone();
    // A reason of its own makes `set` write the condition even when status and reason stay.
    renewed.reason = None;
    forget(status, "Progressing");
    status.conditions.get_or_insert_default().push(renewed);
}

fn is_complete(rollout: &Rollout<'_>, status: &DeploymentStatus) -> bool {
    let wanted = rollout.replicas();
    [status.updated_replicas, status.replicas, status.available_replicas]
        .iter()
        .all(|count| count.unwrap_or(0) == wanted)
}

fn advanced(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    let n = |count: Option<i32>| count.unwrap_or(0);
    let outdated = |s: &DeploymentStatus| n(s.replicas) - n(s.updated_replicas);
    n(new.updated_replicas) > n(old.updated_replicas)
        || outdated(new) < outdated(old)
        || n(new.ready_replicas) > n(old.ready_replicas)
        || n(new.available_replicas) > n(old.available_replicas)
}

// === the deadline ===

fn has_deadline(rollout: &Rollout<'_>) -> bool {
    rollout.spec.progress_deadline_seconds.is_some_and(|secs| secs != i32::MAX)
}

fn deadline_of(rollout: &Rollout<'_>, condition: &DeploymentCondition) -> Option<Time> {
    let secs = rollout.spec.progress_deadline_seconds?;
    Some(typed::time(condition.last_update_time.as_ref()?).plus_secs(secs.into()))
}

fn timed_out(rollout: &Rollout<'_>, condition: Option<&DeploymentCondition>) -> bool {
    let Some(condition) = condition else { return false };
    match condition.reason.as_deref() {
        Some("NewReplicaSetAvailable") => false,
        Some("ProgressDeadlineExceeded") => true,
        _ => deadline_of(rollout, condition).is_some_and(|at| at < rollout.now),
    }
}

fn deadline(rollout: &Rollout<'_>, status: &DeploymentStatus, plan: &mut Plan) {
    let Some(condition) = condition(status, "Progressing") else { return };
    let over = matches!(
        condition.reason.as_deref(),
        Some("NewReplicaSetAvailable" | "ProgressDeadlineExceeded" | "DeploymentPaused")
    );
    if !over && let Some(at) = deadline_of(rollout, condition) {
        plan.wake_at(at.plus_secs(1));
    }
}

// === conditions ===

fn condition<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.as_ref()?.iter().find(|c| c.type_ == kind)
}

fn forget(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|c| c.type_ != kind);
    }
}

/// Writes a condition; one that says the same already stays as it is (`SetDeploymentCondition`).
fn set(
    status: &mut DeploymentStatus,
    kind: &str,
    is: &str,
    reason: &str,
    message: &str,
    now: Time,
) {
    let before = condition(status, kind).cloned();
    if before.as_ref().is_some_and(|c| c.status == is && c.reason.as_deref() == Some(reason)) {
        return;
    }
    let kept = before.filter(|c| c.status == is).and_then(|c| c.last_transition_time);
    forget(status, kind);
    status.conditions.get_or_insert_default().push(DeploymentCondition {
        type_: kind.into(),
        status: is.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_update_time: Some(api_time(now)),
        last_transition_time: kept.or_else(|| Some(api_time(now))),
    });
}

fn api_time(now: Time) -> K8sTime {
    typed::api_time(now)
}
