//! HorizontalPodAutoscaler v2 (pkg/controller/podautoscaler/{horizontal,replica_calculator}.go).
//!
//! Metrics are objects of the snapshot ([`metrics`]). What upstream remembers between rounds (recommendations of
//! the stabilisation windows, recent changes that policies limit) stands in an annotation of the autoscaler, and
//! only while it matters: at rest nothing is written.

mod behavior;
mod calculate;
mod metrics;

use crate::conditions::List;
use crate::plan::{Note, Plan, Row, Wake, Warning};
use crate::pods::{self, Selector};
use crate::{calls, served, wakes};
use api::{Call, Patch, PatchKind, Verb};
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use meta::{Gvr, Time, Value};
use serde_json::json;
use store::{Key, View};
use typed::Read;

pub(crate) static ROW: Row = Row {
    name: "horizontal-pod-autoscaler",
    wakes: &[
        Wake { resource: ("autoscaling", "horizontalpodautoscalers"), keys: wakes::itself },
        // Measured, so it never changes; the row says that it reads it.
        Wake { resource: (api::USAGE_GROUP, "pods"), keys: |_, _| Vec::new() },
    ],
    plan,
    refused: None,
    made: None,
};

/// `horizontal-pod-autoscaler-sync-period`
const PERIOD_SECS: i64 = 15;

/// What one plan works on.
pub(super) struct Work<'a> {
    pub view: &'a View,
    pub hpa: &'a HorizontalPodAutoscaler,
    pub spec: &'a HorizontalPodAutoscalerSpec,
    pub target: Target,
    pub now: Time,
}

/// The scale of what is scaled.
pub(super) struct Target {
    gvr: Gvr,
    /// Wanted and counted replicas.
    pub wanted: i32,
    pub counted: i32,
    pub selector: Selector,
}

/// Why there is no number: condition reason and message.
pub(super) type Failure = (&'static str, String);

fn plan(view: &View, key: &Key, now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let hpa = view.read::<HorizontalPodAutoscaler>(&key.namespace, &key.name);
    let Some(hpa) = hpa.filter(|h| !calls::is_deleting(&h.metadata)) else { return plan };
    let Some(spec) = &hpa.spec else { return plan };
    plan.wake_at(now.plus_secs(PERIOD_SECS));
    let old = calls::value(&hpa.status);
    let mut conditions = List::of(&old);
    let mut new = old.clone();
    new["observedGeneration"] = hpa.metadata.generation.into();
    match target(view, &key.namespace, spec) {
        Err(message) => {
            conditions.set("AbleToScale", "False", "FailedGetScale", &message, now);
            plan.notes.push(note(&hpa, Warning::Warning, "FailedGetScale", message));
        }
        Ok(target) => {
            let message = "the HPA controller was able to get the target's current scale";
            conditions.set("AbleToScale", "True", "SucceededGetScale", message, now);
            let work = Work { view, hpa: &hpa, spec, target, now };
            work.run((&mut conditions, &mut new), &mut plan);
        }
    }
    new["conditions"] = conditions.into();
    // First, as it is pinned to this version, which the patch of the memory outdates.
    let rest = std::mem::take(&mut plan.calls);
    plan.calls.extend(calls::status::<HorizontalPodAutoscaler>(&hpa.metadata, &old, &new));
    plan.calls.extend(rest);
    plan
}

fn note(
    hpa: &HorizontalPodAutoscaler,
    warning: Warning,
    reason: &'static str,
    message: String,
) -> Note {
    let about = pods::reference::<HorizontalPodAutoscaler>(&hpa.metadata);
    Note { about, warning, reason, message }
}

fn target(
    view: &View,
    namespace: &str,
    spec: &HorizontalPodAutoscalerSpec,
) -> Result<Target, String> {
    let to = &spec.scale_target_ref;
    let api_version = to.api_version.as_deref().unwrap_or_default();
    let served = served::by_kind(view, api_version, &to.kind)
        .ok_or_else(|| format!("no matches for kind {:?} in group {api_version:?}", to.kind))?;
    let object = view.get(&Key::new(&served.gvr.resource(), namespace, &to.name));
    let value = object
        .map(|object| object.value())
        .ok_or_else(|| format!("{} {:?} not found", served.gvr.resource(), to.name))?;
    let number = |at: &str| {
        let number = value.pointer(at).and_then(Value::as_i64);
        number.and_then(|n| i32::try_from(n).ok())
    };
    Ok(Target {
        gvr: served.gvr,
        wanted: number("/spec/replicas").unwrap_or(1),
        counted: number("/status/replicas").unwrap_or(0),
        selector: selector(&value),
    })
}

/// A LabelSelector, or the plain map of a ReplicationController.
fn selector(value: &Value) -> Selector {
    let given = &value["spec"]["selector"];
    if given.get("matchLabels").is_some() || given.get("matchExpressions").is_some() {
        let parsed: LabelSelector = serde_json::from_value(given.clone()).unwrap_or_default();
        return Selector::of(&parsed);
    }
    Selector::of_map(&serde_json::from_value(given.clone()).unwrap_or_default())
}

impl Work<'_> {
    fn least(&self) -> i32 {
        self.spec.min_replicas.unwrap_or(1)
    }

    fn run(&self, (conditions, status): (&mut List, &mut Value), plan: &mut Plan) {
        status["currentReplicas"] = self.target.counted.into();
        let current = self.target.wanted;
        let wanted = match self.wish(conditions, status, plan) {
            Some(wanted) => wanted,
            None => {
                status["desiredReplicas"] = current.into();
                return;
            }
        };
        status["desiredReplicas"] = wanted.into();
        if wanted == current {
            return;
        }
        plan.call(self.scale(wanted));
        status["lastScaleTime"] = self.now.rfc3339().into();
        let message = format!("the HPA controller was able to update the target scale to {wanted}");
        conditions.set("AbleToScale", "True", "SucceededRescale", &message, self.now);
        let direction = if wanted > current { "above" } else { "below" };
        let message = format!("New size: {wanted}; reason: metrics {direction} target");
        plan.notes.push(note(self.hpa, Warning::Normal, "SuccessfulRescale", message));
    }

    /// How many replicas there shall be; `None` when nothing may be changed.
    fn wish(&self, conditions: &mut List, status: &mut Value, plan: &mut Plan) -> Option<i32> {
        let current = self.target.wanted;
        if current == 0 && self.least() != 0 {
            let message = "scaling is disabled since the replica count of the target is zero";
            conditions.set("ScalingActive", "False", "ScalingDisabled", message, self.now);
            return None;
        }
        if current > self.spec.max_replicas {
            return Some(self.spec.max_replicas);
        }
        if current < self.least() {
            return Some(self.least());
        }
        let (proposed, by) = match calculate::all(self, status) {
            Ok(proposal) => proposal,
            Err((reason, message)) => {
                conditions.set("ScalingActive", "False", reason, &message, self.now);
                plan.notes.push(note(self.hpa, Warning::Warning, reason, message));
                return None;
            }
        };
        let message =
            format!("the HPA was able to successfully calculate a replica count from {by}");
        conditions.set("ScalingActive", "True", "ValidMetricFound", &message, self.now);
        Some(behavior::limit(self, proposed, conditions, plan))
    }

    fn scale(&self, to: i32) -> Call {
        let patch = Patch { kind: PatchKind::Merge, body: json!({ "spec": { "replicas": to } }) };
        let namespace = calls::namespace(&self.hpa.metadata);
        let name = &self.spec.scale_target_ref.name;
        Call::new(Verb::Patch(patch), self.target.gvr.clone(), namespace, name).on("scale")
    }
}
