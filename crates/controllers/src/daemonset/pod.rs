//! Daemon pods: meant for one node, and tolerant of its troubles
//! (pkg/controller/daemon/util/daemonset_util.go).

use super::Set;
use crate::{calls, node_fit, pods, revisions};
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec};
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec, Toleration};
use meta::Value;
use serde_json::json;

/// Key and effect of taints that never keep a daemon away.
const TOLERATED: &[(&str, &str)] = &[
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
const OF_HOST_NETWORK: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

/// The template's spec with the tolerations every daemon gets.
pub(super) fn tolerant(spec: &DaemonSetSpec) -> PodSpec {
    let mut pod = spec.template.spec.clone().unwrap_or_default();
    let host = pod.host_network == Some(true);
    let all = pod.tolerations.get_or_insert_default();
    for (key, effect) in TOLERATED.iter().chain(host.then_some(&OF_HOST_NETWORK)) {
        let toleration = Toleration {
            key: Some((*key).into()),
            operator: Some("Exists".into()),
            effect: Some((*effect).into()),
            ..Toleration::default()
        };
        if !all.contains(&toleration) {
            all.push(toleration);
        }
    }
    pod
}

/// Whether the node shall have a pod, and whether one that is there may stay (`NodeShouldRunDaemonPod`).
pub(super) fn suits(spec: &PodSpec, node: &Node) -> (bool, bool) {
    let named = spec.node_name.as_deref().filter(|name| !name.is_empty());
    if named.is_some_and(|name| name != calls::name(&node.metadata)) || !node_fit::wants(spec, node)
    {
        return (false, false);
    }
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    let mut bad = node_fit::taints(node)
        .iter()
        .filter(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"))
        .filter(|taint| !node_fit::tolerated(tolerations, taint))
        .peekable();
    let runs = bad.peek().is_none();
    (runs, bad.all(|taint| taint.effect != "NoExecute"))
}

/// The node a pod is on, or that its affinity names (`GetTargetNodeName`).
pub(super) fn target(pod: &Pod) -> String {
    if !pods::node(pod).is_empty() {
        return pods::node(pod).into();
    }
    let affinity = pod.spec.as_ref().and_then(|s| s.affinity.as_ref()?.node_affinity.as_ref());
    let required =
        affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    let fields = required.into_iter().flat_map(|r| &r.node_selector_terms);
    let mut fields = fields.flat_map(|term| term.match_fields.iter().flatten());
    let name = fields.find(|f| f.key == "metadata.name" && f.operator == "In");
    name.and_then(|f| f.values.as_ref()?.first().cloned()).unwrap_or_default()
}

pub(super) fn new(set: &Set<'_>, node: &str) -> Value {
    let mut pod = pods::from_template::<DaemonSet>(&set.spec.template, &set.set.metadata);
    pod["metadata"]["labels"][revisions::HASH] = set.history.hash.clone().into();
    pod["spec"] = calls::value(&tolerant(set.spec));
    let wanted = json!([{ "key": "metadata.name", "operator": "In", "values": [node] }]);
    let required = &mut pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let terms = required["nodeSelectorTerms"].as_array().cloned().unwrap_or_default();
    let mut terms: Vec<Value> = if terms.is_empty() { vec![json!({})] } else { terms };
    for term in &mut terms {
        term["matchFields"] = wanted.clone();
    }
    required["nodeSelectorTerms"] = terms.into();
    pod
}
