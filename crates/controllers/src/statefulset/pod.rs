//! The pod of an ordinal (stateful_set_utils.go `newStatefulSetPod`, `updateIdentity`, `updateStorage`).

use super::Set;
use crate::{calls, pods, revisions};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use meta::Value;
use serde_json::json;

/// The ordinal in a pod's name; `None` for a pod that is not named as the set's are.
pub(super) fn ordinal(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    let rest = calls::name(&pod.metadata).strip_prefix(calls::name(&set.metadata))?;
    let digits = rest.strip_prefix('-')?;
    let canonical = digits == "0" || !digits.starts_with('0');
    digits.parse().ok().filter(|ordinal: &i32| canonical && *ordinal >= 0)
}

pub(super) fn name(set: &Set<'_>, ordinal: i32) -> String {
    format!("{}-{ordinal}", calls::name(&set.set.metadata))
}

pub(super) fn new(set: &Set<'_>, ordinal: i32) -> Value {
    let revision = set.revision_for(ordinal);
    let name = name(set, ordinal);
    let mut pod = pods::from_template::<StatefulSet>(&template(set, revision), &set.set.metadata);
    if let Some(metadata) = pod["metadata"].as_object_mut() {
        metadata.remove("generateName");
    }
    pod["metadata"]["name"] = name.clone().into();
    let labels = &mut pod["metadata"]["labels"];
    labels["statefulset.kubernetes.io/pod-name"] = name.clone().into();
    labels["apps.kubernetes.io/pod-index"] = ordinal.to_string().into();
    labels[revisions::HASH] = revision.into();
    pod["spec"]["hostname"] = name.into();
    pod["spec"]["subdomain"] = set.spec.service_name.clone().unwrap_or_default().into();
    mount_claims(set, ordinal, &mut pod);
    pod
}

/// The template of a revision; the present one unless an earlier one is known by that name.
fn template(set: &Set<'_>, revision: &str) -> PodTemplateSpec {
    let earlier = set.history.all.iter().find(|r| calls::name(&r.metadata) == revision);
    let kept = earlier.and_then(|r| serde_json::from_value(revisions::template(r)?).ok());
    kept.unwrap_or_else(|| set.spec.template.clone())
}

/// Claims stand before the template's volumes and replace those of the same name.
fn mount_claims(set: &Set<'_>, ordinal: i32, pod: &mut Value) {
    let templates = set.spec.volume_claim_templates.iter().flatten();
    let mut volumes: Vec<Value> = templates
        .map(|template| {
            let claim = super::claims::name(set, template, ordinal);
            json!({
                "name": template.metadata.name,
                "persistentVolumeClaim": { "claimName": claim },
            })
        })
        .collect();
    if volumes.is_empty() {
        return;
    }
    let own = pod["spec"]["volumes"].as_array().cloned().unwrap_or_default();
    let replaced: Vec<Value> = volumes.iter().map(|v| v["name"].clone()).collect();
    volumes.extend(own.into_iter().filter(|v| !replaced.contains(&v["name"])));
    pod["spec"]["volumes"] = volumes.into();
}
