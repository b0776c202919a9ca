//! TaintToleration (plugins/tainttoleration/taint_toleration.go).

use super::reject_for_good;
use crate::decide::{Cycle, Rejection};
use crate::node::NodeView;
use crate::table::{Normalise, Plugin, Score, Wake};
use crate::terms::tolerates;
use k8s_openapi::api::core::v1::Taint;

const NAME: &str = "TaintToleration";

pub(crate) static PLUGIN: Plugin = Plugin {
    name: NAME,
    filter: Some(filter),
    score: Some(Score { applies: |_| true, raw: score, normalise: Normalise::ByMostReversed }),
    weight: 3,
    wakes: &[Wake::Node],
};

fn filter(cycle: &Cycle<'_>, node: &NodeView) -> Vec<Rejection> {
    let hard = |t: &&Taint| matches!(t.effect.as_str(), "NoSchedule" | "NoExecute");
    match node.taints.iter().filter(hard).find(|taint| !is_tolerated(cycle, taint)) {
        Some(_) => reject_for_good(NAME, "node(s) had untolerated taint(s)"),
        None => Vec::new(),
    }
}

pub(crate) fn is_tolerated(cycle: &Cycle<'_>, taint: &Taint) -> bool {
    let value = taint.value.as_deref().unwrap_or_default();
    cycle.pod.tolerations.iter().any(|t| tolerates(t, &taint.key, value, &taint.effect))
}

/// Taints that would rather not have the pod.
fn score(cycle: &Cycle<'_>, node: &NodeView) -> i64 {
    let soft = node.taints.iter().filter(|taint| taint.effect == "PreferNoSchedule");
    i64::try_from(soft.filter(|taint| !is_tolerated(cycle, taint)).count()).unwrap_or(i64::MAX)
}
