//! Rules of single pods and of their nodes.

use crate::mirror::Mirror;
use k8s_openapi::api::core::v1::{Node, Pod, ResourceQuota};
use meta::Quantity;
use store::Change;

fn now_and_before(change: &Change) -> (std::sync::Arc<Pod>, Option<std::sync::Arc<Pod>>) {
    (typed::parse(&change.after), change.before.as_ref().map(|object| typed::parse(object)))
}

fn node(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).unwrap_or_default()
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default()
}

pub(crate) fn is_over(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// The node the change binds the pod to.
fn bound(change: &Change) -> Option<(std::sync::Arc<Pod>, String)> {
    let (pod, before) = now_and_before(change);
    let target = node(&pod).to_string();
    let fresh = !change.deletion && !target.is_empty();
    (fresh && before.is_none_or(|b| node(&b).is_empty())).then_some((pod, target))
}

pub(super) fn placed_once(_: &Mirror, change: &Change) -> Result<(), String> {
    let (pod, Some(before)) = now_and_before(change) else { return Ok(()) };
    if !node(&before).is_empty() && node(&before) != node(&pod) {
        return Err(format!("moved from {} to {}", node(&before), node(&pod)));
    }
    Ok(())
}

fn amount(of: Option<&k8s_openapi::apimachinery::pkg::api::resource::Quantity>) -> i64 {
    of.and_then(|q| Quantity::parse(&q.0).ok()).map_or(0, |q| q.milli_value())
}

/// Thousandths of what the pod's containers ask for.
pub(crate) fn asks(pod: &Pod, what: &str) -> i64 {
    let containers = pod.spec.iter().flat_map(|s| &s.containers);
    containers
        .map(|c| amount(c.resources.as_ref().and_then(|r| r.requests.as_ref()?.get(what))))
        .sum()
}

/// Thousandths of what is left on the node, with pods that have not ended.
pub(crate) fn left(mirror: &Mirror, node: &Node, what: &str) -> i64 {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let all = node.status.as_ref().and_then(|s| s.allocatable.as_ref());
    let all = amount(all.and_then(|a| a.get(what)));
    let used = mirror.pods_on(name);
    let used = used.iter().filter(|pod| !is_over(pod));
    all - used.map(|pod| if what == "pods" { 1000 } else { asks(pod, what) }).sum::<i64>()
}

pub(super) fn capacity(mirror: &Mirror, change: &Change) -> Result<(), String> {
    let Some((pod, target)) = bound(change) else { return Ok(()) };
    let Some(node) = mirror.read::<Node>("", &target) else {
        return Err(format!("bound to {target}, which does not exist"));
    };
    for what in ["cpu", "memory", "pods"] {
        let (wants, left) =
            (if what == "pods" { 1000 } else { asks(&pod, what) }, left(mirror, &node, what));
        if wants > left {
            return Err(format!(
                "{target} has {left} m of {what} left, the pod asks for {wants} m"
            ));
        }
    }
    Ok(())
}

pub(super) fn closed(mirror: &Mirror, change: &Change) -> Result<(), String> {
    let Some((pod, target)) = bound(change) else { return Ok(()) };
    let closed = mirror
        .read::<Node>("", &target)
        .is_some_and(|node| node.spec.as_ref().is_some_and(|s| s.unschedulable == Some(true)));
    let tolerates = pod
        .spec
        .iter()
        .flat_map(|s| s.tolerations.iter().flatten())
        .any(|t| t.key.as_deref().is_none_or(|key| key == "node.kubernetes.io/unschedulable"));
    if closed && !tolerates { Err(format!("bound to {target}, which is cordoned")) } else { Ok(()) }
}

/// Of generated pods, those with anti-affinity keep away from pods of their own app on a node.
pub(super) fn apart(mirror: &Mirror, change: &Change) -> Result<(), String> {
    let Some((pod, target)) = bound(change) else { return Ok(()) };
    let affinity = pod.spec.as_ref().and_then(|s| s.affinity.as_ref()?.pod_anti_affinity.as_ref());
    let strict =
        affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    if strict.is_none_or(Vec::is_empty) {
        return Ok(());
    }
    let app = |p: &Pod| p.metadata.labels.as_ref().and_then(|l| l.get("app").cloned());
    let same = |p: &Pod| p.metadata.namespace == pod.metadata.namespace && app(p) == app(&pod);
    let other = mirror.pods_on(&target).into_iter().find(|p| !is_over(p) && same(p));
    match other {
        Some(other) => Err(format!("{target} has {:?} already", other.metadata.name)),
        None => Ok(()),
    }
}

pub(super) fn address(mirror: &Mirror, change: &Change) -> Result<(), String> {
    let ip = |pod: &Pod| pod.status.as_ref().and_then(|s| s.pod_ip.clone());
    let (pod, before) = now_and_before(change);
    let Some(mine) = ip(&pod).filter(|_| !change.deletion) else { return Ok(()) };
    if before.is_some_and(|b| ip(&b).as_ref() == Some(&mine)) {
        return Ok(());
    }
    let taken = mirror.list::<Pod>().find(|p| !is_over(p) && ip(p).as_ref() == Some(&mine));
    match taken {
        // A range goes to the next node at once; pods of the node that is gone take 40 s to follow it.
        Some(other) if mirror.read::<Node>("", node(&other)).is_none() => Ok(()),
        Some(other) if node(&other) != node(&pod) && returned(mirror, &other) => Ok(()),
        Some(other) => Err(format!("{mine} is {:?}'s", other.metadata.name)),
        None => Ok(()),
    }
}

/// Whether the pod is older than its node: that one was deleted and came back with another range.
fn returned(mirror: &Mirror, pod: &Pod) -> bool {
    let node = mirror.read::<Node>("", node(pod));
    node.is_some_and(|node| node.metadata.creation_timestamp >= pod.metadata.creation_timestamp)
}

pub(super) fn ended(_: &Mirror, change: &Change) -> Result<(), String> {
    let (pod, Some(before)) = now_and_before(change) else { return Ok(()) };
    if is_over(&before) && phase(&before) != phase(&pod) {
        return Err(format!("{} became {}", phase(&before), phase(&pod)));
    }
    Ok(())
}

pub(super) fn quota(mirror: &Mirror, change: &Change) -> Result<(), String> {
    if change.before.is_some() {
        return Ok(());
    }
    let here = &*change.after.key.namespace;
    for quota in mirror.list::<ResourceQuota>() {
        let hard = quota.spec.as_ref().and_then(|s| s.hard.as_ref()?.get("pods").cloned());
        let Some(hard) = hard.filter(|_| quota.metadata.namespace.as_deref() == Some(here)) else {
            continue;
        };
        let pods = mirror.list::<Pod>().filter(|p| p.metadata.namespace.as_deref() == Some(here));
        let live = pods.filter(|pod| !is_over(pod)).count();
        if (live as i64 + 1) * 1000 > amount(Some(&hard)) {
            return Err(format!("{live} pods and one more, of {}", hard.0));
        }
    }
    Ok(())
}
