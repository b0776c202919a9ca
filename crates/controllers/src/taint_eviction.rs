//! Pods leave nodes whose NoExecute taints they do not tolerate, or no longer
//! (pkg/controller/tainteviction/taint_eviction.go).

use crate::plan::{Plan, Row, Wake, Warning};
use crate::{calls, disruption_target, node_fit, pods};
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use meta::Time;
use store::{Change, Key, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "taint-eviction-controller",
    wakes: &[
        Wake { resource: ("", "pods"), keys: wake_of_pod },
        Wake { resource: ("", "nodes"), keys: wake_of_node },
    ],
    plan,
    refused: None,
    made: None,
};

fn wake_of_pod(view: &View, change: &Change) -> Vec<Key> {
    let node = change.after.field("spec.nodeName").unwrap_or_default();
    let tainted = view.read::<Node>("", node).is_some_and(|n| executing(&n).next().is_some());
    if tainted && !change.deletion { vec![change.after.key.clone()] } else { Vec::new() }
}

fn wake_of_node(view: &View, change: &Change) -> Vec<Key> {
    let taints = |object: &store::Object| {
        executing(&typed::parse::<Node>(object)).cloned().collect::<Vec<_>>()
    };
    let before = change.before.as_deref().map(taints).unwrap_or_default();
    if change.deletion || before == taints(&change.after) {
        return Vec::new();
    }
    let name = &change.after.key.name;
    view.by_field(&Pod::resource(), "spec.nodeName", name).map(|o| o.key.clone()).collect()
}

fn executing(node: &Node) -> impl Iterator<Item = &Taint> {
    node_fit::taints(node).iter().filter(|taint| taint.effect == "NoExecute")
}

fn plan(view: &View, key: &Key, now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(pod) = view.read::<Pod>(&key.namespace, &key.name) else { return plan };
    let Some(node) = view.read::<Node>("", pods::node(&pod)) else { return plan };
    let over = matches!(pods::phase(&pod), "Succeeded" | "Failed");
    if over || calls::is_deleting(&pod.metadata) {
        return plan;
    }
    match due(&pod, &node, now) {
        Some(at) if at <= now => evict(&pod, now, &mut plan),
        Some(at) => plan.wake_at(at),
        None => {}
    }
    plan
}

/// When the pod has to go; `None` when it may stay.
fn due(pod: &Pod, node: &Node, now: Time) -> Option<Time> {
    let all = pod.spec.as_ref().and_then(|s| s.tolerations.as_deref()).unwrap_or_default();
    let taints: Vec<_> = executing(node).collect();
    if taints.is_empty() {
        return None;
    }
    if !taints.iter().all(|taint| node_fit::tolerated(all, taint)) {
        return Some(now);
    }
    let used = |t: &&Toleration| taints.iter().any(|taint| node_fit::tolerates(t, taint));
    let secs = all.iter().filter(used).filter_map(|t| t.toleration_seconds).min()?;
    // A taint without time has not been seen by the node controller yet, which will tell.
    let tainted = taints.iter().filter_map(|t| t.time_added.as_ref().map(typed::time)).max()?;
    let created = pod.metadata.creation_timestamp.as_ref().map(typed::time).unwrap_or_default();
    Some(tainted.max(created).plus_secs(secs.max(0)))
}

fn evict(pod: &Pod, now: Time, plan: &mut Plan) {
    let message = "Taint manager: deleting due to NoExecute taint";
    plan.call(disruption_target::tell(pod, "DeletionByTaintManager", message, now));
    plan.call(calls::delete::<Pod>(&pod.metadata));
    let (namespace, name) = (calls::namespace(&pod.metadata), calls::name(&pod.metadata));
    let message = format!("Marking for deletion Pod {namespace}/{name}");
    let about = pods::reference::<Pod>(&pod.metadata);
    plan.note(about, Warning::Normal, "TaintManagerEviction", message);
}
