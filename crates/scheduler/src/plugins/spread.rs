//! PodTopologySpread (plugins/podtopologyspread/).

use super::{node_affinity, reject, reject_for_good};
use crate::cluster::Cluster;
use crate::decide::{Cycle, Rejection};
use crate::needs::{PodNeeds, Spread};
use crate::node::NodeView;
use crate::table::{Normalise, Plugin, Score, Wake};
use crate::tally::{Counting, Counts, bump, counts_pod};
use std::borrow::Cow;

const NAME: &str = "PodTopologySpread";

pub(crate) static PLUGIN: Plugin = Plugin {
    name: NAME,
    filter: Some(filter),
    score: Some(Score {
        applies: |cycle| cycle.pod.spread.iter().any(|s| !s.hard),
        raw: score,
        normalise: Normalise::Spread,
    }),
    weight: 2,
    wakes: &[Wake::Node, Wake::PodGone, Wake::PodCame],
};

/// A constraint with its counts, ready for every node of a cycle.
pub(crate) struct SpreadState<'a> {
    constraint: &'a Spread,
    counts: Cow<'a, Counts>,
    /// Matching pods in the emptiest place.
    least: i64,
    places: usize,
    /// Whether the pod itself counts.
    own: i64,
}

impl<'a> SpreadState<'a> {
    pub fn of(pod: &'a PodNeeds, cluster: &'a Cluster) -> Vec<Self> {
        pod.spread.iter().map(|constraint| Self::one(constraint, pod, cluster)).collect()
    }

    fn one(constraint: &'a Spread, pod: &'a PodNeeds, cluster: &'a Cluster) -> Self {
        let topology = &constraint.term.topology;
        let narrowed = constraint.honours_taints
            || constraint.honours_affinity && pod.restricts_nodes()
            || pod.spread.iter().any(|other| other.term.topology != *topology);
        let known = cluster
            .matching(Counting::Staying, &constraint.term)
            .zip(cluster.domains(topology))
            .filter(|_| !narrowed);
        let (counts, least, places) = match known {
            Some((counts, domains)) => {
                let of = |place: &String| counts.get(place).copied().unwrap_or(0);
                (Cow::Borrowed(counts), domains.keys().map(of).min(), domains.len())
            }
            None => {
                let (counts, domains) = count_eligible(constraint, pod, cluster);
                let of = |place: &String| counts.get(place).copied().unwrap_or(0);
                let least = domains.keys().map(of).min();
                (Cow::Owned(counts), least, domains.len())
            }
        };
        let enough = i64::try_from(places).unwrap_or(i64::MAX) >= constraint.min_domains;
        let own = constraint.term.matches(
            &pod.key.namespace,
            &pod.labels,
            cluster.namespace(&pod.key.namespace),
        );
        let least = if enough { least.unwrap_or(0) } else { 0 };
        Self { constraint, counts, least, places, own: own.into() }
    }
}

/// Counts on the nodes the constraint looks at, for pods that may not go everywhere.
fn count_eligible(constraint: &Spread, pod: &PodNeeds, cluster: &Cluster) -> (Counts, Counts) {
    let (mut counts, mut domains) = (Counts::new(), Counts::new());
    let eligible = |node: &&NodeView| {
        node.exists
            && has_all_places(pod, constraint, node)
            && (!constraint.honours_affinity || node_affinity::matches(pod, node))
            && (!constraint.honours_taints || untainted(pod, node))
    };
    for node in cluster.nodes().iter().filter(eligible) {
        let place = node.labels.get(&constraint.term.topology);
        bump(&mut domains, place, 1);
        let here = node.pods.values().filter(|p| {
            let namespace = cluster.namespace(&p.key.namespace);
            counts_pod(Counting::Staying, &constraint.term, p, namespace)
        });
        bump(&mut counts, place, i64::try_from(here.count()).unwrap_or(i64::MAX));
    }
    (counts, domains)
}

/// Nodes without the label of any constraint of the same sort do not count for the others either
/// (`nodeLabelsMatchSpreadConstraints`).
fn has_all_places(pod: &PodNeeds, constraint: &Spread, node: &NodeView) -> bool {
    let same = pod.spread.iter().filter(|other| other.hard == constraint.hard);
    same.map(|other| &other.term.topology).all(|label| node.labels.contains_key(label))
}

fn untainted(pod: &PodNeeds, node: &NodeView) -> bool {
    let hard =
        node.taints.iter().filter(|t| matches!(t.effect.as_str(), "NoSchedule" | "NoExecute"));
    hard.clone().all(|taint| {
        let value = taint.value.as_deref().unwrap_or_default();
        pod.tolerations.iter().any(|t| crate::terms::tolerates(t, &taint.key, value, &taint.effect))
    })
}

fn filter(cycle: &Cycle<'_>, node: &NodeView) -> Vec<Rejection> {
    for state in cycle.spread.iter().filter(|s| s.constraint.hard) {
        let Some(place) = node.labels.get(&state.constraint.term.topology) else {
            return reject_for_good(
                NAME,
                "node(s) didn't match pod topology spread constraints (missing required label)",
            );
        };
        let here = state.counts.get(place).copied().unwrap_or(0) - imagined_away(cycle, state);
        if here + state.own - state.least.min(here) > state.constraint.max_skew {
            return reject(NAME, "node(s) didn't match pod topology spread constraints");
        }
    }
    Vec::new()
}

fn imagined_away(cycle: &Cycle<'_>, state: &SpreadState<'_>) -> i64 {
    let gone = cycle.removed.iter().filter(|pod| {
        let namespace = cycle.cluster.namespace(&pod.key.namespace);
        counts_pod(Counting::Staying, &state.constraint.term, pod, namespace)
    });
    i64::try_from(gone.count()).unwrap_or(0)
}

/// How crowded the node's places are; fewer is better, which normalising turns round.
fn score(cycle: &Cycle<'_>, node: &NodeView) -> i64 {
    let soft = cycle.spread.iter().filter(|s| !s.constraint.hard);
    if !soft.clone().all(|state| node.labels.contains_key(&state.constraint.term.topology)) {
        return Normalise::IGNORED;
    }
    let crowd: f64 = soft
        .filter_map(|state| {
            let place = node.labels.get(&state.constraint.term.topology)?;
            let count = state.counts.get(place).copied().unwrap_or(0);
            let weight = ((state.places + 2) as f64).ln();
            Some(count as f64 * weight + (state.constraint.max_skew - 1) as f64)
        })
        .sum();
    crowd.round() as i64
}
