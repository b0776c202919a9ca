//! ReplicaSet: as many pods of a template as wanted (pkg/controller/replicaset/replica_set.go).

use crate::calls;
use crate::plan::{Note, Plan, Row, Wake, Warning};
use crate::pods::{self, Selector};
use crate::wakes;
use api::{Call, Verb};
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use meta::{Problem, Time, Value};
use serde_json::json;
use std::sync::Arc;
use store::{Key, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "replicaset-controller",
    wakes: &[
        Wake { resource: ("apps", "replicasets"), keys: wakes::itself },
        Wake { resource: ("", "pods"), keys: wake_of_pod },
    ],
    plan,
    refused: Some(refused),
    made: Some(made),
};

/// Creations and deletions per plan (`BurstReplicas`).
const BURST: usize = 500;

/// A pod wakes its controller; an orphan wakes every set that could adopt it.
fn wake_of_pod(view: &View, change: &store::Change) -> Vec<Key> {
    wakes::controllers::<ReplicaSet>(view, change, |view, pod| {
        view.read_all::<ReplicaSet>(Some(&pod.key.namespace))
            .filter(|set| selector(set).selects(pod))
            .map(|set| {
                ReplicaSet::key(
                    &pod.key.namespace,
                    set.metadata.name.as_deref().unwrap_or_default(),
                )
            })
            .collect()
    })
}

fn selector(set: &ReplicaSet) -> Selector {
    set.spec
        .as_ref()
        .map_or_else(|| Selector::of_map(&Default::default()), |s| Selector::of(&s.selector))
}

fn plan(view: &View, key: &Key, now: Time) -> Plan {
    let set = view.read::<ReplicaSet>(&key.namespace, &key.name);
    set.map_or_else(Plan::nothing, |set| reconcile::<ReplicaSet>(view, &set, now))
}

/// For ReplicaSets, and for ReplicationControllers in the shape of one: `K` is what the cluster knows it as.
pub(crate) fn reconcile<K: Kind>(view: &View, set: &ReplicaSet, now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let mine = pods::claim::<K>(view, &set.metadata, &selector(set), &mut plan);
    if !calls::is_deleting(&set.metadata) {
        scale::<K>(set, &mine, now, &mut plan);
    }
    report::<K>(set, &mine, now, &mut plan);
    plan
}

fn wanted(set: &ReplicaSet) -> usize {
    let replicas = set.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    usize::try_from(replicas).unwrap_or(0)
}

fn scale<K: Kind>(set: &ReplicaSet, mine: &[Arc<Pod>], now: Time, plan: &mut Plan) {
    let namespace = calls::namespace(&set.metadata);
    let mut active: Vec<_> = mine.iter().filter(|p| pods::is_active(p)).cloned().collect();
    let (have, want) = (active.len(), wanted(set));
    let template = set.spec.as_ref().and_then(|s| s.template.as_ref());
    if let Some(template) = template.filter(|_| have < want) {
        for _ in 0..(want - have).min(BURST) {
            let pod = pods::from_template::<K>(template, &set.metadata);
            plan.call(calls::create::<Pod>(namespace, pod));
        }
    } else if have > want {
        pods::rank_for_deletion(&mut active, mine, now);
        for pod in active.iter().take((have - want).min(BURST)) {
            plan.call(calls::delete::<Pod>(&pod.metadata));
        }
    }
}

// === status (replica_set_utils.go) ===

fn report<K: Kind>(set: &ReplicaSet, mine: &[Arc<Pod>], now: Time, plan: &mut Plan) {
    let min_ready = set.spec.as_ref().and_then(|s| s.min_ready_seconds).unwrap_or(0);
    let active: Vec<_> = mine.iter().filter(|p| pods::is_active(p)).collect();
    let ready: Vec<_> = active.iter().filter(|p| pods::is_ready(p)).collect();
    let available = ready.iter().filter(|p| pods::is_available(p, min_ready, now)).count();
    for pod in &ready {
        if let Some(at) = pods::available_at(pod, min_ready).filter(|at| *at > now) {
            plan.wake_at(at);
        }
    }
    let labels =
        set.spec.as_ref().and_then(|s| s.template.as_ref()?.metadata.as_ref()?.labels.clone());
    let labelled = Selector::of_map(&labels.unwrap_or_default());
    let fully = active.iter().filter(|p| labelled.matches(p.metadata.labels.as_ref())).count();
    let terminating = mine
        .iter()
        .filter(|p| p.metadata.deletion_timestamp.is_some())
        .filter(|p| !matches!(pods::phase(p), "Succeeded" | "Failed"));
    let mut status = json!({
        "replicas": active.len(),
        "fullyLabeledReplicas": fully,
        "readyReplicas": ready.len(),
        "availableReplicas": available,
        "observedGeneration": set.metadata.generation,
        "conditions": conditions(set, active.len()),
    });
    // A ReplicationController has no such field.
    if K::KIND == "ReplicaSet" {
        status["terminatingReplicas"] = terminating.count().into();
    }
    plan.calls.extend(calls::status::<K>(&set.metadata, &set.status, &status));
}

/// A `ReplicaFailure` is over when the wanted number is reached.
fn conditions(set: &ReplicaSet, active: usize) -> Vec<ReplicaSetCondition> {
    let old = set.status.as_ref().and_then(|s| s.conditions.clone()).unwrap_or_default();
    let healed = active == wanted(set);
    old.into_iter().filter(|c| !(healed && c.type_ == "ReplicaFailure")).collect()
}

/// `Created pod: web-x2f9k`, `Deleted pod: web-x2f9k`.
fn made(view: &View, key: &Key, call: &Call, object: &Value) -> Option<Note> {
    let set = view.read::<ReplicaSet>(&key.namespace, &key.name)?;
    told::<ReplicaSet>(&set.metadata, call, object)
}

/// The event about a pod that `owner` created or deleted.
pub(crate) fn told<K: Kind>(owner: &ObjectMeta, call: &Call, object: &Value) -> Option<Note> {
    if &*call.resource.resource != "pods" {
        return None;
    }
    let (reason, done) = match &call.verb {
        Verb::Create(_) => ("SuccessfulCreate", "Created"),
        Verb::Delete(_) => ("SuccessfulDelete", "Deleted"),
        _ => return None,
    };
    let name = object["metadata"]["name"].as_str().unwrap_or(&call.name);
    Some(Note {
        about: pods::reference::<K>(owner),
        warning: Warning::Normal,
        reason,
        message: format!("{done} pod: {name}"),
    })
}

/// Pods that may not be created or deleted show in the `ReplicaFailure` condition and as an event.
fn refused(view: &View, key: &Key, refused: &[(Call, Problem)], now: Time) -> Plan {
    let set = view.read::<ReplicaSet>(&key.namespace, &key.name);
    set.map_or_else(Plan::nothing, |set| failed::<ReplicaSet>(&set, refused, now))
}

pub(crate) fn failed<K: Kind>(set: &ReplicaSet, refused: &[(Call, Problem)], now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let failed = refused.iter().find_map(|(call, problem)| match &call.verb {
        Verb::Create(_) if &*call.resource.resource == "pods" => Some(("FailedCreate", problem)),
        Verb::Delete(_) if &*call.resource.resource == "pods" => Some(("FailedDelete", problem)),
        _ => None,
    });
    let Some((reason, problem)) = failed else { return plan };
    let about = pods::reference::<K>(&set.metadata);
    let verb = if reason == "FailedCreate" { "creating" } else { "deleting" };
    plan.note(about, Warning::Warning, reason, format!("Error {verb}: {problem}"));
    let had = set.status.as_ref().and_then(|s| s.conditions.as_ref());
    if had
        .into_iter()
        .flatten()
        .any(|c| c.type_ == "ReplicaFailure" && c.reason.as_deref() == Some(reason))
    {
        return plan;
    }
    let condition = json!({
        "type": "ReplicaFailure",
        "status": "True",
        "reason": reason,
        "message": problem.message,
        "lastTransitionTime": now.rfc3339(),
    });
    let mut all: Vec<Value> = had
        .into_iter()
        .flatten()
        .filter(|c| c.type_ != "ReplicaFailure")
        .filter_map(|c| serde_json::to_value(c).ok())
        .collect();
    all.push(condition);
    let body = json!({ "status": { "conditions": all } });
    plan.call(calls::merge_in_state::<K>(&set.metadata, body).on("status"));
    plan
}
