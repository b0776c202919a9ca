//! What a set says of itself (stateful_set_control.go `updateStatus`, `completeRollingUpdate`).

use super::{Set, is_running_and_ready, revision};
use crate::calls;
use crate::plan::Plan;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use std::sync::Arc;

pub(super) fn report(set: &Set<'_>, plan: &mut Plan) {
    let count = |is: &dyn Fn(&Arc<Pod>) -> bool| {
        i32::try_from(set.pods.values().filter(|pod| is(pod)).count()).unwrap_or(i32::MAX)
    };
    let of = |name: &str| count(&|p| !calls::is_deleting(&p.metadata) && revision(p) == name);
    let ready = count(&|p| is_running_and_ready(p));
    let (all, updated) = (count(&|_| true), of(&set.history.name));
    let rolled = set.is_rolling() && [all, ready, updated].iter().all(|n| *n == set.replicas());
    // Every pod is of the new revision: from now on it is the current one.
    let current = if rolled { &set.history.name } else { &set.current };
    let old = set.set.status.clone().unwrap_or_default();
    let status = json!({
        "observedGeneration": set.set.metadata.generation,
        "replicas": all,
        "readyReplicas": ready,
        "availableReplicas": count(&|p| set.is_available(p)),
        "currentReplicas": of(current),
        "updatedReplicas": updated,
        "currentRevision": current,
        "updateRevision": set.history.name,
        "collisionCount": old.collision_count.unwrap_or(0),
        "conditions": old.conditions,
    });
    let patch = calls::status::<StatefulSet>(&set.set.metadata, &set.set.status, &status);
    plan.calls.extend(patch);
}
