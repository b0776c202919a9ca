//! PodDisruptionBudget: how many pods may be taken away at the moment
//! (pkg/controller/disruption/disruption.go).

use crate::conditions::List;
use crate::deployment::{Round, scaled};
use crate::plan::{Plan, Row, Wake, Warning};
use crate::pods::{self, Selector};
use crate::{calls, served, wakes};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use meta::{Time, Value};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Change, Key, Object, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "disruption-controller",
    wakes: &[
        Wake { resource: ("policy", "poddisruptionbudgets"), keys: wakes::itself },
        Wake { resource: ("", "pods"), keys: wake_of_pod },
        Wake { resource: ("apps", "deployments"), keys: wake_of_scaled },
        Wake { resource: ("apps", "replicasets"), keys: wake_of_scaled },
        Wake { resource: ("apps", "statefulsets"), keys: wake_of_scaled },
        Wake { resource: ("", "replicationcontrollers"), keys: wake_of_scaled },
    ],
    plan,
    refused: None,
    made: None,
};

/// An eviction that was allowed is counted on for this long.
const EVICTION_SECS: i64 = 120;

fn wake_of_pod(view: &View, change: &Change) -> Vec<Key> {
    let versions = [change.before.as_ref(), Some(&change.after)];
    budgets(view, &change.after.key.namespace, |selector| {
        versions.iter().flatten().any(|pod| selector.selects(pod))
    })
}

/// A wish for more or fewer pods moves what a percentage is of.
fn wake_of_scaled(view: &View, change: &Change) -> Vec<Key> {
    let same = |before: &Object| before.head.generation == change.after.head.generation;
    if change.before.as_ref().is_some_and(|before| same(before)) {
        return Vec::new();
    }
    budgets(view, &change.after.key.namespace, |_| true)
}

fn budgets(view: &View, namespace: &str, concerned: impl Fn(&Selector) -> bool) -> Vec<Key> {
    let all = view.read_all::<PodDisruptionBudget>(Some(namespace));
    let some = all.filter(|pdb| pdb.spec.as_ref().is_some_and(|s| concerned(&selector(s))));
    some.map(|pdb| PodDisruptionBudget::key(namespace, calls::name(&pdb.metadata))).collect()
}

/// No selector selects nothing, an empty one everything.
fn selector(spec: &PodDisruptionBudgetSpec) -> Selector {
    match &spec.selector {
        Some(selector) => Selector::of_all(selector),
        None => Selector::of_map(&BTreeMap::new()),
    }
}

fn plan(view: &View, key: &Key, now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(pdb) = view.read::<PodDisruptionBudget>(&key.namespace, &key.name) else {
        return plan;
    };
    let Some(spec) = pdb.spec.as_ref().filter(|_| !calls::is_deleting(&pdb.metadata)) else {
        return plan;
    };
    let pods = pods::selected(view, &key.namespace, &selector(spec));
    let about = pods::reference::<PodDisruptionBudget>(&pdb.metadata);
    if pods.is_empty() {
        plan.note(about.clone(), Warning::Normal, "NoPods", "No matching pods found".into());
    }
    let old = calls::value(&pdb.status);
    let mut new = old.clone();
    let mut conditions = List::of(&old);
    match expected(view, spec, &pods) {
        Ok((expected, desired)) => {
            let disrupted = disrupted(&pdb, &pods, now, &mut plan);
            let healthy = i32::try_from(healthy(&pods, &disrupted)).unwrap_or(i32::MAX);
            let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
            new = json!({
                "currentHealthy": healthy,
                "desiredHealthy": desired,
                "expectedPods": expected,
                "disruptionsAllowed": allowed,
                "disruptedPods": disrupted,
                "observedGeneration": pdb.metadata.generation,
            });
            let (is, reason) = if allowed > 0 {
                ("True", "SufficientPods")
            } else {
                ("False", "InsufficientPods")
            };
            set(&mut conditions, is, reason, "", &pdb, now);
        }
        Err(message) => {
            new["disruptionsAllowed"] = 0.into();
            new["observedGeneration"] = pdb.metadata.generation.into();
            set(&mut conditions, "False", "SyncFailed", &message, &pdb, now);
            let message = format!("Failed to calculate the number of expected pods: {message}");
            plan.note(about, Warning::Warning, "CalculateExpectedPodCountFailed", message);
        }
    }
    new["conditions"] = conditions.into();
    let patch = calls::status::<PodDisruptionBudget>(&pdb.metadata, &old, &new);
    if patch.is_none() {
        // An event that was told when the status was written is not told again.
        plan.notes.clear();
    }
    plan.calls.extend(patch);
    plan
}

fn set(
    conditions: &mut List,
    is: &str,
    reason: &str,
    message: &str,
    pdb: &PodDisruptionBudget,
    now: Time,
) {
    let says = json!({
        "status": is,
        "reason": reason,
        "message": message,
        "observedGeneration": pdb.metadata.generation,
    });
    conditions.set_with("DisruptionAllowed", says, now);
}

/// How many pods there shall be, and how many of them healthy (`getExpectedPodCount`).
fn expected(
    view: &View,
    spec: &PodDisruptionBudgetSpec,
    pods: &[Arc<Pod>],
) -> Result<(i32, i32), String> {
    let present = i32::try_from(pods.len()).unwrap_or(i32::MAX);
    if let Some(most) = &spec.max_unavailable {
        let total = wished(view, pods)?;
        return Ok((total, (total - scaled(Some(most), total, Round::Up)).max(0)));
    }
    match &spec.min_available {
        Some(IntOrString::Int(count)) => Ok((present, *count)),
        Some(percent) => {
            let total = wished(view, pods)?;
            Ok((total, scaled(Some(percent), total, Round::Up)))
        }
        None => Ok((present, 0)),
    }
}

/// The sum of what the pods' controllers were asked for (`getExpectedScale`).
fn wished(view: &View, pods: &[Arc<Pod>]) -> Result<i32, String> {
    let mut controllers: BTreeMap<String, i32> = BTreeMap::new();
    for pod in pods {
        let object =
            view.get(&Pod::key(calls::namespace(&pod.metadata), calls::name(&pod.metadata)));
        let found = object.and_then(|object| scale_above(view, object));
        let name = calls::name(&pod.metadata);
        let (uid, replicas) =
            found.ok_or_else(|| format!("found no controllers for pod {name:?}"))?;
        controllers.insert(uid, replicas);
    }
    Ok(controllers.values().sum())
}

/// The uid and the wish of whoever finally controls an object: a Deployment rather than its ReplicaSet.
fn scale_above(view: &View, object: &Object) -> Option<(String, i32)> {
    let owner = object.head.owners.iter().find(|o| o.controller)?;
    let served = served::by_kind(view, &owner.api_version, &owner.kind)?;
    let namespace = if served.namespaced { &*object.key.namespace } else { "" };
    let found = view.get(&Key::new(&served.gvr.resource(), namespace, &owner.name))?;
    if *found.head.uid != *owner.uid {
        return None;
    }
    let above = scale_above(view, found);
    above.or_else(|| {
        let replicas = found.value().pointer("/spec/replicas").and_then(Value::as_i64)?;
        Some((found.head.uid.to_string(), i32::try_from(replicas).ok()?))
    })
}

/// Evictions under way: forgotten when the pod goes or does not go in time (`buildDisruptedPodMap`).
fn disrupted(
    pdb: &PodDisruptionBudget,
    pods: &[Arc<Pod>],
    now: Time,
    plan: &mut Plan,
) -> BTreeMap<String, Value> {
    let told = pdb.status.as_ref().and_then(|s| s.disrupted_pods.clone()).unwrap_or_default();
    let mut out = BTreeMap::new();
    for (name, at) in told {
        let pod = pods.iter().find(|pod| calls::name(&pod.metadata) == name);
        let due = typed::time(&at).plus_secs(EVICTION_SECS);
        if pod.is_some_and(|pod| !calls::is_deleting(&pod.metadata)) && due > now {
            plan.wake_at(due);
            out.insert(name, calls::value(&at));
        }
    }
    out
}

fn healthy(pods: &[Arc<Pod>], disrupted: &BTreeMap<String, Value>) -> usize {
    let counts = |pod: &&Arc<Pod>| {
        pods::is_ready(pod)
            && !calls::is_deleting(&pod.metadata)
            && !disrupted.contains_key(calls::name(&pod.metadata))
    };
    pods.iter().filter(counts).count()
}
