//! ReplicaSet: as many pods of a template as wanted (pkg/controller/replicaset/replica_set.go).

use crate::plan::{Note, Plan, Row, Wake, Warning};
use crate::pods::{self, Selector};
use crate::wakes;
use api::{Call, Patch, PatchKind, Verb};
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition};
use k8s_openapi::api::core::v1::Pod;
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
            .filter(|set| selector(set).matches(Some(&wakes::labels(pod))))
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
    let mut plan = Plan::nothing();
    let Some(set) = view.read::<ReplicaSet>(&key.namespace, &key.name) else { return plan };
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    let claimed = pods::claim(view, &key.namespace, uid, &selector(&set));
    let mut mine = claimed.mine;
    if set.metadata.deletion_timestamp.is_none() {
        for pod in &claimed.adopt {
            plan.call(adopt(&set, pod));
        }
        for pod in &claimed.release {
            plan.call(release(uid, pod));
        }
        mine.extend(claimed.adopt);
        scale(&set, &mine, now, &mut plan);
    }
    report(&set, &mine, now, &mut plan);
    plan
}

fn wanted(set: &ReplicaSet) -> usize {
    let replicas = set.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    usize::try_from(replicas).unwrap_or(0)
}

fn scale(set: &ReplicaSet, mine: &[Arc<Pod>], now: Time, plan: &mut Plan) {
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    let mut active: Vec<_> = mine.iter().filter(|p| pods::is_active(p)).cloned().collect();
    let (have, want) = (active.len(), wanted(set));
    let template = set.spec.as_ref().and_then(|s| s.template.as_ref());
    if let Some(template) = template.filter(|_| have < want) {
        for _ in 0..(want - have).min(BURST) {
            let pod = pods::from_template::<ReplicaSet>(template, &set.metadata);
            plan.call(pods::create_pod(namespace, pod));
        }
    } else if have > want {
        pods::rank_for_deletion(&mut active, mine, now);
        for pod in active.iter().take((have - want).min(BURST)) {
            plan.call(pods::delete_pod(pod));
        }
    }
}

/// Adoption checks the pod's uid, so that a namesake is never adopted.
fn adopt(set: &ReplicaSet, pod: &Pod) -> Call {
    let owner = pods::owner_reference::<ReplicaSet>(&set.metadata);
    let body = json!({ "metadata": { "uid": pod.metadata.uid, "ownerReferences": [owner] } });
    patch_pod(pod, PatchKind::Strategic, body)
}

fn release(uid: &str, pod: &Pod) -> Call {
    let gone = json!({ "$patch": "delete", "uid": uid });
    let body = json!({ "metadata": { "uid": pod.metadata.uid, "ownerReferences": [gone] } });
    patch_pod(pod, PatchKind::Strategic, body)
}

fn patch_pod(pod: &Pod, kind: PatchKind, body: Value) -> Call {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    Call::new(Verb::Patch(Patch { kind, body }), Pod::gvr(), namespace, name)
}

// === status (replica_set_utils.go) ===

fn report(set: &ReplicaSet, mine: &[Arc<Pod>], now: Time, plan: &mut Plan) {
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
    let status = json!({
        "replicas": active.len(),
        "fullyLabeledReplicas": fully,
        "readyReplicas": ready.len(),
        "availableReplicas": available,
        "terminatingReplicas": terminating.count(),
        "observedGeneration": set.metadata.generation,
        "conditions": conditions(set, active.len()),
    });
    if differs(set, &status) {
        plan.call(status_call(set, status));
    }
}

/// A `ReplicaFailure` is over when the wanted number is reached.
fn conditions(set: &ReplicaSet, active: usize) -> Vec<ReplicaSetCondition> {
    let old = set.status.as_ref().and_then(|s| s.conditions.clone()).unwrap_or_default();
    let healed = active == wanted(set);
    old.into_iter().filter(|c| !(healed && c.type_ == "ReplicaFailure")).collect()
}

fn differs(set: &ReplicaSet, status: &Value) -> bool {
    let Some(old) = &set.status else { return true };
    let same = |key: &str, old: i64| status[key].as_i64().unwrap_or(0) == old;
    let conditions = status["conditions"].as_array().map_or(0, Vec::len);
    !(same("replicas", old.replicas.into())
        && same("fullyLabeledReplicas", old.fully_labeled_replicas.unwrap_or(0).into())
        && same("readyReplicas", old.ready_replicas.unwrap_or(0).into())
        && same("availableReplicas", old.available_replicas.unwrap_or(0).into())
        && same("terminatingReplicas", old.terminating_replicas.unwrap_or(0).into())
        && same("observedGeneration", old.observed_generation.unwrap_or(0))
        && conditions == old.conditions.as_ref().map_or(0, Vec::len))
}

fn status_call(set: &ReplicaSet, status: Value) -> Call {
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    let name = set.metadata.name.as_deref().unwrap_or_default();
    let body = json!({ "metadata": { "uid": set.metadata.uid }, "status": status });
    let patch = Patch { kind: PatchKind::Merge, body };
    Call::new(Verb::Patch(patch), ReplicaSet::gvr(), namespace, name).on("status")
}

/// `Created pod: web-x2f9k`, `Deleted pod: web-x2f9k`.
fn made(view: &View, key: &Key, call: &Call, object: &Value) -> Option<Note> {
    let set = view.read::<ReplicaSet>(&key.namespace, &key.name)?;
    let (reason, done) = match &call.verb {
        Verb::Create(_) => ("SuccessfulCreate", "Created"),
        Verb::Delete(_) => ("SuccessfulDelete", "Deleted"),
        _ => return None,
    };
    let name = object["metadata"]["name"].as_str().unwrap_or(&call.name);
    Some(Note {
        about: pods::reference::<ReplicaSet>(&set.metadata),
        warning: Warning::Normal,
        reason,
        message: format!("{done} pod: {name}"),
    })
}

/// Pods that may not be created or deleted show in the `ReplicaFailure` condition and as an event.
fn refused(view: &View, key: &Key, refused: &[(Call, Problem)], now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(set) = view.read::<ReplicaSet>(&key.namespace, &key.name) else { return plan };
    let failed = refused.iter().find_map(|(call, problem)| match &call.verb {
        Verb::Create(_) if &*call.resource.resource == "pods" => Some(("FailedCreate", problem)),
        Verb::Delete(_) if &*call.resource.resource == "pods" => Some(("FailedDelete", problem)),
        _ => None,
    });
    let Some((reason, problem)) = failed else { return plan };
    let about = pods::reference::<ReplicaSet>(&set.metadata);
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
    plan.call(status_call(&set, json!({ "conditions": all })));
    plan
}
