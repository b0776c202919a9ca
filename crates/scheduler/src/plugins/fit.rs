//! NodeResourcesFit and NodeResourcesBalancedAllocation (plugins/noderesources/).

use crate::decide::{Cycle, Rejection};
use crate::node::NodeView;
use crate::table::{Normalise, Plugin, Score, Wake};

const NAME: &str = "NodeResourcesFit";

pub(crate) static PLUGIN: Plugin = Plugin {
    name: NAME,
    filter: Some(filter),
    score: Some(Score { applies: |_| true, raw: least_allocated, normalise: Normalise::Not }),
    weight: 1,
    wakes: &[Wake::Node, Wake::PodGone],
};

pub(crate) static BALANCED: Plugin = Plugin {
    name: "NodeResourcesBalancedAllocation",
    filter: None,
    score: Some(Score { applies: |_| true, raw: balance, normalise: Normalise::Not }),
    weight: 1,
    wakes: &[],
};

/// Everything that is short, as upstream lists each (`fitsRequest`).
fn filter(cycle: &Cycle<'_>, node: &NodeView) -> Vec<Rejection> {
    let (need, have, used) = (&cycle.pod.requests, &node.allocatable, &node.requested);
    let mut out = Vec::new();
    let mut short = |reason: String, wanted: i64, total: i64| {
        out.push(Rejection { plugin: NAME, reason: reason.into(), resolvable: wanted <= total });
    };
    if i64::try_from(node.pods.len()).unwrap_or(i64::MAX) + 1 > node.max_pods {
        short("Too many pods".into(), 0, 0);
    }
    for (name, wanted, total, taken) in [
        ("cpu", need.cpu, have.cpu, used.cpu),
        ("memory", need.memory, have.memory, used.memory),
        ("ephemeral-storage", need.ephemeral, have.ephemeral, used.ephemeral),
    ] {
        if wanted > 0 && wanted > total - taken {
            short(format!("Insufficient {name}"), wanted, total);
        }
    }
    for (name, wanted) in &need.extended {
        let total = have.get(name);
        if *wanted > 0 && *wanted > total - used.get(name) {
            short(format!("Insufficient {name}"), *wanted, total);
        }
    }
    out
}

/// Prefers empty nodes: the free share of CPU and memory.
fn least_allocated(cycle: &Cycle<'_>, node: &NodeView) -> i64 {
    let asked = cycle.pod.assumed;
    let free = |total: i64, wanted: i64| {
        if total == 0 || wanted > total { 0 } else { (total - wanted) * 100 / total }
    };
    let parts = [
        (node.allocatable.cpu, node.assumed.cpu + asked.cpu),
        (node.allocatable.memory, node.assumed.memory + asked.memory),
    ];
    let there: Vec<_> = parts.iter().filter(|(total, _)| *total > 0).collect();
    if there.is_empty() {
        return 0;
    }
    let sum: i64 = there.iter().map(|(total, wanted)| free(*total, *wanted)).sum();
    sum / i64::try_from(there.len()).unwrap_or(1)
}

/// Prefers nodes whose CPU and memory fill evenly.
fn balance(cycle: &Cycle<'_>, node: &NodeView) -> i64 {
    let share = |wanted: i64, total: i64| {
        if total == 0 { 1.0 } else { (wanted as f64 / total as f64).min(1.0) }
    };
    let need = &cycle.pod.requests;
    let cpu = share(node.requested.cpu + need.cpu, node.allocatable.cpu);
    let memory = share(node.requested.memory + need.memory, node.allocatable.memory);
    let deviation = (cpu - memory).abs() / 2.0;
    ((1.0 - deviation) * 100.0) as i64
}
