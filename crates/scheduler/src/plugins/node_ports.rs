//! NodePorts: host ports are there once (plugins/nodeports/node_ports.go).

use super::reject;
use crate::decide::{Cycle, Rejection};
use crate::node::NodeView;
use crate::table::{Plugin, Wake};

const NAME: &str = "NodePorts";

pub(crate) static PLUGIN: Plugin = Plugin {
    name: NAME,
    filter: Some(filter),
    score: None,
    weight: 0,
    wakes: &[Wake::Node, Wake::PodGone],
};

fn filter(cycle: &Cycle<'_>, node: &NodeView) -> Vec<Rejection> {
    if cycle.pod.ports.iter().any(|port| node.has_port(port)) {
        return reject(NAME, "node(s) didn't have free ports for the requested pod ports");
    }
    Vec::new()
}
