//! StatefulSet: pods with names, identities and volumes of their own, made and replaced in order
//! (pkg/controller/statefulset/{stateful_set_control,stateful_set_utils}.go).

mod claims;
mod pod;
mod status;

use crate::plan::{Note, Plan, Row, Wake, Warning};
use crate::pods::{self, Selector};
use crate::revisions::{self, History};
use crate::{calls, deployment, wakes};
use api::{Call, Verb};
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::Pod;
use meta::{Problem, Time, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Change, Key, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "statefulset-controller",
    wakes: &[
        Wake { resource: ("apps", "statefulsets"), keys: wakes::itself },
        Wake { resource: ("", "pods"), keys: wake_of_pod },
        Wake { resource: ("apps", "controllerrevisions"), keys: wake_of_revision },
    ],
    plan,
    refused: Some(refused),
    made: Some(made),
};

/// What one plan works on.
pub(super) struct Set<'a> {
    pub view: &'a View,
    pub set: &'a StatefulSet,
    pub spec: &'a StatefulSetSpec,
    pub history: History,
    /// Name of the revision that pods below the partition have.
    pub current: String,
    /// Pods by ordinal.
    pub pods: BTreeMap<i32, Arc<Pod>>,
    pub now: Time,
}

/// Whether later pods wait for earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// This pod is as it should be.
    Done,
    /// Something is under way.
    Wait,
}

fn wake_of_pod(view: &View, change: &Change) -> Vec<Key> {
    wakes::controllers::<StatefulSet>(view, change, |view, pod| {
        view.read_all::<StatefulSet>(Some(&pod.key.namespace))
            .filter(|set| set.spec.as_ref().is_some_and(|s| Selector::of(&s.selector).selects(pod)))
            .map(|set| StatefulSet::key(&pod.key.namespace, calls::name(&set.metadata)))
            .collect()
    })
}

fn wake_of_revision(view: &View, change: &Change) -> Vec<Key> {
    wakes::controllers::<StatefulSet>(view, change, |_, _| Vec::new())
}

fn plan(view: &View, key: &Key, now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(set) = view.read::<StatefulSet>(&key.namespace, &key.name) else { return plan };
    let Some(spec) = set.spec.as_ref() else { return plan };
    if calls::is_deleting(&set.metadata) {
        return plan;
    }
    let selector = Selector::of(&spec.selector);
    let mine = pods::claim::<StatefulSet>(view, &set.metadata, &selector, &mut plan);
    let pods = mine.into_iter().filter_map(|p| Some((pod::ordinal(&set, &p)?, p))).collect();
    let old = set.status.as_ref();
    let collisions = old.and_then(|s| s.collision_count).unwrap_or(0);
    let history =
        revisions::of::<StatefulSet>(view, &set.metadata, &spec.selector, collisions, &mut plan);
    let Some(history) = history else { return plan };
    let known = |name: &&String| history.all.iter().any(|r| calls::name(&r.metadata) == **name);
    let current = old.and_then(|s| s.current_revision.as_ref()).filter(known);
    let current = current.cloned().unwrap_or_else(|| history.name.clone());
    let all = Set { view, set: &set, spec, history, current, pods, now };
    all.act(&mut plan);
    claims::retain(&all, &mut plan);
    status::report(&all, &mut plan);
    all.truncate(&mut plan);
    plan
}

impl Set<'_> {
    pub fn start(&self) -> i32 {
        self.spec.ordinals.as_ref().and_then(|o| o.start).unwrap_or(0)
    }

    pub fn replicas(&self) -> i32 {
        self.spec.replicas.unwrap_or(1)
    }

    pub fn ordinals(&self) -> std::ops::Range<i32> {
        self.start()..self.start().saturating_add(self.replicas())
    }

    pub fn is_ordered(&self) -> bool {
        self.spec.pod_management_policy.as_deref() != Some("Parallel")
    }

    pub fn min_ready(&self) -> i32 {
        self.spec.min_ready_seconds.unwrap_or(0)
    }

    pub fn is_available(&self, pod: &Pod) -> bool {
        is_running_and_ready(pod) && pods::is_available(pod, self.min_ready(), self.now)
    }

    fn is_rolling(&self) -> bool {
        let strategy = self.spec.update_strategy.as_ref();
        strategy.and_then(|s| s.type_.as_deref()).unwrap_or("RollingUpdate") == "RollingUpdate"
    }

    fn partition(&self) -> i32 {
        let strategy = self.spec.update_strategy.as_ref();
        strategy.and_then(|s| s.rolling_update.as_ref()?.partition).unwrap_or(0)
    }

    /// The revision a new pod of this ordinal is made from (`newVersionedStatefulSetPod`).
    pub fn revision_for(&self, ordinal: i32) -> &str {
        let stays = self.is_rolling() && ordinal < self.start().saturating_add(self.partition());
        if stays { &self.current } else { &self.history.name }
    }

    fn act(&self, plan: &mut Plan) {
        for ordinal in self.ordinals() {
            let step = self.ensure(ordinal, plan);
            if step == Step::Wait && self.is_ordered() {
                return;
            }
        }
        if self.condemn(plan) == Step::Done && self.is_rolling() {
            self.roll(plan);
        }
    }

    /// Brings the pod of one ordinal into being (`processReplica`).
    fn ensure(&self, ordinal: i32, plan: &mut Plan) -> Step {
        let Some(pod) = self.pods.get(&ordinal) else {
            claims::create(self, ordinal, plan);
            plan.call(calls::create::<Pod>(
                calls::namespace(&self.set.metadata),
                pod::new(self, ordinal),
            ));
            return Step::Wait;
        };
        let deleting = calls::is_deleting(&pod.metadata);
        if matches!(pods::phase(pod), "Failed" | "Succeeded") {
            if !deleting {
                plan.notes.push(self.recreating(pod));
                plan.call(calls::delete::<Pod>(&pod.metadata));
            }
            return Step::Wait;
        }
        if pods::phase(pod) == "Pending" {
            claims::create(self, ordinal, plan);
        }
        if deleting || !self.is_available(pod) {
            if let Some(at) = pods::available_at(pod, self.min_ready()).filter(|at| *at > self.now)
            {
                plan.wake_at(at);
            }
            return Step::Wait;
        }
        Step::Done
    }

    fn recreating(&self, pod: &Pod) -> Note {
        let failed = pods::phase(pod) == "Failed";
        let (reason, state) = if failed {
            ("RecreatingFailedPod", "failed")
        } else {
            ("RecreatingTerminatedPod", "terminated")
        };
        let (namespace, name) = (calls::namespace(&self.set.metadata), calls::name(&pod.metadata));
        let set = calls::name(&self.set.metadata);
        Note {
            about: pods::reference::<StatefulSet>(&self.set.metadata),
            warning: Warning::Warning,
            reason,
            message: format!("StatefulSet {namespace}/{set} is recreating {state} Pod {name}"),
        }
    }

    /// Gives up pods beyond the wanted range, highest first (`processCondemned`).
    fn condemn(&self, plan: &mut Plan) -> Step {
        let wanted = self.ordinals();
        let unhealthy = self.first_unhealthy();
        let mut step = Step::Done;
        for (ordinal, pod) in self.pods.iter().rev().filter(|(o, _)| !wanted.contains(o)) {
            step = Step::Wait;
            if calls::is_deleting(&pod.metadata) {
                if self.is_ordered() {
                    return step;
                }
                continue;
            }
            if self.is_ordered() && !self.is_available(pod) && unhealthy != Some(*ordinal) {
                return step;
            }
            plan.call(calls::delete::<Pod>(&pod.metadata));
            if self.is_ordered() {
                return step;
            }
        }
        step
    }

    fn first_unhealthy(&self) -> Option<i32> {
        let wanted = self.ordinals();
        let (inside, outside): (Vec<_>, Vec<_>) =
            self.pods.iter().partition(|(ordinal, _)| wanted.contains(ordinal));
        let mut all = inside.into_iter().chain(outside);
        all.find(|(_, pod)| !is_healthy(pod)).map(|(ordinal, _)| *ordinal)
    }

    /// Replaces pods of older revisions, highest first, one at a time or as many as may be unavailable.
    fn roll(&self, plan: &mut Plan) {
        let strategy = self.spec.update_strategy.as_ref();
        let most = strategy.and_then(|s| s.rolling_update.as_ref()?.max_unavailable.as_ref());
        let lowest = self.start().saturating_add(self.partition());
        let targets = self.ordinals().rev().filter(|ordinal| *ordinal >= lowest);
        let targets = targets.filter_map(|ordinal| self.pods.get(&ordinal));
        let outdated = |pod: &Pod| revision(pod) != self.history.name;
        let Some(most) = most else {
            for pod in targets {
                if outdated(pod) && !calls::is_deleting(&pod.metadata) {
                    return plan.call(calls::delete::<Pod>(&pod.metadata));
                }
                if !is_healthy(pod) {
                    return;
                }
            }
            return;
        };
        let most = deployment::scaled(Some(most), self.replicas(), deployment::Round::Up).max(1);
        let present = self.ordinals().filter_map(|ordinal| self.pods.get(&ordinal));
        let available = present.filter(|p| is_healthy(p) && self.is_available(p)).count();
        let missing = self.replicas().saturating_sub(i32::try_from(available).unwrap_or(i32::MAX));
        let budget = usize::try_from(most.saturating_sub(missing)).unwrap_or(0);
        let going = targets.filter(|pod| outdated(pod) && !calls::is_deleting(&pod.metadata));
        going.take(budget).for_each(|pod| plan.call(calls::delete::<Pod>(&pod.metadata)));
    }

    fn truncate(&self, plan: &mut Plan) {
        let mut used: Vec<&str> = self.pods.values().map(|pod| revision(pod)).collect();
        used.push(&self.current);
        let limit = self.spec.revision_history_limit.unwrap_or(10);
        revisions::truncate(&self.history, limit, &used, plan);
    }
}

pub(super) fn revision(pod: &Pod) -> &str {
    calls::label(&pod.metadata, revisions::HASH).unwrap_or_default()
}

pub(super) fn is_running_and_ready(pod: &Pod) -> bool {
    pods::phase(pod) == "Running" && pods::is_ready(pod)
}

fn is_healthy(pod: &Pod) -> bool {
    is_running_and_ready(pod) && !calls::is_deleting(&pod.metadata)
}

/// `create Pod web-0 in StatefulSet web successful`
fn made(view: &View, key: &Key, call: &Call, object: &Value) -> Option<Note> {
    let set = view.read::<StatefulSet>(&key.namespace, &key.name)?;
    let (reason, verb) = match &call.verb {
        Verb::Create(_) => ("SuccessfulCreate", "create"),
        Verb::Delete(_) => ("SuccessfulDelete", "delete"),
        _ => return None,
    };
    let made = object["metadata"]["name"].as_str().unwrap_or(&call.name);
    let message = match &*call.resource.resource {
        "pods" => format!("{verb} Pod {made} in StatefulSet {} successful", key.name),
        "persistentvolumeclaims" => {
            format!("{verb} Claim {made} in StatefulSet {} success", key.name)
        }
        _ => return None,
    };
    let about = pods::reference::<StatefulSet>(&set.metadata);
    Some(Note { about, warning: Warning::Normal, reason, message })
}

fn refused(view: &View, key: &Key, refused: &[(Call, Problem)], _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(set) = view.read::<StatefulSet>(&key.namespace, &key.name) else { return plan };
    for (call, problem) in refused {
        let (reason, verb, name) = match &call.verb {
            Verb::Create(body) => {
                ("FailedCreate", "create", body["metadata"]["name"].as_str().unwrap_or_default())
            }
            Verb::Delete(_) => ("FailedDelete", "delete", call.name.as_str()),
            _ => continue,
        };
        let kind = match &*call.resource.resource {
            "pods" => "Pod",
            "persistentvolumeclaims" => "Claim",
            _ => continue,
        };
        let about = pods::reference::<StatefulSet>(&set.metadata);
        let message =
            format!("{verb} {kind} {name} in StatefulSet {} failed error: {problem}", key.name);
        plan.note(about, Warning::Warning, reason, message);
    }
    plan
}
