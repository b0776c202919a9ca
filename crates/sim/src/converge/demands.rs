//! What must be so in the end. One row per demand.

use super::Demand;
use crate::mirror::Mirror;
use crate::oracle::{asks, is_over, left};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod, ResourceQuota, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeSet;

pub(super) static DEMANDS: &[Demand] = &[
    Demand { rule: "nodes are ready in the end", open: nodes },
    Demand { rule: "what is deleted goes", open: deleting },
    Demand { rule: "what is orphaned goes", open: orphans },
    Demand { rule: "pods run in the end", open: pods },
    Demand { rule: "deployments complete", open: deployments },
    Demand { rule: "old sets are empty", open: old_sets },
    Demand { rule: "stateful sets complete", open: stateful_sets },
    Demand { rule: "daemons are everywhere", open: daemons },
    Demand { rule: "jobs end", open: jobs },
    Demand { rule: "services list exactly the ready", open: services },
    Demand { rule: "quota says what is used", open: quotas },
];

fn name(meta: &ObjectMeta) -> String {
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    format!("{namespace}/{}", meta.name.as_deref().unwrap_or_default())
}

fn is_ready(pod: &Pod) -> bool {
    let mut all = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
    all.any(|c| c.type_ == "Ready" && c.status == "True")
}

fn nodes(mirror: &Mirror) -> Option<String> {
    mirror.list::<Node>().find_map(|node| {
        let mut all = node.status.iter().flat_map(|s| s.conditions.iter().flatten());
        let ready = all.any(|c| c.type_ == "Ready" && c.status == "True");
        let tainted =
            node.spec.as_ref().is_some_and(|s| s.taints.as_ref().is_some_and(|t| !t.is_empty()));
        (!ready || tainted)
            .then(|| format!("{}: ready {ready}, tainted {tainted}", name(&node.metadata)))
    })
}

fn deleting(mirror: &Mirror) -> Option<String> {
    let object = mirror.all().find(|o| o.head.deleted.is_some())?;
    Some(format!("{:?} is still there, finalizers {:?}", object.key, object.head.finalizers))
}

fn orphans(mirror: &Mirror) -> Option<String> {
    let uids: BTreeSet<&str> = mirror.all().map(|o| &*o.head.uid).collect();
    let lost = |o: &&std::sync::Arc<store::Object>| {
        !o.head.owners.is_empty() && o.head.owners.iter().all(|r| !uids.contains(&*r.uid))
    };
    mirror.all().find(lost).map(|object| format!("{:?} has no owner any more", object.key))
}

/// Whether some open node has room for what the pod asks for; pods with further wishes may wait.
fn has_room(mirror: &Mirror, pod: &Pod) -> bool {
    let spec = pod.spec.clone().unwrap_or_default();
    let wishes = spec.affinity.is_some()
        || spec.topology_spread_constraints.is_some()
        || spec.node_selector.is_some()
        || spec.scheduling_gates.is_some();
    !wishes
        && mirror.list::<Node>().any(|node| {
            let fits = |what| left(mirror, &node, what) >= asks(pod, what);
            fits("cpu") && fits("memory") && left(mirror, &node, "pods") >= 1000
        })
}

fn pods(mirror: &Mirror) -> Option<String> {
    mirror.list::<Pod>().find_map(|pod| {
        let bound = pod.spec.as_ref().is_some_and(|s| s.node_name.is_some());
        let fine = is_over(&pod) || is_ready(&pod) || (!bound && !has_room(mirror, &pod));
        (!fine).then(|| format!("{} waits, bound: {bound}: {:?}", name(&pod.metadata), pod.status))
    })
}

/// Pods that may be missing: those that wait for room.
fn waiting(mirror: &Mirror, uid: Option<&String>) -> i32 {
    let pods = mirror.pods_of(uid.map(String::as_str).unwrap_or_default());
    let unbound = |pod: &&std::sync::Arc<Pod>| {
        !is_over(pod) && pod.spec.as_ref().is_some_and(|s| s.node_name.is_none())
    };
    i32::try_from(pods.iter().filter(unbound).count()).unwrap_or(0)
}

fn refused(conditions: impl Iterator<Item = (String, String)>) -> bool {
    let mut all = conditions;
    all.any(|(kind, status)| kind == "ReplicaFailure" && status == "True")
}

fn set_refused(set: &ReplicaSet) -> bool {
    let all = set.status.iter().flat_map(|s| s.conditions.iter().flatten());
    refused(all.map(|c| (c.type_.clone(), c.status.clone())))
}

fn sets_of(mirror: &Mirror, uid: Option<&String>) -> Vec<std::sync::Arc<ReplicaSet>> {
    let uid = uid.map(String::as_str).unwrap_or_default();
    let sets = mirror.owned(uid).filter(|o| o.key.resource.as_str() == "replicasets.apps");
    sets.map(|object| typed::parse(object)).collect()
}

/// Waits for room, or for a quota.
fn excused(mirror: &Mirror, deployment: &Deployment) -> bool {
    sets_of(mirror, deployment.metadata.uid.as_ref())
        .iter()
        .any(|set| waiting(mirror, set.metadata.uid.as_ref()) > 0 || set_refused(set))
}

fn deployments(mirror: &Mirror) -> Option<String> {
    mirror.list::<Deployment>().find_map(|d| {
        let (spec, status) = (d.spec.clone()?, d.status.clone().unwrap_or_default());
        let want = spec.replicas.unwrap_or(1);
        let seen = status.observed_generation == d.metadata.generation;
        let counts = (
            status.replicas.unwrap_or(0),
            status.updated_replicas.unwrap_or(0),
            status.available_replicas.unwrap_or(0),
        );
        let fine = counts == (want, want, want) || spec.paused == Some(true) || excused(mirror, &d);
        let wrong = !seen || !fine;
        wrong.then(|| {
            format!(
                "{} wants {want}: (all, updated, available) {counts:?}, seen {seen}",
                name(&d.metadata)
            )
        })
    })
}

fn old_sets(mirror: &Mirror) -> Option<String> {
    mirror.list::<Deployment>().find_map(|d| {
        if d.spec.as_ref()?.paused == Some(true) || excused(mirror, &d) {
            return None;
        }
        let sets = sets_of(mirror, d.metadata.uid.as_ref());
        let used =
            sets.iter().filter(|s| s.spec.as_ref().and_then(|s| s.replicas) != Some(0)).count();
        let keep = d.spec.as_ref()?.revision_history_limit.unwrap_or(10);
        let many = used > 1 || sets.len() > usize::try_from(keep).unwrap_or(0) + 1;
        many.then(|| {
            format!(
                "{}: {used} sets in use, {} in all, {keep} to keep",
                name(&d.metadata),
                sets.len()
            )
        })
    })
}

fn stateful_sets(mirror: &Mirror) -> Option<String> {
    mirror.list::<StatefulSet>().find_map(|s| {
        let want = s.spec.as_ref()?.replicas.unwrap_or(1);
        let status = s.status.clone().unwrap_or_default();
        let counts = (status.replicas, status.ready_replicas.unwrap_or(0));
        let fine = counts == (want, want)
            || waiting(mirror, s.metadata.uid.as_ref()) > 0
            || limited(mirror, &s.metadata);
        (!fine).then(|| format!("{} wants {want}: (all, ready) {counts:?}", name(&s.metadata)))
    })
}

/// Whether a quota of its namespace is used up.
fn limited(mirror: &Mirror, meta: &ObjectMeta) -> bool {
    is_limited(mirror, meta.namespace.as_deref().unwrap_or_default())
}

pub(super) fn is_limited(mirror: &Mirror, namespace: &str) -> bool {
    mirror.list::<ResourceQuota>().any(|q| {
        let (hard, used) = (tally(&q, true), tally(&q, false));
        q.metadata.namespace.as_deref() == Some(namespace) && hard.is_some() && used >= hard
    })
}

fn tally(quota: &ResourceQuota, hard: bool) -> Option<i64> {
    let status = quota.status.as_ref()?;
    let of = if hard { &status.hard } else { &status.used };
    of.as_ref()?.get("pods")?.0.parse().ok()
}

fn daemons(mirror: &Mirror) -> Option<String> {
    mirror.list::<DaemonSet>().find_map(|d| {
        let nodes = i32::try_from(mirror.list::<Node>().count()).unwrap_or(0);
        let status = d.status.clone().unwrap_or_default();
        let counts = (status.desired_number_scheduled, status.number_ready);
        let fine = counts == (nodes, nodes)
            || waiting(mirror, d.metadata.uid.as_ref()) > 0
            || limited(mirror, &d.metadata);
        (!fine)
            .then(|| format!("{} on {nodes} nodes: (desired, ready) {counts:?}", name(&d.metadata)))
    })
}

fn jobs(mirror: &Mirror) -> Option<String> {
    mirror.list::<Job>().find_map(|job| {
        let status = job.status.clone().unwrap_or_default();
        let mut all = status.conditions.iter().flatten().filter(|c| c.status == "True");
        let told = |job: &Job| job.spec.as_ref().and_then(|s| s.parallelism) == Some(0);
        let over = told(&job)
            || all.any(|c| matches!(c.type_.as_str(), "Complete" | "Failed" | "Suspended"));
        let fine = over
            || waiting(mirror, job.metadata.uid.as_ref()) > 0
            || limited(mirror, &job.metadata);
        (!fine).then(|| format!("{} goes on: {status:?}", name(&job.metadata)))
    })
}

fn services(mirror: &Mirror) -> Option<String> {
    mirror.list::<Service>().find_map(|service| {
        let selector = service.spec.as_ref()?.selector.clone()?;
        let here = |meta: &ObjectMeta| meta.namespace == service.metadata.namespace;
        let chosen = |pod: &Pod| {
            let labels = pod.metadata.labels.clone().unwrap_or_default();
            here(&pod.metadata) && selector.iter().all(|(k, v)| labels.get(k) == Some(v))
        };
        let address = |pod: &Pod| pod.status.as_ref().and_then(|s| s.pod_ip.clone());
        let ready =
            mirror.list::<Pod>().filter(|pod| chosen(pod) && is_ready(pod) && !is_over(pod));
        let want: BTreeSet<String> = ready.filter_map(|pod| address(&pod)).collect();
        let label = "kubernetes.io/service-name";
        let of = |slice: &EndpointSlice| {
            slice.metadata.labels.as_ref().and_then(|l| l.get(label).cloned())
        };
        let slices = mirror
            .list::<EndpointSlice>()
            .filter(|s| here(&s.metadata) && of(s) == service.metadata.name);
        let listed: BTreeSet<String> = slices
            .flat_map(|s| s.endpoints.clone())
            .filter(|e| e.conditions.as_ref().and_then(|c| c.ready) != Some(false))
            .flat_map(|e| e.addresses)
            .collect();
        (want != listed)
            .then(|| format!("{} lists {listed:?}, ready are {want:?}", name(&service.metadata)))
    })
}

fn quotas(mirror: &Mirror) -> Option<String> {
    mirror.list::<ResourceQuota>().find_map(|quota| {
        let here = mirror
            .list::<Pod>()
            .filter(|p| p.metadata.namespace == quota.metadata.namespace && !is_over(p));
        let (count, used) = (i64::try_from(here.count()).unwrap_or(0), tally(&quota, false)?);
        (count != used)
            .then(|| format!("{} says {used} pods, there are {count}", name(&quota.metadata)))
    })
}
