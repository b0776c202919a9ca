//! Simulated nodes: what a kubelet would report while nothing runs, so that a cluster of thousands fits on a
//! laptop (the idea of sigs.k8s.io/kwok). The simulator of crate `sim` uses the same brain with slower hands.
//!
//! A Node labelled [`LABEL`] is kept by this row: its status and lease, and its pods, which start, become ready,
//! end when they are of Jobs, and go when they are deleted. One key per node, so that two pods never get one
//! address. Everything is read from the objects; there is no other state.

mod node;
mod pod;

use crate::plan::{Plan, Row, Wake};
use k8s_openapi::api::core::v1::{Node, Pod};
use meta::Time;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use store::{Change, Key, View};
use typed::{Kind, Read};

/// Label of nodes that are simulated, with the value `true`.
pub const LABEL: &str = "boxship.io/simulated";
/// Annotation of a pod that may end: after how many seconds. Pods of Jobs end without being told to.
pub const RUN_SECONDS: &str = "simulated.boxship.io/run-seconds";
/// Annotation of a pod that ends: with which exit code.
pub const EXIT_CODE: &str = "simulated.boxship.io/exit-code";

/// The loop of simulated nodes; a table of its own, as only some instances have them.
pub static SIMULATED_NODES: &[&Row] = &[&ROW];

static ROW: Row = Row {
    name: "simulated-nodes",
    wakes: &[
        Wake { resource: ("", "nodes"), keys: wake_of_node },
        Wake { resource: ("", "pods"), keys: wake_of_pod },
    ],
    plan: |view, key, now| plan(view, key, now, &Pace::AT_ONCE),
    refused: None,
    made: None,
};

/// How long things take, in seconds from and to; which of them is a matter of the pod's uid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From being bound to running.
    pub start: (u32, u32),
    /// From running to ready.
    pub ready: (u32, u32),
    /// A Job's pod, from running to its end.
    pub run: (u32, u32),
    /// From the deletion to the end.
    pub stop: (u32, u32),
    /// One image in so many is slow to come and takes `slow_secs` longer; 0 is none.
    pub slow_one_in: u32,
    pub slow_secs: u32,
}

impl Pace {
    /// Nothing takes time, but a Job's pod runs for a second.
    pub const AT_ONCE: Self = Self {
        start: (0, 0),
        ready: (0, 0),
        run: (1, 1),
        stop: (0, 0),
        slow_one_in: 0,
        slow_secs: 0,
    };
}

/// Seconds between renewals of a lease: half of what the node controller waits for.
const RENEW_SECS: i64 = 25;

fn wake_of_node(_: &View, change: &Change) -> Vec<Key> {
    let ours = !change.deletion && change.after.label(LABEL) == Some("true");
    if ours { vec![change.after.key.clone()] } else { Vec::new() }
}

fn wake_of_pod(view: &View, change: &Change) -> Vec<Key> {
    let name = change.after.field("spec.nodeName").unwrap_or_default();
    let key = Node::key("", name);
    let node = view.get(&key).filter(|node| node.label(LABEL) == Some("true"));
    node.map(|_| key).into_iter().collect()
}

/// What the kubelet of node `key` would do now.
pub fn plan(view: &View, key: &Key, now: Time, pace: &Pace) -> Plan {
    let mut plan = Plan::nothing();
    let Some(node) = view.read::<Node>("", &key.name) else { return plan };
    let renewed = node::renew(view, &node, now, &mut plan);
    plan.wake_at(renewed.plus_secs(RENEW_SECS));
    // Upstream's kubelet also waits for its range before it starts pods that need an address.
    let Some(mut addresses) = Addresses::of(view, &node) else { return plan };
    node::report(&node, addresses.node, now, &mut plan);
    for pod in view.read_by_field::<Pod>("spec.nodeName", &key.name) {
        pod::step(&pod, &mut addresses, (now, pace), &mut plan);
    }
    plan
}

/// Addresses of one node's range.
struct Addresses {
    node: Ipv4Addr,
    used: BTreeSet<Ipv4Addr>,
}

impl Addresses {
    /// `None` while the node has no range.
    fn of(view: &View, node: &Node) -> Option<Self> {
        let range = node.spec.as_ref()?.pod_cidr.as_ref()?;
        let first: Ipv4Addr = range.split('/').next()?.parse().ok()?;
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let pods = view.read_by_field::<Pod>("spec.nodeName", name);
        let used = pods.filter_map(|pod| pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok());
        Some(Self { node: Ipv4Addr::from(u32::from(first) + 1), used: used.collect() })
    }

    /// The lowest that is free; `None` when the /24 is used up.
    fn take(&mut self) -> Option<Ipv4Addr> {
        let mut all = (1..254).map(|at| Ipv4Addr::from(u32::from(self.node) + at));
        let free = all.find(|address| !self.used.contains(address))?;
        self.used.insert(free);
        Some(free)
    }
}
