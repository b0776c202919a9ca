//! Whether a node is heard of (`tryUpdateNodeHealth`).

use crate::conditions::List;
use crate::plan::{Note, Plan, Warning};
use crate::{calls, pods};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use meta::{Time, Value};
use serde_json::json;

/// `nodeMonitorGracePeriod`
const GRACE_SECS: i64 = 50;
/// `nodeStartupGracePeriod`
const STARTUP_GRACE_SECS: i64 = 60;
const KINDS: &[&str] = &["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// The status of a condition; `""` when the node has none.
pub(super) fn condition<'a>(node: &'a Node, kind: &str) -> &'a str {
    let mut all = node.status.iter().flat_map(|s| s.conditions.iter().flatten());
    all.find(|c| c.type_ == kind).map_or("", |c| c.status.as_str())
}

pub(super) fn ready(node: &Node) -> &str {
    condition(node, "Ready")
}

/// When the node was heard of last; `None` for one that never reported.
fn heard(node: &Node, lease: Option<&Lease>) -> Option<Time> {
    let mut all = node.status.iter().flat_map(|s| s.conditions.iter().flatten());
    let beat = all.find(|c| c.type_ == "Ready").and_then(|c| c.last_heartbeat_time.as_ref());
    let renewed = lease.and_then(|l| l.spec.as_ref()?.renew_time.as_ref());
    let renewed = renewed.map(|at| Time(at.0.as_microsecond()));
    beat.map(typed::time).max(renewed)
}

/// Makes the conditions of a silent node Unknown; asks to be woken when this one has been silent too long.
pub(super) fn judge(node: &Node, lease: Option<&Lease>, now: Time, plan: &mut Plan) {
    let created = node.metadata.creation_timestamp.as_ref().map(typed::time).unwrap_or_default();
    let due = match heard(node, lease) {
        Some(at) => at.plus_secs(GRACE_SECS),
        None => created.plus_secs(STARTUP_GRACE_SECS),
    };
    if due > now {
        return plan.wake_at(due);
    }
    let old = calls::value(&node.status);
    let mut conditions = List::of(&old);
    for kind in KINDS {
        conditions_unknown(&mut conditions, kind, now);
    }
    let mut new = old.clone();
    new["conditions"] = conditions.into();
    if let Some(call) = calls::status::<Node>(&node.metadata, &old, &new) {
        plan.call(call);
        if ready(node) == "True" {
            plan.notes.push(silent(node));
        }
    }
}

fn conditions_unknown(conditions: &mut List, kind: &str, now: Time) {
    let (reason, message) = match conditions.get(kind) {
        Some(old) if old["status"] == "Unknown" => return,
        Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
        None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
    };
    let beat = conditions.get(kind).map_or(Value::Null, |old| old["lastHeartbeatTime"].clone());
    let mut says = json!({ "status": "Unknown", "reason": reason, "message": message });
    if !beat.is_null() {
        says["lastHeartbeatTime"] = beat;
    }
    conditions.set_with(kind, says, now);
}

fn silent(node: &Node) -> Note {
    let name = calls::name(&node.metadata);
    Note {
        about: pods::reference::<Node>(&node.metadata),
        warning: Warning::Normal,
        reason: "NodeNotReady",
        message: format!("Node {name} status is now: NodeNotReady"),
    }
}
