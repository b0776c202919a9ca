//! From old sets to the new one (pkg/controller/deployment/rolling.go, recreate.go).

use super::{Rollout, available, size};
use crate::plan::Plan;
use k8s_openapi::api::apps::v1::ReplicaSet;
use std::sync::Arc;

/// Grows the new set as far as the surge allows; only when it need not grow do old sets shrink.
pub(super) fn roll(rollout: &Rollout<'_>, plan: &mut Plan) {
    let Some(new) = &rollout.new else { return };
    let wanted = new_size(rollout);
    rollout.resize(new, wanted, plan);
    if wanted == size(new) {
        shrink_old(rollout, new, plan);
    }
}

/// How big the new set may be now (`NewRSNewReplicas`).
pub(super) fn new_size(rollout: &Rollout<'_>) -> i32 {
    let replicas = rollout.replicas();
    let have = rollout.new.as_ref().map_or(0, |set| size(set));
    if rollout.is_recreate() || have >= replicas {
        return replicas;
    }
    let (surge, _) = rollout.fences();
    let total: i32 = rollout.all().map(|set| size(set)).sum();
    let room = (replicas + surge - total).max(0);
    have + room.min(replicas - have)
}

fn shrink_old(rollout: &Rollout<'_>, new: &ReplicaSet, plan: &mut Plan) {
    let old: i32 = rollout.old.iter().map(|set| size(set)).sum();
    if old == 0 {
        return;
    }
    let least = rollout.replicas() - rollout.max_unavailable();
    let new_unavailable = size(new) - serving(new);
    let removable = old + size(new) - least - new_unavailable;
    if removable <= 0 {
        return;
    }
    let mut sizes: Vec<i32> = rollout.old.iter().map(|set| size(set)).collect();
    drop_unhealthy(&rollout.old, &mut sizes, removable);
    drop_healthy(rollout, &mut sizes, least);
    for (set, to) in rollout.old.iter().zip(&sizes) {
        if size(set) != *to {
            rollout.resize(set, *to, plan);
        }
    }
}

/// Available pods that are meant to stay. The status of a set that has just shrunk still counts those that go, and
/// upstream, which trusts it, can take away too many.
fn serving(set: &ReplicaSet) -> i32 {
    available(set).min(size(set))
}

/// Pods that do not serve go first; they make nothing unavailable (`cleanupUnhealthyReplicas`).
fn drop_unhealthy(old: &[Arc<ReplicaSet>], sizes: &mut [i32], removable: i32) {
    let mut left = removable;
    for (set, size) in old.iter().zip(sizes) {
        let gone = left.min(*size - available(set)).max(0);
        *size -= gone;
        left -= gone;
    }
}

/// Then serving ones, as far as enough stay available (`scaleDownOldReplicaSetsForRollingUpdate`).
fn drop_healthy(rollout: &Rollout<'_>, sizes: &mut [i32], least: i32) {
    let all: i32 = rollout.all().map(|set| serving(set)).sum();
    let mut left = (all - least).max(0);
    for size in sizes {
        let gone = left.min(*size);
        *size -= gone;
        left -= gone;
    }
}

/// No new pod before the last old one is gone.
pub(super) fn recreate(rollout: &Rollout<'_>, plan: &mut Plan) {
    let mut shrinking = false;
    for set in rollout.old.iter().filter(|set| size(set) > 0) {
        rollout.resize(set, 0, plan);
        shrinking = true;
    }
    if shrinking || rollout.must_wait_for_old_pods() {
        return;
    }
    if let Some(new) = &rollout.new {
        rollout.resize(new, rollout.replicas(), plan);
    }
}
