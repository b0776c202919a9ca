//! DefaultPreemption: which pods to remove so that a more important one fits
//! (plugins/defaultpreemption/, framework/preemption/preemption.go).

use crate::decide::{Cycle, Filtered};
use crate::needs::PodNeeds;
use crate::node::NodeView;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use meta::Time;
use std::cmp::Reverse;
use std::sync::Arc;
use store::Key;
use typed::Read;

/// A node that would do, and at what price.
pub(crate) struct Victims {
    pub node: Box<str>,
    pub pods: Vec<Arc<PodNeeds>>,
    /// Victims whose disruption budget allows no disruption.
    pub violations: usize,
}

/// What looking for victims came to.
pub(crate) enum Preemption {
    Found(Victims),
    /// For the event: `preemption: 0/5 nodes are available: ...`
    Hopeless(String),
    /// As `Hopeless`, but room is being made already on the node the pod was promised.
    Promised(String),
}

/// Nodes looked at per attempt, as a tenth of all but at least this many.
const CANDIDATES_LEAST: usize = 100;

pub(crate) fn preempt(cycle: &mut Cycle<'_>, filtered: &Filtered) -> Preemption {
    let nodes = cycle.cluster.size();
    if nodes == 0 {
        return Preemption::Hopeless(String::new());
    }
    if !cycle.pod.preempts {
        return Preemption::Hopeless("not eligible due to preemptionPolicy=Never.".into());
    }
    if waits_for_victims(cycle) {
        return Preemption::Promised(
            "not eligible due to a terminating pod on the nominated node.".into(),
        );
    }
    let hopeful: Vec<usize> = filtered
        .rejected
        .iter()
        .filter(|(_, reasons)| reasons.iter().all(|r| r.resolvable))
        .map(|(at, _)| *at)
        .collect();
    let most = (nodes / 10).max(CANDIDATES_LEAST);
    let mut found: Vec<Victims> = Vec::new();
    for at in &hopeful {
        found.extend(victims_on(cycle, *at));
        if found.len() >= most {
            break;
        }
    }
    match found.into_iter().min_by_key(price) {
        Some(best) => Preemption::Found(best),
        None => Preemption::Hopeless(hopeless(
            nodes,
            nodes.saturating_sub(hopeful.len()),
            hopeful.len(),
        )),
    }
}

/// Victims chosen earlier are still going: their room will come.
fn waits_for_victims(cycle: &Cycle<'_>) -> bool {
    let Some(node) = cycle.cluster.node(&cycle.pod.nominated) else { return false };
    node.pods.values().any(|pod| pod.terminating && pod.priority < cycle.pod.priority)
}

fn hopeless(nodes: usize, unhelpful: usize, empty: usize) -> String {
    let mut parts: Vec<String> = Vec::new();
    if unhelpful > 0 {
        parts.push(format!("{unhelpful} Preemption is not helpful for scheduling"));
    }
    if empty > 0 {
        parts.push(format!("{empty} No preemption victims found for incoming pod"));
    }
    parts.sort();
    format!("0/{nodes} nodes are available: {}.", parts.join(", "))
}

/// Removes every less important pod, then gives back as many as still fit, most important first.
fn victims_on(cycle: &mut Cycle<'_>, at: usize) -> Option<Victims> {
    let mut node = cycle.cluster.nodes()[at].clone();
    let lesser: Vec<Arc<PodNeeds>> =
        node.pods.values().filter(|pod| pod.priority < cycle.pod.priority).cloned().collect();
    if lesser.is_empty() {
        return None;
    }
    // Two pods promised the same room would wait for each other for ever.
    for promised in cycle.cluster.nominated(&node.name, cycle.pod) {
        node.add(promised);
    }
    for pod in &lesser {
        node.remove(&pod.key);
    }
    cycle.removed = lesser.clone();
    let victims = cycle.check(&node).is_empty().then(|| reprieve(cycle, &mut node, lesser));
    cycle.removed.clear();
    victims.map(|(pods, violations)| Victims { node: node.name.clone(), pods, violations })
}

fn reprieve(
    cycle: &mut Cycle<'_>,
    node: &mut NodeView,
    mut lesser: Vec<Arc<PodNeeds>>,
) -> (Vec<Arc<PodNeeds>>, usize) {
    lesser.sort_by_key(|pod| (Reverse(pod.priority), pod.since(), pod.key.clone()));
    let guarded = guarded(cycle, &lesser);
    let (protected, free): (Vec<_>, Vec<_>) =
        lesser.into_iter().partition(|pod| guarded.contains(&pod.key));
    let mut victims = Vec::new();
    let mut violations = 0;
    for pod in protected {
        if !take_back(cycle, node, &pod) {
            violations += 1;
            victims.push(pod);
        }
    }
    for pod in free {
        if !take_back(cycle, node, &pod) {
            victims.push(pod);
        }
    }
    victims.sort_by_key(|pod| (Reverse(pod.priority), pod.since(), pod.key.clone()));
    (victims, violations)
}

/// Whether the pod can stay after all.
fn take_back(cycle: &mut Cycle<'_>, node: &mut NodeView, pod: &Arc<PodNeeds>) -> bool {
    node.add(pod.clone());
    cycle.removed.retain(|p| p.key != pod.key);
    if cycle.check(node).is_empty() {
        return true;
    }
    node.remove(&pod.key);
    cycle.removed.push(pod.clone());
    false
}

/// Pods whose budget is used up when they go, in order.
fn guarded(cycle: &Cycle<'_>, pods: &[Arc<PodNeeds>]) -> Vec<Key> {
    let budgets: Vec<_> = cycle.view.read_all::<PodDisruptionBudget>(None).collect();
    let mut left: Vec<i32> =
        budgets.iter().map(|b| b.status.as_ref().map_or(0, |s| s.disruptions_allowed)).collect();
    let mut out = Vec::new();
    for pod in pods {
        let mut violates = false;
        for (budget, left) in budgets.iter().zip(&mut left) {
            if covers(budget, pod) {
                *left -= 1;
                violates |= *left < 0;
            }
        }
        if violates {
            out.push(pod.key.clone());
        }
    }
    out
}

/// A budget with an empty selector covers nothing here (`filterPodsWithPDBViolation`), nor do pods count whose
/// disruption it has accounted for already.
fn covers(budget: &PodDisruptionBudget, pod: &PodNeeds) -> bool {
    let selector = budget.spec.as_ref().and_then(|s| s.selector.as_ref());
    let selector = selector.filter(|s| s.match_labels.is_some() || s.match_expressions.is_some());
    let counted = budget.status.as_ref().and_then(|s| s.disrupted_pods.as_ref());
    if counted.is_some_and(|pods| pods.contains_key(&*pod.key.name)) {
        return false;
    }
    budget.metadata.namespace.as_deref() == Some(&*pod.key.namespace)
        && crate::terms::Rules::of(selector, &[]).matches(&pod.labels)
}

/// Fewest broken budgets, lowest highest priority, lowest sum, fewest, latest started (`pickOneNodeForPreemption`).
fn price(victims: &Victims) -> (usize, i32, i64, usize, Reverse<Time>, Box<str>) {
    let highest = victims.pods.iter().map(|p| p.priority).max().unwrap_or(i32::MIN);
    // Offset as upstream does, so that many negative priorities do not look cheap.
    let sum = victims.pods.iter().map(|p| i64::from(p.priority) + i64::from(i32::MAX) + 1).sum();
    let first = victims.pods.iter().filter(|p| p.priority == highest).map(|p| p.since()).min();
    (
        victims.violations,
        highest,
        sum,
        victims.pods.len(),
        Reverse(first.unwrap_or_default()),
        victims.node.clone(),
    )
}
