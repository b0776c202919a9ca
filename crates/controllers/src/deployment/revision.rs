//! Templates, their sets, and the numbers that `kubectl rollout history` shows
//! (pkg/controller/deployment/sync.go, util/deployment_util.go).

use super::{DESIRED, MOST, REVISION, Rollout, annotation, patch_set, rolling, size};
use crate::plan::Plan;
use crate::pods;
use api::{Call, DeleteOptions, Patch, PatchKind, Verb};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use meta::{Map, Value};
use serde_json::json;
use std::sync::Arc;
use typed::Kind;

const HASH: &str = "pod-template-hash";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// Annotations of the deployment that its sets do not inherit.
const NOT_INHERITED: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MOST,
    "deprecated.deployment.rollback.to",
];

/// The set with the deployment's template (the oldest, should there be several) and the others.
pub(super) fn split(
    sets: &[Arc<ReplicaSet>],
    spec: &DeploymentSpec,
) -> (Option<Arc<ReplicaSet>>, Vec<Arc<ReplicaSet>>) {
    let wanted = without_hash(Some(&spec.template));
    let is_new = |set: &ReplicaSet| {
        without_hash(set.spec.as_ref().and_then(|s| s.template.as_ref())) == wanted
    };
    let new = sets.iter().position(|set| is_new(set));
    let old =
        sets.iter().enumerate().filter(|(at, _)| Some(*at) != new).map(|(_, set)| set.clone());
    (new.map(|at| sets[at].clone()), old.collect())
}

fn without_hash(template: Option<&PodTemplateSpec>) -> Value {
    let mut value = serde_json::to_value(template).unwrap_or_default();
    if let Some(labels) = value["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH);
    }
    value
}

/// Creates the set of the present template.
pub(super) fn create_new(rollout: &Rollout<'_>, plan: &mut Plan) {
    let deployment = &rollout.deployment.metadata;
    let name = deployment.name.as_deref().unwrap_or_default();
    let namespace = deployment.namespace.as_deref().unwrap_or_default();
    let collisions = free_collision_count(rollout);
    let hash = hash(&rollout.spec.template, collisions);
    let full = format!("{name}-{hash}");
    let mut template = serde_json::to_value(&rollout.spec.template).unwrap_or_default();
    template["metadata"]["labels"][HASH] = hash.clone().into();
    let mut selector = serde_json::to_value(&rollout.spec.selector).unwrap_or_default();
    selector["matchLabels"][HASH] = hash.into();
    let to = rolling::new_size(rollout);
    let body = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": full,
            "namespace": namespace,
            "labels": template["metadata"]["labels"],
            "annotations": annotations(rollout, None),
            "ownerReferences": [pods::owner_reference::<Deployment>(deployment)],
        },
        "spec": {
            "replicas": to,
            "minReadySeconds": rollout.spec.min_ready_seconds.unwrap_or(0),
            "selector": selector,
            "template": template,
        },
    });
    plan.call(Call::new(Verb::Create(body), ReplicaSet::gvr(), namespace, ""));
    if to > 0 {
        plan.notes.push(rollout.note(format!("Scaled up replica set {full} from 0 to {to}")));
    }
}

/// The first collision count whose name is free. A name is taken when a set of another template has it.
fn free_collision_count(rollout: &Rollout<'_>) -> i32 {
    let start = rollout.deployment.status.as_ref().and_then(|s| s.collision_count).unwrap_or(0);
    let name = rollout.deployment.metadata.name.as_deref().unwrap_or_default();
    let namespace = rollout.deployment.metadata.namespace.as_deref().unwrap_or_default();
    let taken = |count: &i32| {
        let full = format!("{name}-{}", hash(&rollout.spec.template, *count));
        rollout.view.get(&ReplicaSet::key(namespace, &full)).is_some()
    };
    (start..i32::MAX).find(|count| !taken(count)).unwrap_or(start)
}

/// FNV-1a over the canonical template, in the letters of generated names (`rand.SafeEncodeString`).
fn hash(template: &PodTemplateSpec, collisions: i32) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut bytes =
        serde_json::to_vec(&serde_json::to_value(template).unwrap_or_default()).unwrap_or_default();
    if collisions > 0 {
        bytes.extend_from_slice(&collisions.to_le_bytes());
    }
    let sum = bytes
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    let digits = sum.to_string();
    digits.bytes().map(|b| char::from(LETTERS[usize::from(b) % LETTERS.len()])).collect()
}

/// Gives the new set its revision and the deployment's annotations, and the deployment the revision.
pub(super) fn sync(rollout: &Rollout<'_>, plan: &mut Plan) {
    let Some(new) = &rollout.new else { return };
    let wanted = annotations(rollout, Some(new));
    let min_ready = rollout.spec.min_ready_seconds.unwrap_or(0);
    let has = |(key, value): (&String, &Value)| {
        annotation(new, key).map(String::as_str) == value.as_str()
    };
    let told = new.spec.as_ref().and_then(|s| s.min_ready_seconds).unwrap_or(0) == min_ready;
    if !(told && wanted.iter().all(has)) {
        plan.call(patch_set(
            new,
            json!({
                "metadata": { "annotations": wanted, "uid": new.metadata.uid },
                "spec": { "minReadySeconds": min_ready },
            }),
        ));
    }
    let revision = wanted.get(REVISION).and_then(Value::as_str).unwrap_or_default();
    let metadata = &rollout.deployment.metadata;
    let current = metadata.annotations.as_ref().and_then(|a| a.get(REVISION));
    if current.map(String::as_str) != Some(revision) {
        let body =
            json!({ "metadata": { "uid": metadata.uid, "annotations": { REVISION: revision } } });
        let patch = Patch { kind: PatchKind::Merge, body };
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let name = metadata.name.as_deref().unwrap_or_default();
        plan.call(Call::new(Verb::Patch(patch), Deployment::gvr(), namespace, name));
    }
}

/// What the new set's annotations have to contain (`SetNewReplicaSetAnnotations`).
fn annotations(rollout: &Rollout<'_>, new: Option<&ReplicaSet>) -> Map {
    let mut out = Map::new();
    let inherited = rollout.deployment.metadata.annotations.iter().flatten();
    for (key, value) in inherited.filter(|(key, _)| !NOT_INHERITED.contains(&key.as_str())) {
        out.insert(key.clone(), value.clone().into());
    }
    let next = rollout.old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1;
    let has = new.map_or(0, revision);
    out.insert(REVISION.into(), next.max(has).to_string().into());
    if let Some(new) = new.filter(|_| has > 0 && has < next) {
        let earlier = annotation(new, HISTORY).map(|h| format!("{h},")).unwrap_or_default();
        out.insert(HISTORY.into(), format!("{earlier}{has}").into());
    }
    if new.is_none() {
        let (surge, _) = rollout.fences();
        out.insert(DESIRED.into(), rollout.replicas().to_string().into());
        out.insert(MOST.into(), (rollout.replicas() + surge).to_string().into());
    }
    out
}

fn revision(set: &ReplicaSet) -> i64 {
    annotation(set, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Deletes the oldest empty sets beyond the history limit, once the rollout is complete (`cleanupDeployment`).
pub(super) fn clean_up(rollout: &Rollout<'_>, plan: &mut Plan) {
    let Some(limit) = rollout.spec.revision_history_limit.filter(|_| is_complete(rollout)) else {
        return;
    };
    let mut alive: Vec<_> =
        rollout.old.iter().filter(|set| set.metadata.deletion_timestamp.is_none()).collect();
    alive.sort_by_key(|set| revision(set));
    let surplus = alive.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    for set in alive.into_iter().take(surplus).filter(|set| is_empty(set)) {
        let options = DeleteOptions { uid: set.metadata.uid.clone(), ..DeleteOptions::default() };
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        let name = set.metadata.name.as_deref().unwrap_or_default();
        plan.call(Call::new(Verb::Delete(options), ReplicaSet::gvr(), namespace, name));
    }
}

fn is_complete(rollout: &Rollout<'_>) -> bool {
    let wanted = Some(rollout.replicas());
    rollout.deployment.status.as_ref().is_some_and(|status| {
        let zero = |n: Option<i32>| Some(n.unwrap_or(0));
        zero(status.updated_replicas) == wanted
            && zero(status.replicas) == wanted
            && zero(status.available_replicas) == wanted
            && status.observed_generation >= rollout.deployment.metadata.generation
    })
}

fn is_empty(set: &ReplicaSet) -> bool {
    let status = set.status.as_ref();
    size(set) == 0
        && status.is_none_or(|s| s.replicas == 0)
        && status.and_then(|s| s.observed_generation) >= set.metadata.generation
}
