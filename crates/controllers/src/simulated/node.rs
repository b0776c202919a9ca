//! The Node and its Lease (pkg/kubelet/nodestatus, component-helpers `lease`).

use crate::calls;
use crate::conditions::List;
use crate::node::LEASES;
use crate::plan::Plan;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use meta::{Time, Value};
use serde_json::json;
use std::net::Ipv4Addr;
use store::View;
use typed::Read;

const LEASE_SECS: i64 = 40;
/// What a node has when nobody says otherwise: kwok's default node.
const CPUS: &str = "32";
const MEMORY: &str = "256Gi";
const PODS: &str = "110";

/// Keeps the lease fresh; answers when it was renewed last.
pub(super) fn renew(view: &View, node: &Node, now: Time, plan: &mut Plan) -> Time {
    let name = calls::name(&node.metadata);
    let Some(lease) = view.read::<Lease>(LEASES, name) else {
        plan.call(calls::create::<Lease>(LEASES, first(node, now)));
        return now;
    };
    let renewed = lease.spec.as_ref().and_then(|s| s.renew_time.as_ref());
    let renewed = renewed.map_or(Time::default(), |at| Time(at.0.as_microsecond()));
    if renewed.plus_secs(super::RENEW_SECS) > now {
        return renewed;
    }
    let body = json!({ "spec": { "renewTime": now.rfc3339_micro() } });
    plan.call(calls::merge::<Lease>(&lease.metadata, body));
    now
}

fn first(node: &Node, now: Time) -> Value {
    let name = calls::name(&node.metadata);
    let owner = json!({ "apiVersion": "v1", "kind": "Node", "name": name,
        "uid": calls::uid(&node.metadata) });
    json!({
        "metadata": { "name": name, "ownerReferences": [owner] },
        "spec": { "holderIdentity": name, "leaseDurationSeconds": LEASE_SECS,
            "renewTime": now.rfc3339_micro() },
    })
}

const WELL: &[(&str, &str, &str, &str)] = &[
    (
        "MemoryPressure",
        "False",
        "KubeletHasSufficientMemory",
        "kubelet has sufficient memory available",
    ),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
];

/// Says what the node has, once, and that it is well, whenever somebody thinks otherwise.
pub(super) fn report(node: &Node, address: Ipv4Addr, now: Time, plan: &mut Plan) {
    let old = calls::value(&node.status);
    let mut conditions = List::of(&old);
    for (kind, status, reason, message) in WELL {
        conditions.set(kind, status, reason, message, now);
    }
    let mut new = if old.is_object() { old.clone() } else { json!({}) };
    new["conditions"] = beating(conditions, now);
    if new["capacity"].is_null() {
        new["capacity"] = json!({ "cpu": CPUS, "memory": MEMORY, "pods": PODS,
            "ephemeral-storage": "1Ti" });
    }
    if new["allocatable"].is_null() {
        new["allocatable"] = new["capacity"].clone();
    }
    if new["addresses"].is_null() {
        new["addresses"] = json!([
            { "type": "InternalIP", "address": address.to_string() },
            { "type": "Hostname", "address": calls::name(&node.metadata) },
        ]);
    }
    if new["nodeInfo"]["kubeletVersion"].as_str().is_none_or(str::is_empty) {
        new["nodeInfo"] = info(node);
    }
    if let Some(call) = calls::status::<Node>(&node.metadata, &old, &new) {
        plan.call(call);
    }
}

/// Heartbeats come by lease; a condition only says when it was last looked at.
fn beating(conditions: List, now: Time) -> Value {
    let mut all = Value::from(conditions);
    for condition in all.as_array_mut().into_iter().flatten() {
        if condition["lastHeartbeatTime"].is_null() {
            condition["lastHeartbeatTime"] = now.rfc3339().into();
        }
    }
    all
}

fn info(node: &Node) -> Value {
    let id = calls::uid(&node.metadata);
    json!({
        "architecture": "amd64",
        "bootID": id,
        "containerRuntimeVersion": concat!("boxship-simulated://", env!("CARGO_PKG_VERSION")),
        "kernelVersion": "simulated",
        "kubeProxyVersion": "",
        "kubeletVersion": "v1.35.0",
        "machineID": id,
        "operatingSystem": "linux",
        "osImage": "simulated",
        "systemUUID": id,
    })
}
