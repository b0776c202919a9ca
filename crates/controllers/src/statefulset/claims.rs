//! The volumes of a set's pods, and how long they outlive them (stateful_pod_control.go,
//! stateful_set_utils.go `updateClaimOwnerRefForSetAndPod`).

use super::{Set, pod};
use crate::plan::Plan;
use crate::{calls, pods};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use meta::Value;
use serde_json::json;
use typed::{Kind, Read};

pub(super) fn name(set: &Set<'_>, template: &PersistentVolumeClaim, ordinal: i32) -> String {
    format!("{}-{}", calls::name(&template.metadata), pod::name(set, ordinal))
}

/// Creates the claims of an ordinal that are missing.
pub(super) fn create(set: &Set<'_>, ordinal: i32, plan: &mut Plan) {
    let namespace = calls::namespace(&set.set.metadata);
    for template in set.spec.volume_claim_templates.iter().flatten() {
        let name = name(set, template, ordinal);
        if set.view.get(&PersistentVolumeClaim::key(namespace, &name)).is_some() {
            continue;
        }
        let mut labels = template.metadata.labels.clone().unwrap_or_default();
        labels.extend(set.spec.selector.match_labels.clone().unwrap_or_default());
        let mut metadata = json!({
            "name": name,
            "labels": labels,
            "annotations": template.metadata.annotations.clone().unwrap_or_default(),
        });
        if policy(set, |p| p.when_deleted.as_deref()) == "Delete" {
            metadata["ownerReferences"] = json!([set_reference(set)]);
        }
        let body = json!({ "metadata": metadata, "spec": template.spec });
        plan.call(calls::create::<PersistentVolumeClaim>(namespace, body));
    }
}

type Policy = k8s_openapi::api::apps::v1::StatefulSetPersistentVolumeClaimRetentionPolicy;

fn policy<'a>(set: &'a Set<'_>, of: impl Fn(&'a Policy) -> Option<&'a str>) -> &'a str {
    set.spec.persistent_volume_claim_retention_policy.as_ref().and_then(of).unwrap_or("Retain")
}

/// Claims are owned by whom they shall go with: the set, a pod that is scaled away, or nobody.
pub(super) fn retain(set: &Set<'_>, plan: &mut Plan) {
    let namespace = calls::namespace(&set.set.metadata);
    let deleted = policy(set, |p| p.when_deleted.as_deref()) == "Delete";
    let scaled = policy(set, |p| p.when_scaled.as_deref()) == "Delete";
    for (ordinal, pod) in &set.pods {
        let condemned = !set.ordinals().contains(ordinal);
        let wanted = match (deleted, scaled && condemned) {
            (_, true) => Some(pod_reference(pod)),
            (true, false) => Some(set_reference(set)),
            (false, false) => None,
        };
        for template in set.spec.volume_claim_templates.iter().flatten() {
            let claim =
                set.view.read::<PersistentVolumeClaim>(namespace, &name(set, template, *ordinal));
            if let Some(claim) = claim {
                plan.calls.extend(own(set, pod, &claim, wanted.as_ref()));
            }
        }
    }
}

fn own(
    set: &Set<'_>,
    pod: &Pod,
    claim: &PersistentVolumeClaim,
    wanted: Option<&Value>,
) -> Option<api::Call> {
    let before: Vec<Value> =
        claim.metadata.owner_references.iter().flatten().map(calls::value).collect();
    let ours = [calls::uid(&set.set.metadata), calls::uid(&pod.metadata)];
    let foreign = |o: &&Value| o["uid"].as_str().is_none_or(|uid| !ours.contains(&uid));
    let is_wanted = |o: &&Value| wanted.is_some_and(|w| w["uid"] == o["uid"]);
    let mut after: Vec<Value> =
        before.iter().filter(|o| foreign(o) || is_wanted(o)).cloned().collect();
    if let Some(wanted) = wanted.filter(|w| !after.iter().any(|o| o["uid"] == w["uid"])) {
        after.push(wanted.clone());
    }
    let body = json!({ "metadata": { "ownerReferences": after } });
    (before != after).then(|| calls::merge_in_state::<PersistentVolumeClaim>(&claim.metadata, body))
}

/// An owner that does not control: the claim stays the user's.
fn reference<K: Kind>(owner: &ObjectMeta) -> Value {
    let mut reference = pods::owner_reference::<K>(owner);
    if let Some(fields) = reference.as_object_mut() {
        fields.remove("controller");
        fields.remove("blockOwnerDeletion");
    }
    reference
}

fn set_reference(set: &Set<'_>) -> Value {
    reference::<StatefulSet>(&set.set.metadata)
}

fn pod_reference(pod: &Pod) -> Value {
    reference::<Pod>(&pod.metadata)
}
