//! Deployment: one ReplicaSet per template, moved from old to new without dropping below what must be available.
//!
//! pkg/controller/deployment/{deployment_controller,sync,rolling,recreate,progress}.go.

mod revision;
mod rolling;
mod scale;
mod status;

use crate::plan::{Note, Plan, Row, Wake, Warning};
use crate::pods::{self, Selector};
use crate::wakes;
use api::{Call, Patch, PatchKind, Verb};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use meta::{Time, Value};
use serde_json::json;
use std::sync::Arc;
use store::{Change, Key, View};
use typed::{Kind, Read, controller_of};

pub(crate) static ROW: Row = Row {
    name: "deployment-controller",
    wakes: &[
        Wake { resource: ("apps", "deployments"), keys: wakes::itself },
        Wake { resource: ("apps", "replicasets"), keys: wake_of_set },
        Wake { resource: ("", "pods"), keys: wake_of_pod },
    ],
    plan,
    refused: None,
    made: None,
};

/// What one plan works on.
pub(super) struct Rollout<'a> {
    pub view: &'a View,
    pub deployment: &'a Deployment,
    pub spec: &'a DeploymentSpec,
    /// The set with the deployment's present template.
    pub new: Option<Arc<ReplicaSet>>,
    /// Every other set, oldest first.
    pub old: Vec<Arc<ReplicaSet>>,
    pub now: Time,
}

/// A set wakes its deployment; an orphan wakes every deployment that could adopt it.
fn wake_of_set(view: &View, change: &Change) -> Vec<Key> {
    wakes::controllers::<Deployment>(view, change, |view, set| {
        let labels = wakes::labels(set);
        view.read_all::<Deployment>(Some(&set.key.namespace))
            .filter(|d| {
                d.spec.as_ref().is_some_and(|s| Selector::of(&s.selector).matches(Some(&labels)))
            })
            .map(|d| {
                Deployment::key(&set.key.namespace, d.metadata.name.as_deref().unwrap_or_default())
            })
            .collect()
    })
}

/// `Recreate` waits for old pods to be gone, and they leave no trace in their set's status at the end.
fn wake_of_pod(view: &View, change: &Change) -> Vec<Key> {
    if !change.deletion {
        return Vec::new();
    }
    let owner = change.after.head.owners.iter().find(|o| o.controller && &*o.kind == "ReplicaSet");
    let set = owner.and_then(|o| view.get(&ReplicaSet::key(&change.after.key.namespace, &o.name)));
    let deployment = set.and_then(|s| s.head.owners.iter().find(|o| o.controller).cloned());
    deployment.map(|o| Deployment::key(&change.after.key.namespace, &o.name)).into_iter().collect()
}

fn plan(view: &View, key: &Key, now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(deployment) = view.read::<Deployment>(&key.namespace, &key.name) else { return plan };
    let Some(spec) = &deployment.spec else { return plan };
    if deployment.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    let sets = claimed(view, &deployment, spec, &mut plan);
    let (new, old) = revision::split(&sets, spec);
    let rollout = Rollout { view, deployment: &deployment, spec, new, old, now };
    decide(&rollout, &mut plan);
    plan
}

/// The deployment's sets, oldest first; orphans that match are adopted.
fn claimed(
    view: &View,
    deployment: &Deployment,
    spec: &DeploymentSpec,
    plan: &mut Plan,
) -> Vec<Arc<ReplicaSet>> {
    let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    let selector = Selector::of(&spec.selector);
    let mut sets: Vec<_> = view
        .read_owned::<ReplicaSet>(uid)
        .filter(|set| controller_of(&set.metadata).is_some_and(|o| o.uid == uid))
        .collect();
    let orphans = view
        .read_all::<ReplicaSet>(Some(namespace))
        .filter(|set| {
            controller_of(&set.metadata).is_none() && set.metadata.deletion_timestamp.is_none()
        })
        .filter(|set| selector.matches(set.metadata.labels.as_ref()));
    for set in orphans {
        let owner = pods::owner_reference::<Deployment>(&deployment.metadata);
        plan.call(patch_set(
            &set,
            json!({ "metadata": { "uid": set.metadata.uid, "ownerReferences": [owner] } }),
        ));
        sets.push(set);
    }
    sets.sort_by_key(|set| {
        (set.metadata.creation_timestamp.as_ref().map(typed::time), set.metadata.name.clone())
    });
    sets
}

fn decide(rollout: &Rollout<'_>, plan: &mut Plan) {
    let scaling = rollout.is_scaling();
    if rollout.spec.paused != Some(true)
        && !scaling
        && rollout.new.is_none()
        && !rollout.must_wait_for_old_pods()
    {
        // The new set's effects are planned when it exists.
        revision::create_new(rollout, plan);
    } else if rollout.spec.paused == Some(true) || scaling {
        scale::proportionally(rollout, plan);
    } else if rollout.is_recreate() {
        rolling::recreate(rollout, plan);
    } else {
        rolling::roll(rollout, plan);
    }
    revision::sync(rollout, plan);
    revision::clean_up(rollout, plan);
    status::report(rollout, plan);
}

impl Rollout<'_> {
    pub fn replicas(&self) -> i32 {
        self.spec.replicas.unwrap_or(1)
    }

    pub fn is_recreate(&self) -> bool {
        self.spec.strategy.as_ref().and_then(|s| s.type_.as_deref()) == Some("Recreate")
    }

    /// Every set, new one last.
    pub fn all(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new)
    }

    /// `(max surge, max unavailable)` in pods; never both zero (`ResolveFenceposts`).
    pub fn fences(&self) -> (i32, i32) {
        if self.is_recreate() {
            return (0, 0);
        }
        let rolling = self.spec.strategy.as_ref().and_then(|s| s.rolling_update.as_ref());
        let surge = rolling.and_then(|r| r.max_surge.as_ref());
        let unavailable = rolling.and_then(|r| r.max_unavailable.as_ref());
        let surge = scaled(surge, self.replicas(), Round::Up);
        let unavailable = scaled(unavailable, self.replicas(), Round::Down);
        if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
    }

    pub fn max_unavailable(&self) -> i32 {
        let (_, unavailable) = self.fences();
        if self.is_recreate() || self.replicas() == 0 {
            0
        } else {
            unavailable.min(self.replicas())
        }
    }

    /// The deployment was resized since its sets were last told its size.
    fn is_scaling(&self) -> bool {
        self.all()
            .filter(|set| size(set) > 0)
            .filter_map(|set| annotation(set, DESIRED)?.parse::<i32>().ok())
            .any(|desired| desired != self.replicas())
    }

    /// `Recreate` makes no new pod while an old one may still run (`oldPodsRunning`).
    pub fn must_wait_for_old_pods(&self) -> bool {
        self.is_recreate()
            && self.old.iter().any(|set| {
                size(set) > 0
                    || set.status.as_ref().is_some_and(|s| s.replicas > 0)
                    || self
                        .view
                        .read_owned::<Pod>(set.metadata.uid.as_deref().unwrap_or_default())
                        .any(|pod| !matches!(pods::phase(&pod), "Failed" | "Succeeded"))
            })
    }

    /// Scales `set` and tells it the deployment's size (`scaleReplicaSet`).
    pub fn resize(&self, set: &ReplicaSet, to: i32, plan: &mut Plan) {
        let from = size(set);
        let (surge, _) = self.fences();
        let desired = self.replicas().to_string();
        let most = (self.replicas() + surge).to_string();
        let told =
            annotation(set, DESIRED) == Some(&desired) && annotation(set, MOST) == Some(&most);
        if from == to && told {
            return;
        }
        let annotations = json!({ DESIRED: desired, MOST: most });
        plan.call(patch_set(
            set,
            json!({
                "metadata": { "annotations": annotations, "uid": set.metadata.uid },
                "spec": { "replicas": to },
            }),
        ));
        if from != to {
            let way = if to > from { "up" } else { "down" };
            let name = set.metadata.name.as_deref().unwrap_or_default();
            plan.notes
                .push(self.note(format!("Scaled {way} replica set {name} from {from} to {to}")));
        }
    }

    pub fn note(&self, message: String) -> Note {
        let about = pods::reference::<Deployment>(&self.deployment.metadata);
        Note { about, warning: Warning::Normal, reason: "ScalingReplicaSet", message }
    }
}

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MOST: &str = "deployment.kubernetes.io/max-replicas";

#[derive(Clone, Copy)]
pub(crate) enum Round {
    Up,
    Down,
}

/// A count or a percentage of `total` (`intstr.GetScaledValueFromIntOrPercent`).
pub(crate) fn scaled(value: Option<&IntOrString>, total: i32, round: Round) -> i32 {
    match value {
        None => 0,
        Some(IntOrString::Int(count)) => *count,
        Some(IntOrString::String(text)) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let parts = percent * i64::from(total);
            let whole = match round {
                Round::Up => (parts + 99).div_euclid(100),
                Round::Down => parts.div_euclid(100),
            };
            i32::try_from(whole).unwrap_or(i32::MAX)
        }
    }
}

pub(super) fn size(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1)
}

pub(super) fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|s| s.available_replicas).unwrap_or(0)
}

pub(super) fn annotation<'a>(set: &'a ReplicaSet, key: &str) -> Option<&'a String> {
    set.metadata.annotations.as_ref()?.get(key)
}

pub(super) fn patch_set(set: &ReplicaSet, body: Value) -> Call {
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    let name = set.metadata.name.as_deref().unwrap_or_default();
    let patch = Patch { kind: PatchKind::Merge, body };
    Call::new(Verb::Patch(patch), ReplicaSet::gvr(), namespace, name)
}
