//! What a set says of itself (daemon_controller.go `updateDaemonSetStatus`).

use super::{Set, hash};
use crate::plan::Plan;
use crate::{calls, pods};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

pub(super) fn report(set: &Set<'_>, plan: &mut Plan) {
    let running: Vec<_> = set.places.iter().filter(|p| p.runs).collect();
    let first = |is: &dyn Fn(&Pod) -> bool| {
        running.iter().filter(|p| p.pods.iter().any(|pod| is(pod))).count()
    };
    let available = first(&|pod| set.is_available(pod));
    let old = set.set.status.clone().unwrap_or_default();
    let status = json!({
        "observedGeneration": set.set.metadata.generation,
        "desiredNumberScheduled": running.len(),
        "currentNumberScheduled": first(&|_| true),
        "numberMisscheduled": set.places.iter().filter(|p| !p.runs && !p.pods.is_empty()).count(),
        "numberReady": first(&pods::is_ready),
        "numberAvailable": available,
        "numberUnavailable": running.len() - available,
        "updatedNumberScheduled": first(&|pod| hash(pod) == set.history.hash),
        "collisionCount": old.collision_count,
        "conditions": old.conditions,
    });
    for pod in running.iter().flat_map(|place| &place.pods) {
        if let Some(at) = pods::available_at(pod, set.min_ready()).filter(|at| *at > set.now) {
            plan.wake_at(at);
        }
    }
    let patch = calls::status::<DaemonSet>(&set.set.metadata, &set.set.status, &status);
    plan.calls.extend(patch);
}
