//! DaemonSet: one pod on every node that suits (pkg/controller/daemon/{daemon_controller,update}.go).

mod pod;
mod rolling;
mod status;

use crate::plan::{Note, Plan, Row, Wake, Warning};
use crate::pods::{self, Selector};
use crate::revisions::{self, History};
use crate::{calls, node_fit, replicaset, wakes};
use api::{Call, Verb};
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec};
use k8s_openapi::api::core::v1::{Node, Pod};
use meta::{Problem, Time, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Change, Key, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "daemon-set-controller",
    wakes: &[
        Wake { resource: ("apps", "daemonsets"), keys: wakes::itself },
        Wake { resource: ("", "pods"), keys: wake_of_pod },
        Wake { resource: ("", "nodes"), keys: wake_of_node },
        Wake { resource: ("apps", "controllerrevisions"), keys: wake_of_revision },
    ],
    plan,
    refused: Some(refused),
    made: Some(made),
};

/// Creations and deletions per plan (`BurstReplicas`).
const BURST: usize = 250;
/// A pod that failed is replaced when it is this old, so that one that always fails does not spin.
const RETRY_SECS: i64 = 5;

/// What one plan works on.
pub(super) struct Set<'a> {
    pub set: &'a DaemonSet,
    pub spec: &'a DaemonSetSpec,
    pub history: History,
    pub places: Vec<Place>,
    pub now: Time,
}

/// A node, the set's pods there (oldest first), and whether it shall have one.
pub(super) struct Place {
    pub node: Arc<Node>,
    pub pods: Vec<Arc<Pod>>,
    pub runs: bool,
    /// A pod that is there may stay.
    pub keeps: bool,
}

fn wake_of_pod(view: &View, change: &Change) -> Vec<Key> {
    wakes::controllers::<DaemonSet>(view, change, |view, pod| {
        view.read_all::<DaemonSet>(Some(&pod.key.namespace))
            .filter(|set| set.spec.as_ref().is_some_and(|s| Selector::of(&s.selector).selects(pod)))
            .map(|set| DaemonSet::key(&pod.key.namespace, calls::name(&set.metadata)))
            .collect()
    })
}

fn wake_of_revision(view: &View, change: &Change) -> Vec<Key> {
    wakes::controllers::<DaemonSet>(view, change, |_, _| Vec::new())
}

/// A node concerns every set when it comes, goes, or changes in what decides (`shouldIgnoreNodeUpdate`).
fn wake_of_node(view: &View, change: &Change) -> Vec<Key> {
    let same = change.before.as_ref().is_some_and(|before| {
        let (before, after) = (typed::parse::<Node>(before), typed::parse::<Node>(&change.after));
        before.metadata.labels == after.metadata.labels
            && node_fit::taints(&before) == node_fit::taints(&after)
    });
    if same && !change.deletion {
        return Vec::new();
    }
    view.list(&DaemonSet::resource(), None).map(|object| object.key.clone()).collect()
}

fn plan(view: &View, key: &Key, now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(set) = view.read::<DaemonSet>(&key.namespace, &key.name) else { return plan };
    let Some(spec) = set.spec.as_ref() else { return plan };
    if calls::is_deleting(&set.metadata) {
        return plan;
    }
    let selector = Selector::of(&spec.selector);
    let mine = pods::claim::<DaemonSet>(view, &set.metadata, &selector, &mut plan);
    let collisions = set.status.as_ref().and_then(|s| s.collision_count).unwrap_or(0);
    let history =
        revisions::of::<DaemonSet>(view, &set.metadata, &spec.selector, collisions, &mut plan);
    let Some(history) = history else { return plan };
    let in_use: Vec<String> = mine.iter().map(|pod| hash(pod).to_string()).collect();
    let all = Set { set: &set, spec, history, places: places(view, spec, mine), now };
    manage(&all, &mut plan);
    if all.is_rolling() {
        rolling::roll(&all, &mut plan);
    }
    status::report(&all, &mut plan);
    let in_use: Vec<&str> = in_use.iter().map(String::as_str).collect();
    let limit = spec.revision_history_limit.unwrap_or(10);
    revisions::truncate(&all.history, limit, &in_use, &mut plan);
    plan
}

pub(super) fn hash(pod: &Pod) -> &str {
    calls::label(&pod.metadata, revisions::HASH).unwrap_or_default()
}

/// Pods by the node they are on or are meant for.
fn places(view: &View, spec: &DaemonSetSpec, mine: Vec<Arc<Pod>>) -> Vec<Place> {
    let mut by_node: BTreeMap<String, Vec<Arc<Pod>>> = BTreeMap::new();
    for pod in mine {
        by_node.entry(pod::target(&pod)).or_default().push(pod);
    }
    let template = pod::tolerant(spec);
    let mut places = Vec::new();
    for node in view.read_all::<Node>(None) {
        let mut pods = by_node.remove(calls::name(&node.metadata)).unwrap_or_default();
        pods.sort_by_key(|pod| {
            let created = pod.metadata.creation_timestamp.as_ref().map(typed::time);
            (pods::node(pod).is_empty(), created, pod.metadata.name.clone())
        });
        let (runs, keeps) = pod::suits(&template, &node);
        places.push(Place { node, pods, runs, keeps });
    }
    places
}

impl Set<'_> {
    pub fn min_ready(&self) -> i32 {
        self.spec.min_ready_seconds.unwrap_or(0)
    }

    pub fn is_available(&self, pod: &Pod) -> bool {
        pods::is_available(pod, self.min_ready(), self.now)
    }

    fn is_rolling(&self) -> bool {
        let strategy = self.spec.update_strategy.as_ref();
        strategy.and_then(|s| s.type_.as_deref()).unwrap_or("RollingUpdate") == "RollingUpdate"
    }

    pub fn create(&self, place: &Place, plan: &mut Plan) {
        let namespace = calls::namespace(&self.set.metadata);
        plan.call(calls::create::<Pod>(
            namespace,
            pod::new(self, calls::name(&place.node.metadata)),
        ));
    }
}

/// Makes missing pods and removes surplus and finished ones (`podsShouldBeOnNode`).
fn manage(set: &Set<'_>, plan: &mut Plan) {
    let start = plan.calls.len();
    for place in &set.places {
        if plan.calls.len() - start >= BURST {
            return;
        }
        if place.runs && place.pods.is_empty() {
            set.create(place, plan);
        } else if place.keeps {
            tidy(set, place, plan);
        } else {
            let going = place.pods.iter().filter(|p| !calls::is_deleting(&p.metadata));
            going.for_each(|pod| plan.call(calls::delete::<Pod>(&pod.metadata)));
        }
    }
}

fn tidy(set: &Set<'_>, place: &Place, plan: &mut Plan) {
    let mut running = Vec::new();
    for pod in place.pods.iter().filter(|pod| !calls::is_deleting(&pod.metadata)) {
        match pods::phase(pod) {
            "Failed" => replace(set, place, pod, plan),
            "Succeeded" => {
                plan.notes.push(found(
                    set,
                    place,
                    pod,
                    "SucceededDaemonPod",
                    "succeeded",
                    "delete",
                ));
                plan.call(calls::delete::<Pod>(&pod.metadata));
            }
            _ => running.push(pod),
        }
    }
    let (mut old, mut new) = (0, 0);
    for pod in running {
        // While surging, one pod of each kind may stand.
        let surging = rolling::surge(set) > 0 && hash(pod) == set.history.hash;
        let count = if surging { &mut new } else { &mut old };
        *count += 1;
        if *count > 1 {
            plan.call(calls::delete::<Pod>(&pod.metadata));
        }
    }
}

fn replace(set: &Set<'_>, place: &Place, pod: &Pod, plan: &mut Plan) {
    let created = pod.metadata.creation_timestamp.as_ref().map(typed::time).unwrap_or_default();
    let due = created.plus_secs(RETRY_SECS);
    if due > set.now {
        return plan.wake_at(due);
    }
    plan.notes.push(found(set, place, pod, "FailedDaemonPod", "failed", "kill"));
    plan.call(calls::delete::<Pod>(&pod.metadata));
}

fn found(
    set: &Set<'_>,
    place: &Place,
    pod: &Pod,
    reason: &'static str,
    state: &str,
    verb: &str,
) -> Note {
    let (namespace, name) = (calls::namespace(&pod.metadata), calls::name(&pod.metadata));
    let node = calls::name(&place.node.metadata);
    Note {
        about: pods::reference::<DaemonSet>(&set.set.metadata),
        warning: if state == "failed" { Warning::Warning } else { Warning::Normal },
        reason,
        message: format!(
            "Found {state} daemon pod {namespace}/{name} on node {node}, will try to {verb} it"
        ),
    }
}

fn made(view: &View, key: &Key, call: &Call, object: &Value) -> Option<Note> {
    let set = view.read::<DaemonSet>(&key.namespace, &key.name)?;
    replicaset::told::<DaemonSet>(&set.metadata, call, object)
}

fn refused(view: &View, key: &Key, refused: &[(Call, Problem)], _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(set) = view.read::<DaemonSet>(&key.namespace, &key.name) else { return plan };
    for (call, problem) in refused {
        let (reason, verb) = match &call.verb {
            Verb::Create(_) => ("FailedCreate", "creating"),
            Verb::Delete(_) => ("FailedDelete", "deleting"),
            _ => continue,
        };
        let about = pods::reference::<DaemonSet>(&set.metadata);
        plan.note(about, Warning::Warning, reason, format!("Error {verb}: {problem}"));
    }
    plan
}
