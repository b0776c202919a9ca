//! Rules of those who make pods.

use super::pods::is_over;
use crate::mirror::Mirror;
use k8s_openapi::api::apps::v1::{DaemonSet, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;
use store::Change;

fn is_active(pod: &Pod) -> bool {
    !is_over(pod) && pod.metadata.deletion_timestamp.is_none()
}

fn is_ready(pod: &Pod) -> bool {
    let mut all = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
    all.any(|c| c.type_ == "Ready" && c.status == "True")
}

/// The pod a change creates, with its controller.
fn born(change: &Change) -> Option<(Arc<Pod>, String, String, String)> {
    if change.before.is_some() || change.deletion {
        return None;
    }
    let pod: Arc<Pod> = typed::parse(&change.after);
    let owner = typed::controller_of(&pod.metadata)?.clone();
    Some((pod, owner.kind, owner.name, owner.uid))
}

pub(super) fn not_too_many(mirror: &Mirror, change: &Change) -> Result<(), String> {
    let Some((pod, kind, name, uid)) = born(change) else { return Ok(()) };
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let active = mirror.pods_of(&uid).iter().filter(|pod| is_active(pod)).count();
    let most = match kind.as_str() {
        "ReplicaSet" => {
            let set = mirror.read::<ReplicaSet>(namespace, &name);
            set.and_then(|s| s.spec.as_ref()?.replicas)
        }
        "StatefulSet" => {
            let set = mirror.read::<StatefulSet>(namespace, &name);
            set.and_then(|s| s.spec.as_ref()?.replicas)
        }
        "Job" => mirror.read::<Job>(namespace, &name).map(|job| room_of(&job)),
        "DaemonSet" => return one_per_node(mirror, &pod, namespace, (&name, &uid)),
        _ => return Ok(()),
    };
    match most {
        None => Err(format!("made for {kind} {name}, which is gone")),
        Some(most) if active >= usize::try_from(most).unwrap_or(0) => {
            Err(format!("{kind} {name} wants {most} and has {active}"))
        }
        Some(_) => Ok(()),
    }
}

fn room_of(job: &Job) -> i32 {
    let conditions = job.status.iter().flat_map(|s| s.conditions.iter().flatten());
    let over = conditions.filter(|c| c.status == "True").any(|c| c.type_ != "Suspended");
    let suspended = job.spec.as_ref().is_some_and(|s| s.suspend == Some(true));
    let most = job.spec.as_ref().and_then(|s| s.parallelism).unwrap_or(1);
    if over || suspended { 0 } else { most }
}

fn meant_for(pod: &Pod) -> Option<String> {
    let affinity = pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
    let terms = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let field = terms.node_selector_terms.first()?.match_fields.as_ref()?.first()?;
    field.values.as_ref()?.first().cloned()
}

fn one_per_node(
    mirror: &Mirror,
    pod: &Pod,
    namespace: &str,
    (name, uid): (&str, &str),
) -> Result<(), String> {
    let Some(set) = mirror.read::<DaemonSet>(namespace, name) else {
        return Err(format!("made for DaemonSet {name}, which is gone"));
    };
    let update =
        set.spec.as_ref().and_then(|s| s.update_strategy.as_ref()?.rolling_update.as_ref());
    let surges = update.and_then(|u| u.max_surge.as_ref());
    if surges.is_some_and(|s| format!("{s:?}") != "Int(0)") {
        return Ok(());
    }
    let target = meant_for(pod);
    let same = mirror.pods_of(uid).into_iter().find(|p| is_active(p) && meant_for(p) == target);
    match same {
        Some(other) => Err(format!("{target:?} has {:?} already", other.metadata.name)),
        None => Ok(()),
    }
}

pub(super) fn in_order(mirror: &Mirror, change: &Change) -> Result<(), String> {
    let Some((pod, kind, name, _)) = born(change) else { return Ok(()) };
    if kind != "StatefulSet" {
        return Ok(());
    }
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let Some(set) = mirror.read::<StatefulSet>(namespace, &name) else { return Ok(()) };
    let policy = set.spec.as_ref().and_then(|s| s.pod_management_policy.as_deref());
    if policy == Some("Parallel") {
        return Ok(());
    }
    let own = pod.metadata.name.as_deref().unwrap_or_default();
    let ordinal: u32 = own.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let before = (0..ordinal).find(|at| {
        let earlier = mirror.read::<Pod>(namespace, &format!("{name}-{at}"));
        !earlier.is_some_and(|p| is_ready(&p) && is_active(&p))
    });
    match before {
        Some(at) => Err(format!("made while {name}-{at} is not ready")),
        None => Ok(()),
    }
}

pub(super) fn counts(_: &Mirror, change: &Change) -> Result<(), String> {
    let Some(before) = &change.before else { return Ok(()) };
    let (old, new): (Arc<Job>, Arc<Job>) = (typed::parse(before), typed::parse(&change.after));
    let tally = |job: &Job| {
        let status = job.status.clone().unwrap_or_default();
        let over = status.conditions.iter().flatten().filter(|c| c.status == "True");
        let over = over.filter(|c| c.type_ == "Complete" || c.type_ == "Failed").count();
        (status.succeeded.unwrap_or(0), status.failed.unwrap_or(0), over)
    };
    let (was, is) = (tally(&old), tally(&new));
    if is.0 < was.0 || is.1 < was.1 || is.2 < was.2 {
        return Err(format!("(succeeded, failed, over) {was:?} became {is:?}"));
    }
    if is.2 > 1 {
        return Err("complete and failed".into());
    }
    let spec = new.spec.clone().unwrap_or_default();
    match spec.completions {
        Some(most) if is.0 > most => Err(format!("{} of {most} succeeded", is.0)),
        _ => Ok(()),
    }
}
