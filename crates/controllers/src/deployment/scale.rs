//! Resizing a deployment outside or in the middle of a rollout (pkg/controller/deployment/sync.go, `scale`).

use super::{DESIRED, MOST, Rollout, annotation, available, size};
use crate::plan::Plan;
use k8s_openapi::api::apps::v1::ReplicaSet;
use std::cmp::Reverse;
use std::sync::Arc;

/// One living set takes the whole change; several share it in proportion to their sizes.
pub(super) fn proportionally(rollout: &Rollout<'_>, plan: &mut Plan) {
    let active: Vec<&Arc<ReplicaSet>> = rollout.all().filter(|set| size(set) > 0).collect();
    match active[..] {
        [] => {
            let latest = rollout.new.as_ref().or(rollout.old.last());
            if let Some(set) = latest {
                rollout.resize(set, rollout.replicas(), plan);
            }
        }
        [one] => rollout.resize(one, rollout.replicas(), plan),
        _ if rollout.new.as_ref().is_some_and(|new| is_saturated(rollout, new)) => {
            for set in rollout.old.iter().filter(|set| size(set) > 0) {
                rollout.resize(set, 0, plan);
            }
        }
        _ if rollout.is_recreate() => {}
        _ => share(rollout, active, plan),
    }
}

/// The new set alone already is what the deployment wants.
fn is_saturated(rollout: &Rollout<'_>, new: &ReplicaSet) -> bool {
    let replicas = rollout.replicas();
    let desired = annotation(new, DESIRED).and_then(|text| text.parse::<i32>().ok());
    size(new) == replicas && desired == Some(replicas) && available(new) == replicas
}

fn share(rollout: &Rollout<'_>, mut active: Vec<&Arc<ReplicaSet>>, plan: &mut Plan) {
    let (surge, _) = rollout.fences();
    let replicas = rollout.replicas();
    let total: i32 = active.iter().map(|set| size(set)).sum();
    let allowed = if replicas > 0 { replicas + surge } else { 0 };
    let change = allowed - total;
    // Growing favours the newer of equally big sets, shrinking the older.
    if change > 0 {
        active.sort_by_key(|set| (Reverse(size(set)), Reverse(born(set))));
    } else {
        active.sort_by_key(|set| (Reverse(size(set)), born(set)));
    }
    let mut added = 0;
    let mut sizes = Vec::with_capacity(active.len());
    for set in &active {
        let part = part(rollout, set, change, added);
        added += part;
        sizes.push(size(set) + part);
    }
    // What rounding left over goes to the biggest.
    if let Some(first) = sizes.first_mut() {
        *first = (*first + change - added).max(0);
    }
    for (set, to) in active.iter().zip(sizes) {
        rollout.resize(set, to, plan);
    }
}

fn born(set: &ReplicaSet) -> Option<meta::Time> {
    set.metadata.creation_timestamp.as_ref().map(typed::time)
}

/// This set's share of the change (`GetReplicaSetProportion`).
fn part(rollout: &Rollout<'_>, set: &ReplicaSet, change: i32, added: i32) -> i32 {
    if size(set) == 0 || change == 0 || change == added {
        return 0;
    }
    let fraction = fraction(rollout, set);
    let left = change - added;
    if change > 0 { fraction.min(left) } else { fraction.max(left) }
}

fn fraction(rollout: &Rollout<'_>, set: &ReplicaSet) -> i32 {
    if rollout.replicas() == 0 {
        return -size(set);
    }
    let (surge, _) = rollout.fences();
    let most = i64::from(rollout.replicas() + surge);
    let told = annotation(set, MOST).and_then(|text| text.parse::<i64>().ok()).filter(|n| *n > 0);
    let status = rollout.deployment.status.as_ref().and_then(|s| s.replicas);
    let before = told.or(status.map(i64::from)).filter(|n| *n > 0).unwrap_or(most);
    let wanted = (i64::from(size(set)) * most * 2 + before).div_euclid(before * 2);
    i32::try_from(wanted).unwrap_or(i32::MAX) - size(set)
}
