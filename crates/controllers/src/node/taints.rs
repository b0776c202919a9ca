//! Conditions as taints (`doNoScheduleTaintingPass`, `doNoExecuteTaintingPass`).

use super::health;
use crate::calls;
use crate::plan::Plan;
use k8s_openapi::api::core::v1::Node;
use meta::{Time, Value};
use serde_json::json;
use store::View;
use typed::Read;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Condition, status, and the key of the NoSchedule taint it makes.
const OF_CONDITIONS: &[(&str, &str, &str)] = &[
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

/// Brings the taints that are derived in line; leaves everybody else's.
pub(super) fn follow(view: &View, node: &Node, now: Time, plan: &mut Plan) {
    let old: Vec<Value> = crate::node_fit::taints(node).iter().map(calls::value).collect();
    let wanted = wanted(view, node);
    let mut new: Vec<Value> = old
        .iter()
        .filter(|taint| !is_derived(taint) || is_among(taint, &wanted))
        .cloned()
        .collect();
    for (key, effect) in wanted {
        if !new.iter().any(|t| t["key"] == key && t["effect"] == effect) {
            new.push(json!({ "key": key, "effect": effect, "timeAdded": now.rfc3339() }));
        }
    }
    // Tolerations count from here, also for taints that users add.
    for taint in new.iter_mut().filter(|t| t["effect"] == "NoExecute") {
        if taint["timeAdded"].is_null() {
            taint["timeAdded"] = now.rfc3339().into();
        }
    }
    if new != old {
        let body = json!({ "spec": { "taints": new } });
        plan.call(calls::merge_in_state::<Node>(&node.metadata, body));
    }
}

fn is_derived(taint: &Value) -> bool {
    let (key, effect) = (taint["key"].as_str(), taint["effect"].as_str());
    match effect {
        Some("NoSchedule") => {
            key == Some(UNSCHEDULABLE) || OF_CONDITIONS.iter().any(|(_, _, k)| key == Some(*k))
        }
        Some("NoExecute") => key == Some(NOT_READY) || key == Some(UNREACHABLE),
        _ => false,
    }
}

fn is_among(taint: &Value, wanted: &[(&'static str, &'static str)]) -> bool {
    wanted.iter().any(|(key, effect)| taint["key"] == *key && taint["effect"] == *effect)
}

fn wanted(view: &View, node: &Node) -> Vec<(&'static str, &'static str)> {
    let held =
        OF_CONDITIONS.iter().filter(|(kind, status, _)| health::condition(node, kind) == *status);
    let mut all: Vec<_> = held.map(|(_, _, key)| (*key, "NoSchedule")).collect();
    if node.spec.as_ref().and_then(|s| s.unschedulable) == Some(true) {
        all.push((UNSCHEDULABLE, "NoSchedule"));
    }
    // When nobody is ready the fault is likely here: nothing is evicted (`allAreFullyDisrupted`).
    let anybody = view.read_all::<Node>(None).any(|other| health::ready(&other) == "True");
    match health::ready(node) {
        "False" if anybody => all.push((NOT_READY, "NoExecute")),
        "Unknown" if anybody => all.push((UNREACHABLE, "NoExecute")),
        _ => {}
    }
    all
}
