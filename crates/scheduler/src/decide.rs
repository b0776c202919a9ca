//! One scheduling cycle: filter nodes, score what is left, choose (pkg/scheduler/schedule_one.go).

use crate::cluster::Cluster;
use crate::needs::PodNeeds;
use crate::node::NodeView;
use crate::plugins::spread::SpreadState;
use crate::plugins::volumes;
use crate::table::{Normalise, PLUGINS};
use crate::tally::{Counting, Counts, Question};
use crate::terms::PodTerm;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::View;

/// What plugins may look at while one pod is decided.
pub struct Cycle<'a> {
    pub pod: &'a PodNeeds,
    pub cluster: &'a Cluster,
    pub view: &'a View,
    pub(crate) spread: Vec<SpreadState<'a>>,
    /// Terms of placed pods that keep away, or attract, pods like this one.
    pub(crate) shunned_by: Vec<(&'a PodTerm, &'a Counts)>,
    pub(crate) liked_by: Vec<(&'a PodTerm, &'a Counts)>,
    /// The pod's own terms with what they count, looked up once for all nodes.
    pub(crate) near: Vec<Counted<'a>>,
    pub(crate) away: Vec<Counted<'a>>,
    pub(crate) liked: Vec<(i32, Counted<'a>)>,
    /// Pods imagined away while victims are looked for; all from the node at hand.
    pub removed: Vec<Arc<PodNeeds>>,
}

/// A term of the pod at hand and the pods that match it, by place.
pub(crate) type Counted<'a> = (&'a PodTerm, Option<&'a Counts>);

/// A plugin's word on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Fits,
    Rejected(Rejection),
}

/// Why a node will not do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rejection {
    pub plugin: &'static str,
    pub reason: Cow<'static, str>,
    /// Whether removing pods from the node can help.
    pub resolvable: bool,
}

/// What filtering came to.
pub(crate) struct Filtered {
    /// Indices into `cluster.nodes()`.
    pub feasible: Vec<usize>,
    /// Rejected nodes with their reasons.
    pub rejected: Vec<(usize, Vec<Rejection>)>,
    /// How many nodes were looked at: where the next pod starts.
    pub seen: usize,
    /// A reason that is the pod's own, whatever the node (upstream's `PreFilter`).
    pub outright: Option<Rejection>,
}

impl Verdict {
    pub fn reject(plugin: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Rejected(Rejection { plugin, reason: reason.into(), resolvable: true })
    }

    pub fn reject_for_good(plugin: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Rejected(Rejection { plugin, reason: reason.into(), resolvable: false })
    }
}

/// What must be counted before a cycle for `pod` can start.
pub(crate) fn questions(pod: &PodNeeds) -> Vec<Question> {
    let near = pod.affinity.iter().chain(&pod.anti_affinity);
    let liked = pod.preferred_pods.iter().map(|(_, term)| term);
    let spread = pod.spread.iter().map(|s| (Counting::Staying, s.term.clone()));
    near.chain(liked).map(|term| (Counting::Matching, term.clone())).chain(spread).collect()
}

impl<'a> Cycle<'a> {
    /// Start with [`Cluster::learn`] of [`questions`].
    pub(crate) fn new(pod: &'a PodNeeds, cluster: &'a Cluster, view: &'a View) -> Self {
        let spread = SpreadState::of(pod, cluster);
        let namespace = cluster.namespace(&pod.key.namespace);
        let meant = |counting: Counting| {
            let all = cluster.tally.carried(counting);
            all.filter(|(t, _)| t.matches(&pod.key.namespace, &pod.labels, namespace)).collect()
        };
        let (shunned_by, liked_by) = (meant(Counting::AntiAffine), meant(Counting::Preferring));
        let counted = |term: &'a PodTerm| (term, cluster.matching(Counting::Matching, term));
        Self {
            near: pod.affinity.iter().map(counted).collect(),
            away: pod.anti_affinity.iter().map(counted).collect(),
            liked: pod.preferred_pods.iter().map(|(w, term)| (*w, counted(term))).collect(),
            removed: Vec::new(),
            pod,
            cluster,
            view,
            spread,
            shunned_by,
            liked_by,
        }
    }

    /// The first plugin that rejects the node speaks, as upstream's framework stops there.
    pub(crate) fn check(&self, node: &NodeView) -> Vec<Rejection> {
        for plugin in PLUGINS {
            let Some(filter) = plugin.filter else { continue };
            let rejections = filter(self, node);
            if !rejections.is_empty() {
                return rejections;
            }
        }
        Vec::new()
    }

    /// With the pods nominated to the node, and also without them, as they may never come.
    fn check_nominated(&self, node: &NodeView) -> Vec<Rejection> {
        let nominated = self.cluster.nominated(&node.name, self.pod);
        if nominated.is_empty() {
            return self.check(node);
        }
        let mut crowded = node.clone();
        for pod in nominated {
            crowded.add(pod);
        }
        let rejections = self.check(&crowded);
        if rejections.is_empty() { self.check(node) } else { rejections }
    }

    /// Looks at nodes from `start` on until enough fit.
    pub(crate) fn filter(&self, start: usize) -> Filtered {
        let nodes = self.cluster.nodes();
        let order = self.candidates(start);
        let enough = enough(order.len());
        let outright = volumes::refused(self);
        let mut out = Filtered { feasible: Vec::new(), rejected: Vec::new(), seen: 0, outright };
        if out.outright.is_some() {
            return out;
        }
        for at in order {
            if !nodes[at].exists {
                continue;
            }
            out.seen += 1;
            let rejections = self.check_nominated(&nodes[at]);
            if rejections.is_empty() {
                out.feasible.push(at);
                if out.feasible.len() >= enough {
                    break;
                }
            } else {
                out.rejected.push((at, rejections));
            }
        }
        out
    }

    /// All nodes beginning at `start`; only the named ones for pods that name theirs (DaemonSets).
    fn candidates(&self, start: usize) -> Vec<usize> {
        let nodes = self.cluster.nodes();
        if let Some(names) = self.pinned() {
            let named = |at: &usize| names.iter().any(|n| **n == *nodes[*at].name);
            if names.len() > 8 {
                return (0..nodes.len()).filter(named).collect();
            }
            return names.iter().filter_map(|name| self.cluster.index(name)).collect();
        }
        let count = nodes.len();
        (0..count).map(|step| (start + step) % count).collect()
    }

    fn pinned(&self) -> Option<Vec<&String>> {
        let terms = self.pod.node_terms.as_ref()?;
        let names: Option<Vec<_>> = terms.iter().map(|term| term.names()).collect();
        Some(names?.into_iter().flatten().collect())
    }

    /// The best of `feasible`; `luck` chooses among equals.
    pub(crate) fn choose(&self, feasible: &[usize], luck: u64) -> Option<usize> {
        if let [only] = feasible {
            return Some(*only);
        }
        let totals = self.scores(feasible);
        let best = *totals.iter().max()?;
        let equals: Vec<usize> =
            feasible.iter().zip(&totals).filter(|(_, t)| **t == best).map(|(at, _)| *at).collect();
        let pick = usize::try_from(luck % u64::try_from(equals.len()).unwrap_or(1)).unwrap_or(0);
        equals.get(pick).copied()
    }

    fn scores(&self, feasible: &[usize]) -> Vec<i64> {
        let nodes = self.cluster.nodes();
        let mut totals = vec![0; feasible.len()];
        for plugin in PLUGINS {
            let Some(score) = plugin.score.filter(|s| (s.applies)(self)) else { continue };
            let mut raw: Vec<i64> =
                feasible.iter().map(|at| (score.raw)(self, &nodes[*at])).collect();
            normalise(score.normalise, &mut raw);
            for (total, one) in totals.iter_mut().zip(raw) {
                *total += one * plugin.weight;
            }
        }
        totals
    }
}

/// Of many nodes a sample is enough: half of 100, falling to a twentieth of 6000
/// (`numFeasibleNodesToFind`).
fn enough(nodes: usize) -> usize {
    const LEAST: usize = 100;
    if nodes <= LEAST {
        return nodes;
    }
    let percent = 50_usize.saturating_sub(nodes / 125).max(5);
    (nodes * percent / 100).max(LEAST)
}

const TOP: i64 = 100;

fn normalise(how: Normalise, scores: &mut [i64]) {
    let most = scores.iter().copied().max().unwrap_or(0);
    let least = scores.iter().copied().min().unwrap_or(0);
    match how {
        Normalise::Not => {}
        Normalise::ByMost => {
            for score in scores {
                *score = if most == 0 { 0 } else { *score * TOP / most };
            }
        }
        Normalise::ByMostReversed => {
            for score in scores {
                *score = if most == 0 { TOP } else { TOP - *score * TOP / most };
            }
        }
        Normalise::Span => {
            for score in scores {
                *score = if most == least { 0 } else { (*score - least) * TOP / (most - least) };
            }
        }
        Normalise::Spread => {
            let counted = scores.iter().copied().filter(|score| *score != Normalise::IGNORED);
            let least = counted.min().unwrap_or(0);
            for score in scores {
                *score = match *score {
                    Normalise::IGNORED => 0,
                    _ if most == 0 => TOP,
                    crowd => TOP * (most + least - crowd) / most,
                };
            }
        }
    }
}

/// `0/5 nodes are available: 2 Insufficient cpu, 3 node(s) were unschedulable.` (`FitError.Error`)
pub(crate) fn message(nodes: usize, filtered: &Filtered) -> String {
    if nodes == 0 {
        return "no nodes available to schedule pods".into();
    }
    if let Some(outright) = &filtered.outright {
        return format!("0/{nodes} nodes are available: {}.", outright.reason);
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let unseen = nodes.saturating_sub(filtered.rejected.len());
    if unseen > 0 {
        counts.insert("node(s) didn't satisfy plugin(s) [NodeAffinity]", unseen);
    }
    for (_, rejections) in &filtered.rejected {
        for rejection in rejections {
            *counts.entry(&rejection.reason).or_default() += 1;
        }
    }
    let mut parts: Vec<String> =
        counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.sort();
    if parts.is_empty() {
        return format!("0/{nodes} nodes are available.");
    }
    format!("0/{nodes} nodes are available: {}.", parts.join(", "))
}
