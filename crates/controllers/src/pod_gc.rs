//! Pods nobody else would remove: on nodes that are gone, deleted before they had a node, and the oldest of very
//! many that have ended (pkg/controller/podgc/gc_controller.go).

use crate::plan::{Plan, Row, Wake};
use crate::{calls, disruption_target, pods, wakes};
use k8s_openapi::api::core::v1::{Node, Pod};
use meta::Time;
use store::{Change, Key, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "pod-garbage-collector",
    wakes: &[
        Wake { resource: ("", "pods"), keys: wakes::itself },
        Wake { resource: ("", "nodes"), keys: wake_of_node },
    ],
    plan,
    refused: None,
    made: None,
};

/// `terminated-pod-gc-threshold`
const ENDED_KEPT: usize = 12_500;
/// A node that was just about to appear is waited for.
const QUARANTINE_SECS: i64 = 40;
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

fn wake_of_node(view: &View, change: &Change) -> Vec<Key> {
    let out = |object: &store::Object| is_out_of_service(&typed::parse::<Node>(object));
    if !change.deletion && !out(&change.after) {
        return Vec::new();
    }
    let name = &change.after.key.name;
    view.by_field(&Pod::resource(), "spec.nodeName", name).map(|o| o.key.clone()).collect()
}

fn is_out_of_service(node: &Node) -> bool {
    crate::node_fit::taints(node).iter().any(|taint| taint.key == OUT_OF_SERVICE)
}

fn plan(view: &View, key: &Key, now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(pod) = view.read::<Pod>(&key.namespace, &key.name) else { return plan };
    let node = view.read::<Node>("", pods::node(&pod));
    let deleting = calls::is_deleting(&pod.metadata);
    match node {
        None if !pods::node(&pod).is_empty() => orphaned(&pod, now, &mut plan),
        None if deleting => take(&pod, None, now, &mut plan),
        Some(node) if deleting && is_out_of_service(&node) => {
            let why = ("DeletionByPodGC", "PodGC: node is out of service");
            take(&pod, Some(why), now, &mut plan);
        }
        _ => {}
    }
    if plan.calls.is_empty() && has_ended(&pod) {
        thin_out(view, &mut plan);
    }
    plan
}

fn has_ended(pod: &Pod) -> bool {
    matches!(pods::phase(pod), "Succeeded" | "Failed")
}

fn orphaned(pod: &Pod, now: Time, plan: &mut Plan) {
    let conditions = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
    let changed = conditions.filter_map(|c| c.last_transition_time.as_ref()).max();
    let last = changed.max(pod.metadata.creation_timestamp.as_ref()).map(typed::time);
    let due = last.unwrap_or_default().plus_secs(QUARANTINE_SECS);
    if due > now {
        return plan.wake_at(due);
    }
    take(pod, Some(("DeletionByPodGC", "PodGC: node no longer exists")), now, plan);
}

/// Removes the pod; one that has not ended fails first, so that its owner counts it.
fn take(pod: &Pod, why: Option<(&str, &str)>, now: Time, plan: &mut Plan) {
    let finalized = calls::is_deleting(&pod.metadata)
        && pod.metadata.deletion_grace_period_seconds == Some(0)
        && !calls::finalizers(&pod.metadata).is_empty();
    if let Some((reason, message)) = why.filter(|_| !has_ended(pod)) {
        plan.call(disruption_target::fail(pod, reason, message, now));
    }
    // One that waits for finalizers only is not deleted again.
    if !finalized {
        plan.call(calls::delete_now::<Pod>(&pod.metadata));
    }
}

/// Deletes the oldest ended pods beyond the threshold.
fn thin_out(view: &View, plan: &mut Plan) {
    let pods = Pod::resource();
    if view.count(&pods) <= ENDED_KEPT {
        return;
    }
    let phases = ["Succeeded", "Failed"].into_iter();
    let mut all: Vec<_> =
        phases.flat_map(|phase| view.by_field(&pods, "status.phase", phase)).collect();
    let surplus = all.len().saturating_sub(ENDED_KEPT);
    all.sort_by_key(|pod| (pod.head.created, pod.key.clone()));
    for pod in all.into_iter().take(surplus) {
        plan.call(calls::delete_now::<Pod>(&typed::parse::<Pod>(pod).metadata));
    }
}
