//! policy/v1: disruption budgets and evictions.

use crate::core::pod::is_terminal;
use crate::row::{Act, Effect, KindRow};
use crate::rows::{STATUS, version};
use crate::table::{AGE, NAME, age, at, col, int, list, name, number, plain, text};
use meta::{Cause, Details, LabelSelector, Problem, Reason, Resource, Value};
use serde_json::json;
use std::sync::Arc;
use store::{Object, View};

pub static POD_DISRUPTION_BUDGET: KindRow = KindRow::namespaced(
    "policy",
    "PodDisruptionBudget",
    "poddisruptionbudgets",
    "poddisruptionbudget",
    &[version("v1", "io.k8s.api.policy.v1.PodDisruptionBudget")],
)
.short(&["pdb"])
.subresources(&[STATUS])
.counted()
.table(
    &[
        NAME,
        col("Min Available", "string", "The minimum number of pods that must be available."),
        col("Max Unavailable", "string", "The maximum number of pods that may be unavailable."),
        col(
            "Allowed Disruptions",
            "integer",
            "Calculated number of pods that may be disrupted at this time.",
        ),
        AGE,
    ],
    |v, now| {
        let shown = |path: &str| Value::from(at(v, path).map_or("N/A".into(), plain));
        vec![
            name(v),
            shown("spec.minAvailable"),
            shown("spec.maxUnavailable"),
            number(v, "status.disruptionsAllowed"),
            age(v, now),
        ]
    },
)
.check(crate::check::policy::budget)
.sample(concat!(
    "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: sample}\n",
    "spec: {minAvailable: 1, selector: {matchLabels: {app: s}}}\n"
));

/// EvictionREST.Create (pkg/registry/core/pod/storage/eviction.go): a delete that asks the budgets first.
pub(crate) fn evict(act: &Act<'_>) -> Result<Effect, Problem> {
    let pod = act.parent.value();
    let options = at(act.body, "deleteOptions").cloned().unwrap_or_else(|| json!({}));
    let gone = |parent| Ok(Effect::Delete { options: options.clone(), parent, also: Vec::new() });
    if is_terminal(&pod)
        || text(&pod, "status.phase") == "Pending"
        || at(&pod, "metadata.deletionTimestamp").is_some()
    {
        return gone(None);
    }
    let budgets = budgets_of(act.parent, act.view);
    match budgets.as_slice() {
        [] => gone(Some(disrupted(pod, act.now))),
        [budget] => {
            let spent = spend(budget, &pod, act.now)?;
            let parent = Some(disrupted(pod, act.now));
            Ok(Effect::Delete { options, parent, also: vec![spent] })
        }
        _ => Err(Problem::new(
            Reason::InternalError,
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        )),
    }
}

fn budgets_of(pod: &Object, view: &View) -> Vec<Arc<Object>> {
    let budgets = Resource::new("policy", "poddisruptionbudgets");
    let selects = |budget: &&Arc<Object>| {
        let text = crate::table::selector(&budget.value(), "spec.selector");
        let text = text.as_str().unwrap_or_default();
        let text = if text == "<none>" { "" } else { text };
        LabelSelector::parse(text).is_ok_and(|s| s.matches(|key| pod.label(key)))
    };
    view.list(&budgets, Some(&pod.key.namespace)).filter(selects).cloned().collect()
}

/// The budget with one disruption spent on this pod (checkAndDecrement).
fn spend(budget: &Object, pod: &Value, now: meta::Time) -> Result<Value, Problem> {
    let mut value = budget.value();
    let name = text(&value, "metadata.name");
    let refuse = |why: String| {
        Err(Problem::new(
            Reason::TooManyRequests,
            "Cannot evict pod as it would violate the pod's disruption budget.",
        )
        .with(Details {
            causes: vec![Cause {
                reason: "DisruptionBudget".into(),
                message: why,
                ..Cause::default()
            }],
            ..Details::default()
        }))
    };
    if int(&value, "status.observedGeneration") < int(&value, "metadata.generation") {
        return refuse(format!(
            "The disruption budget {name} is still being processed by the server."
        ));
    }
    let (allowed, healthy, desired) = (
        int(&value, "status.disruptionsAllowed"),
        int(&value, "status.currentHealthy"),
        int(&value, "status.desiredHealthy"),
    );
    let ready = list(pod, "status.conditions")
        .iter()
        .any(|c| c["type"] == "Ready" && c["status"] == "True");
    let always = text(&value, "spec.unhealthyPodEvictionPolicy") == "AlwaysAllow";
    if !ready && (always || (healthy >= desired && desired > 0)) {
        return Ok(value);
    }
    if allowed <= 0 {
        return refuse(format!(
            "The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
        ));
    }
    value["status"]["disruptionsAllowed"] = (allowed - 1).into();
    value["status"]["disruptedPods"][text(pod, "metadata.name")] = now.rfc3339().into();
    Ok(value)
}

/// The DisruptionTarget condition of an evicted pod.
fn disrupted(mut pod: Value, now: meta::Time) -> Value {
    let condition = json!({
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
        "lastProbeTime": null,
        "lastTransitionTime": now.rfc3339(),
    });
    if !pod["status"]["conditions"].is_array() {
        pod["status"]["conditions"] = json!([]);
    }
    let conditions = pod["status"]["conditions"].as_array_mut().expect("made an array above");
    conditions.retain(|c| c["type"] != "DisruptionTarget");
    conditions.push(condition);
    pod
}
