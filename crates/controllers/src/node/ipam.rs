//! A range of pod addresses for every node (pkg/controller/nodeipam/ipam/range_allocator.go).

use crate::calls;
use crate::plan::{Plan, Row, Wake, Warning};
use crate::pods;
use k8s_openapi::api::core::v1::Node;
use meta::Time;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use store::{Change, Key, View};
use typed::{Kind, Read};

/// One key for all nodes: two allocations never look at the same free range.
pub(crate) static ROW: Row = Row {
    name: "node-controller",
    wakes: &[Wake { resource: ("", "nodes"), keys: wake }],
    plan,
    refused: None,
    made: None,
};

/// The first /24 of the cluster's /16, and how many there are.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 0);
const RANGES: u32 = 256;

fn wake(_: &View, change: &Change) -> Vec<Key> {
    let lacks = |node: &Node| node.spec.as_ref().is_none_or(|s| s.pod_cidr.is_none());
    let due = change.deletion || lacks(&typed::parse::<Node>(&change.after));
    if due { vec![Node::key("", "")] } else { Vec::new() }
}

fn plan(view: &View, _: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let nodes: Vec<_> = view.read_all::<Node>(None).collect();
    let cidr = |node: &Node| node.spec.as_ref().and_then(|s| s.pod_cidr.clone());
    let mut used: BTreeSet<String> = nodes.iter().filter_map(|node| cidr(node)).collect();
    for node in nodes.iter().filter(|node| cidr(node).is_none()) {
        let range = (0..RANGES).map(range).find(|range| !used.contains(range));
        let Some(range) = range else {
            let about = pods::reference::<Node>(&node.metadata);
            let message = "Node has no free pod address range: the cluster's are all in use";
            plan.note(about, Warning::Normal, "CIDRNotAvailable", message.into());
            continue;
        };
        let body = json!({ "spec": { "podCIDR": range, "podCIDRs": [range] } });
        plan.call(calls::merge_in_state::<Node>(&node.metadata, body));
        used.insert(range);
    }
    plan
}

fn range(at: u32) -> String {
    format!("{}/24", Ipv4Addr::from(u32::from(FIRST) + (at << 8)))
}
