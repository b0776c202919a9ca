//! NodeName: a pod that names its node goes nowhere else (plugins/nodename/node_name.go).

use super::reject_for_good;
use crate::decide::{Cycle, Rejection};
use crate::node::NodeView;
use crate::table::{Plugin, Wake};

const NAME: &str = "NodeName";

pub(crate) static PLUGIN: Plugin =
    Plugin { name: NAME, filter: Some(filter), score: None, weight: 0, wakes: &[Wake::Node] };

fn filter(cycle: &Cycle<'_>, node: &NodeView) -> Vec<Rejection> {
    if cycle.pod.node.is_empty() || cycle.pod.node == node.name {
        return Vec::new();
    }
    reject_for_good(NAME, "node(s) didn't match the requested node name")
}
