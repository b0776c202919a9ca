//! Node lifecycle: nodes that stop reporting become Unknown, and conditions become taints
//! (pkg/controller/nodelifecycle/node_lifecycle_controller.go).
//!
//! A node reports by renewing its Lease or its Ready condition; their times are compared with this machine's
//! clock, so clocks of a cluster must agree better than the grace period. Evictions follow from the taints
//! ([`taint_eviction`](crate::taint_eviction)); upstream's limit of evictions per second is not kept.

mod health;
pub(crate) mod ipam;
mod taints;

use crate::calls;
use crate::plan::{Note, Plan, Row, Wake, Warning};
use crate::pods;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use meta::Time;
use serde_json::json;
use store::{Change, Key, Object, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "node-controller",
    wakes: &[
        Wake { resource: ("", "nodes"), keys: wake_of_node },
        Wake { resource: ("coordination.k8s.io", "leases"), keys: wake_of_lease },
        Wake { resource: ("", "pods"), keys: wake_of_pod },
    ],
    plan,
    refused: None,
    made: None,
};

pub(super) const LEASES: &str = "kube-node-lease";

/// A node, and all of them when it decides whether anybody is ready at all.
fn wake_of_node(view: &View, change: &Change) -> Vec<Key> {
    let ready = |object: &Object| health::ready(&typed::parse::<Node>(object)) == "True";
    let (was, is) = (change.before.as_deref().is_some_and(ready), ready(&change.after));
    let is = is && !change.deletion;
    let others = || {
        let mut all = view.list(&Node::resource(), None).filter(|o| o.key != change.after.key);
        all.any(|o| ready(o))
    };
    if was != is && !others() {
        return view.list(&Node::resource(), None).map(|object| object.key.clone()).collect();
    }
    vec![change.after.key.clone()]
}

fn wake_of_lease(_: &View, change: &Change) -> Vec<Key> {
    let key = &change.after.key;
    if &*key.namespace == LEASES { vec![Node::key("", &key.name)] } else { Vec::new() }
}

/// A ready pod on a node that nobody hears of is told otherwise.
fn wake_of_pod(view: &View, change: &Change) -> Vec<Key> {
    let node = change.after.field("spec.nodeName").filter(|name| !name.is_empty());
    let silent = |name: &&str| {
        let node = view.read::<Node>("", name);
        node.is_some_and(|node| health::ready(&node) == "Unknown")
    };
    node.filter(silent).map(|name| Node::key("", name)).into_iter().collect()
}

fn plan(view: &View, key: &Key, now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(node) = view.read::<Node>("", &key.name) else { return plan };
    let lease = view.read::<Lease>(LEASES, &key.name);
    health::judge(&node, lease.as_deref(), now, &mut plan);
    taints::follow(view, &node, now, &mut plan);
    if health::ready(&node) == "Unknown" {
        let on_node = view.read_by_field::<Pod>("spec.nodeName", &key.name);
        for pod in on_node.filter(|pod| pods::is_ready(pod)) {
            plan.call(unready(&pod, now));
            plan.notes.push(Note {
                about: pods::reference::<Pod>(&pod.metadata),
                warning: Warning::Warning,
                reason: "NodeNotReady",
                message: "Node is not ready".into(),
            });
        }
    }
    plan
}

fn unready(pod: &Pod, now: Time) -> api::Call {
    let condition =
        json!({ "type": "Ready", "status": "False", "lastTransitionTime": now.rfc3339() });
    let body = json!({ "status": { "conditions": [condition] } });
    calls::strategic::<Pod>(&pod.metadata, body).on("status")
}
