//! InterPodAffinity (plugins/interpodaffinity/).

use super::{reject, reject_for_good};
use crate::decide::{Counted, Cycle, Rejection};
use crate::node::NodeView;
use crate::table::{Normalise, Plugin, Score, Wake};
use crate::tally::{Counting, Counts, counts_pod};
use crate::terms::PodTerm;

const NAME: &str = "InterPodAffinity";

pub(crate) static PLUGIN: Plugin = Plugin {
    name: NAME,
    filter: Some(filter),
    score: Some(Score { applies: scores, raw: score, normalise: Normalise::Span }),
    weight: 2,
    wakes: &[Wake::Node, Wake::PodGone, Wake::PodCame],
};

fn filter(cycle: &Cycle<'_>, node: &NodeView) -> Vec<Rejection> {
    if !near_enough(cycle, node) {
        return reject_for_good(NAME, "node(s) didn't match pod affinity rules");
    }
    if cycle.away.iter().any(|term| here(cycle, *term, node) > 0) {
        return reject(NAME, "node(s) didn't match pod anti-affinity rules");
    }
    if unwelcome(cycle, node) {
        return reject(NAME, "node(s) didn't satisfy existing pods anti-affinity rules");
    }
    Vec::new()
}

/// Pods in the node's place that match the term, less those imagined away.
fn here(cycle: &Cycle<'_>, (term, counts): Counted<'_>, node: &NodeView) -> i64 {
    let Some(place) = node.labels.get(&term.topology) else { return 0 };
    let count = counts.and_then(|c| c.get(place)).copied().unwrap_or(0);
    let gone = cycle.removed.iter().filter(|pod| {
        counts_pod(Counting::Matching, term, pod, cycle.cluster.namespace(&pod.key.namespace))
    });
    count - i64::try_from(gone.count()).unwrap_or(0)
}

/// Every required term holds; the first pod of a group that attracts itself may go anywhere.
fn near_enough(cycle: &Cycle<'_>, node: &NodeView) -> bool {
    if cycle.near.is_empty() {
        return true;
    }
    if cycle.near.iter().any(|(term, _)| !node.labels.contains_key(&term.topology)) {
        return false;
    }
    if cycle.near.iter().all(|term| here(cycle, *term, node) > 0) {
        return true;
    }
    let nobody =
        |counts: Option<&Counts>| counts.is_none_or(|c| c.values().all(|count| *count == 0));
    cycle.near.iter().all(|(term, counts)| nobody(*counts) && matches_itself(cycle, term))
}

fn matches_itself(cycle: &Cycle<'_>, term: &PodTerm) -> bool {
    let namespace = cycle.cluster.namespace(&cycle.pod.key.namespace);
    term.matches(&cycle.pod.key.namespace, &cycle.pod.labels, namespace)
}

/// A pod in the node's place wants to be away from pods like this one.
fn unwelcome(cycle: &Cycle<'_>, node: &NodeView) -> bool {
    cycle.shunned_by.iter().any(|(term, counts)| {
        let Some(place) = node.labels.get(&term.topology) else { return false };
        let gone = cycle.removed.iter().flat_map(|p| &p.anti_affinity).filter(|t| t == term);
        let left = counts.get(place).copied().unwrap_or(0);
        left > i64::try_from(gone.count()).unwrap_or(0)
    })
}

fn scores(cycle: &Cycle<'_>) -> bool {
    !cycle.pod.preferred_pods.is_empty() || !cycle.liked_by.is_empty()
}

fn score(cycle: &Cycle<'_>, node: &NodeView) -> i64 {
    let liked: i64 = cycle
        .liked
        .iter()
        .map(|(weight, term)| i64::from(*weight) * here(cycle, *term, node))
        .sum();
    let likers: i64 = cycle
        .liked_by
        .iter()
        .filter_map(|(term, counts)| counts.get(node.labels.get(&term.topology)?))
        .sum();
    liked + likers
}
