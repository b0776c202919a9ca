//! What every workload controller asks about Pods, and how Pods are made from templates.
//!
//! Rules of pkg/controller/controller_utils.go and pkg/api/v1/pod/util.go.

use crate::calls;
use crate::plan::Plan;
use api::Call;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use meta::{Time, Value};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Object, View};
use typed::{Kind, time};

pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or("Pending")
}

pub(crate) fn node(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).unwrap_or_default()
}

/// Neither finished nor on its way out.
pub(crate) fn is_active(pod: &Pod) -> bool {
    !matches!(phase(pod), "Succeeded" | "Failed") && pod.metadata.deletion_timestamp.is_none()
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    ready_since(pod).is_some()
}

/// When the pod became Ready; `None` when it is not.
pub(crate) fn ready_since(pod: &Pod) -> Option<Time> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().find(|c| c.type_ == "Ready" && c.status == "True")?;
    Some(ready.last_transition_time.as_ref().map_or(Time::default(), time))
}

/// Ready for at least `min_ready_secs`.
pub(crate) fn is_available(pod: &Pod, min_ready_secs: i32, now: Time) -> bool {
    available_at(pod, min_ready_secs).is_some_and(|at| at <= now)
}

/// When the pod becomes available if it stays ready.
pub(crate) fn available_at(pod: &Pod, min_ready_secs: i32) -> Option<Time> {
    ready_since(pod).map(|since| since.plus_secs(i64::from(min_ready_secs)))
}

/// The pods `owner` controls. Matching orphans are adopted, pods that stopped matching are released, unless the
/// owner is on its way out (pkg/controller/controller_ref_manager.go).
pub(crate) fn claim<K: Kind>(
    view: &View,
    owner: &ObjectMeta,
    selector: &Selector,
    plan: &mut Plan,
) -> Vec<Arc<Pod>> {
    let uid = calls::uid(owner);
    let mut mine = Vec::new();
    for pod in controlled(view, uid) {
        if selector.matches(pod.metadata.labels.as_ref()) {
            mine.push(pod);
        } else if !calls::is_deleting(owner) {
            plan.call(release(uid, &pod));
        }
    }
    if calls::is_deleting(owner) {
        return mine;
    }
    for pod in orphans(view, calls::namespace(owner), selector) {
        let reference = owner_reference::<K>(owner);
        // The pod's uid is checked, so that a namesake is never adopted.
        let body = json!({ "metadata": { "ownerReferences": [reference] } });
        plan.call(calls::strategic::<Pod>(&pod.metadata, body));
        mine.push(pod);
    }
    mine
}

fn release(uid: &str, pod: &Pod) -> Call {
    let gone = json!({ "$patch": "delete", "uid": uid });
    calls::strategic::<Pod>(&pod.metadata, json!({ "metadata": { "ownerReferences": [gone] } }))
}

/// Pods whose controller is `uid`.
pub(crate) fn controlled(view: &View, uid: &str) -> impl Iterator<Item = Arc<Pod>> {
    let resource = Pod::resource();
    let mine = view.owned(uid).filter(|o| o.key.resource == resource);
    let mine = mine.filter(|o| o.head.owners.iter().any(|r| r.controller && *r.uid == *uid));
    mine.map(|object| typed::parse(object)).collect::<Vec<_>>().into_iter()
}

fn orphans(view: &View, namespace: &str, selector: &Selector) -> Vec<Arc<Pod>> {
    let free =
        |o: &&Arc<Object>| !o.head.owners.iter().any(|r| r.controller) && o.head.deleted.is_none();
    let matching = view
        .list(&Pod::resource(), Some(namespace))
        .filter(free)
        .filter(|object| selector.selects(object))
        .map(|object| typed::parse::<Pod>(object));
    matching.filter(|pod| is_active(pod)).collect()
}

/// Pods of a namespace that a selector matches, in the order of their names.
pub(crate) fn selected(view: &View, namespace: &str, selector: &Selector) -> Vec<Arc<Pod>> {
    view.list(&Pod::resource(), Some(namespace))
        .filter(|object| selector.selects(object))
        .map(|object| typed::parse(object))
        .collect()
}

/// A label selector made ready to match.
pub(crate) struct Selector {
    labels: BTreeMap<String, String>,
    expressions: Vec<(String, String, Vec<String>)>,
    /// Upstream refuses to let an empty selector match everything here.
    empty: bool,
}

impl Selector {
    pub fn of(selector: &LabelSelector) -> Self {
        let labels = selector.match_labels.clone().unwrap_or_default();
        let expressions: Vec<_> = selector
            .match_expressions
            .iter()
            .flatten()
            .map(|e| (e.key.clone(), e.operator.clone(), e.values.clone().unwrap_or_default()))
            .collect();
        let empty = labels.is_empty() && expressions.is_empty();
        Self { labels, expressions, empty }
    }

    pub fn of_map(labels: &BTreeMap<String, String>) -> Self {
        Self { labels: labels.clone(), expressions: Vec::new(), empty: labels.is_empty() }
    }

    /// As [`Selector::of`], but an empty selector matches everything (PodDisruptionBudgets of policy/v1).
    pub fn of_all(selector: &LabelSelector) -> Self {
        Self { empty: false, ..Self::of(selector) }
    }

    pub fn matches(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        self.holds(|key| labels.and_then(|l| l.get(key)).map(String::as_str))
    }

    /// As [`Selector::matches`], without parsing the object.
    pub fn selects(&self, object: &Object) -> bool {
        self.holds(|key| object.label(key))
    }

    fn holds<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.empty
            && self.labels.iter().all(|(k, v)| get(k) == Some(v))
            && self.expressions.iter().all(|(key, operator, values)| match operator.as_str() {
                "In" => get(key).is_some_and(|v| values.iter().any(|one| one == v)),
                "NotIn" => get(key).is_none_or(|v| values.iter().all(|one| one != v)),
                "Exists" => get(key).is_some(),
                "DoesNotExist" => get(key).is_none(),
                _ => false,
            })
    }
}

/// `ownerReferences` entry that makes `owner` the controller.
pub(crate) fn owner_reference<K: Kind>(owner: &ObjectMeta) -> Value {
    json!({
        "apiVersion": K::API_VERSION,
        "kind": K::KIND,
        "name": owner.name,
        "uid": owner.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// `ObjectReference` for events.
pub(crate) fn reference<K: Kind>(object: &ObjectMeta) -> Value {
    json!({
        "apiVersion": K::API_VERSION,
        "kind": K::KIND,
        "namespace": object.namespace,
        "name": object.name,
        "uid": object.uid,
        "resourceVersion": object.resource_version,
    })
}

/// The prefix of generated pod names: the owner's name and a dash, when that can be part of a name.
pub(crate) fn pod_prefix(owner: &str) -> String {
    if owner.len() < 253 { format!("{owner}-") } else { owner.into() }
}

/// A pod of `template`, controlled by `owner`.
pub(crate) fn from_template<K: Kind>(template: &PodTemplateSpec, owner: &ObjectMeta) -> Value {
    let from = template.metadata.clone().unwrap_or_default();
    json!({
        "metadata": {
            "generateName": pod_prefix(owner.name.as_deref().unwrap_or_default()),
            "labels": from.labels.unwrap_or_default(),
            "annotations": from.annotations.unwrap_or_default(),
            "finalizers": from.finalizers.unwrap_or_default(),
            "ownerReferences": [owner_reference::<K>(owner)],
        },
        "spec": template.spec,
    })
}

/// Pods to give up first come first (`ActivePodsWithRanks`): unassigned, pending, not ready, cheap to delete,
/// crowded nodes, ready for a shorter time, restarted more often, younger.
pub(crate) fn rank_for_deletion(pods: &mut [Arc<Pod>], related: &[Arc<Pod>], now: Time) {
    let mut crowd: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in related.iter().filter(|p| is_active(p)) {
        *crowd.entry(node(pod)).or_default() += 1;
    }
    pods.sort_by_cached_key(|pod| {
        let phase = match phase(pod) {
            "Pending" => 0,
            "Unknown" => 1,
            _ => 2,
        };
        let crowded = crowd.get(node(pod)).copied().unwrap_or(0);
        let ready = ready_since(pod);
        (
            !node(pod).is_empty(),
            phase,
            ready.is_some(),
            deletion_cost(pod),
            std::cmp::Reverse(crowded),
            // Upstream compares ages by orders of magnitude, so that old pods are not told apart by seconds.
            ready.map_or(0, |since| magnitude(since, now)),
            std::cmp::Reverse(restarts(pod)),
            std::cmp::Reverse(pod.metadata.creation_timestamp.as_ref().map(time)),
            pod.metadata.uid.clone(),
        )
    });
}

fn magnitude(since: Time, now: Time) -> u32 {
    let secs = u64::try_from(now.secs() - since.secs()).unwrap_or(0);
    64 - secs.leading_zeros()
}

fn deletion_cost(pod: &Pod) -> i32 {
    let annotations = pod.metadata.annotations.as_ref();
    let cost = annotations.and_then(|a| a.get("controller.kubernetes.io/pod-deletion-cost"));
    cost.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|s| s.container_statuses.as_ref());
    statuses.into_iter().flatten().map(|s| s.restart_count).max().unwrap_or(0)
}
