//! NodeUnschedulable: cordoned nodes take only pods that tolerate it
//! (plugins/nodeunschedulable/node_unschedulable.go).

use super::reject_for_good;
use crate::decide::{Cycle, Rejection};
use crate::node::NodeView;
use crate::table::{Plugin, Wake};
use crate::terms::tolerates;

const NAME: &str = "NodeUnschedulable";

pub(crate) static PLUGIN: Plugin =
    Plugin { name: NAME, filter: Some(filter), score: None, weight: 0, wakes: &[Wake::Node] };

fn filter(cycle: &Cycle<'_>, node: &NodeView) -> Vec<Rejection> {
    let tolerated = || {
        let taint = "node.kubernetes.io/unschedulable";
        cycle.pod.tolerations.iter().any(|t| tolerates(t, taint, "", "NoSchedule"))
    };
    if node.unschedulable && !tolerated() {
        return reject_for_good(NAME, "node(s) were unschedulable");
    }
    Vec::new()
}
