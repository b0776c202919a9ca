//! NodeAffinity, with the plain node selector (plugins/nodeaffinity/node_affinity.go).

use super::reject_for_good;
use crate::decide::{Cycle, Rejection};
use crate::needs::PodNeeds;
use crate::node::NodeView;
use crate::table::{Normalise, Plugin, Score, Wake};

const NAME: &str = "NodeAffinity";

pub(crate) static PLUGIN: Plugin = Plugin {
    name: NAME,
    filter: Some(filter),
    score: Some(Score {
        applies: |cycle| !cycle.pod.preferred_nodes.is_empty(),
        raw: score,
        normalise: Normalise::ByMost,
    }),
    weight: 2,
    wakes: &[Wake::Node],
};

fn filter(cycle: &Cycle<'_>, node: &NodeView) -> Vec<Rejection> {
    if matches(cycle.pod, node) {
        return Vec::new();
    }
    reject_for_good(NAME, "node(s) didn't match Pod's node affinity/selector")
}

pub(crate) fn matches(pod: &PodNeeds, node: &NodeView) -> bool {
    pod.selector.iter().all(|(key, value)| node.labels.get(key) == Some(value))
        && pod
            .node_terms
            .as_ref()
            .is_none_or(|terms| terms.iter().any(|t| t.matches(&node.name, &node.labels)))
}

fn score(cycle: &Cycle<'_>, node: &NodeView) -> i64 {
    let liked = cycle.pod.preferred_nodes.iter();
    liked
        .filter(|(_, term)| term.matches(&node.name, &node.labels))
        .map(|(weight, _)| i64::from(*weight))
        .sum()
}
