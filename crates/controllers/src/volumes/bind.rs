//! A claim gets its volume, or a provisioner is asked for one (persistentvolume/pv_controller.go).
//!
//! Provisioners are somebody else's: they see the claim's `storage-provisioner` annotation. A class that waits for
//! its first consumer is left to the scheduler until it has named a node.

use super::fit;
use crate::plan::{Note, Plan, Row, Wake, Warning};
use crate::{calls, pods};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use meta::{Time, Value};
use serde_json::json;
use store::{Change, Key, View};
use typed::{Kind, Read};

/// One key for all claims: two bindings never look at the same free volume.
pub(crate) static ROW: Row = Row {
    name: "persistent-volume-binder",
    wakes: &[
        Wake { resource: ("", "persistentvolumeclaims"), keys: wake },
        Wake { resource: ("", "persistentvolumes"), keys: wake },
        Wake { resource: ("storage.k8s.io", "storageclasses"), keys: wake },
    ],
    plan,
    refused: None,
    made: None,
};

const COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
const BETA_PROVISIONER: &str = "volume.beta.kubernetes.io/storage-provisioner";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
pub(crate) const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

fn wake(_: &View, _: &Change) -> Vec<Key> {
    vec![PersistentVolumeClaim::key("", "")]
}

fn plan(view: &View, _: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let mut taken = Vec::new();
    for claim in view.read_all::<PersistentVolumeClaim>(None) {
        let Some(spec) = claim.spec.as_ref().filter(|_| !calls::is_deleting(&claim.metadata))
        else {
            continue;
        };
        match spec.volume_name.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => follow(view, &claim, name, &mut plan),
            None => find(view, &claim, &mut taken, &mut plan),
        }
    }
    plan
}

/// A claim that names its volume.
fn follow(view: &View, claim: &PersistentVolumeClaim, name: &str, plan: &mut Plan) {
    let completed = calls::annotation(&claim.metadata, COMPLETED).is_some();
    match view.read::<PersistentVolume>("", name) {
        None if completed => lose(claim, GONE, plan),
        None => set_phase(claim, "Pending", plan),
        Some(volume) if fit::is_for(&volume, claim) => complete(claim, &volume, plan),
        Some(volume) if volume.spec.as_ref().is_some_and(|s| s.claim_ref.is_none()) => {
            claim_volume(claim, &volume, plan);
        }
        Some(_) if completed => lose(claim, TAKEN, plan),
        // Somebody else has it; it may become free again.
        Some(_) => set_phase(claim, "Pending", plan),
    }
}

const GONE: &str = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
const TAKEN: &str =
    "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!";

fn lose(claim: &PersistentVolumeClaim, message: &str, plan: &mut Plan) {
    if phase(claim) != "Lost" {
        plan.notes.push(note(claim, Warning::Warning, "ClaimLost", message.into()));
    }
    set_phase(claim, "Lost", plan);
}

fn find(view: &View, claim: &PersistentVolumeClaim, taken: &mut Vec<String>, plan: &mut Plan) {
    if default_class(view, claim, plan) {
        return;
    }
    let class = fit::class_of(claim).and_then(|name| view.read::<StorageClass>("", name));
    let waits = class.as_ref().and_then(|c| c.volume_binding_mode.as_deref())
        == Some("WaitForFirstConsumer");
    let selected = calls::annotation(&claim.metadata, SELECTED_NODE).is_some();
    let meant = |v: &PersistentVolume| fit::is_for(v, claim);
    let best = fit::best(view, claim, taken);
    // A volume that is reserved for the claim need not wait: the scheduler, or the user, has decided.
    let best = best.filter(|volume| !waits || meant(volume));
    if let Some(volume) = best {
        taken.push(calls::name(&volume.metadata).into());
        claim_volume(claim, &volume, plan);
        return name_volume(claim, &volume, plan);
    }
    set_phase(claim, "Pending", plan);
    match class {
        Some(_) if waits && !selected => wait(view, claim, plan),
        Some(class) => ask(claim, &class, plan),
        None if fit::class_of(claim).is_some_and(|name| !name.is_empty()) => {
            let name = fit::class_of(claim).unwrap_or_default();
            let message = format!("storageclass.storage.k8s.io {name:?} not found");
            tell_once(view, claim, Warning::Warning, "ProvisioningFailed", message, plan);
        }
        None => {
            let message =
                "no persistent volumes available for this claim and no storage class is set";
            tell_once(view, claim, Warning::Normal, "FailedBinding", message.into(), plan);
        }
    }
}

/// A claim that leaves its class open gets the default one (`assignDefaultStorageClass`).
fn default_class(view: &View, claim: &PersistentVolumeClaim, plan: &mut Plan) -> bool {
    if fit::class_of(claim).is_some() {
        return false;
    }
    let mut defaults: Vec<_> = view
        .read_all::<StorageClass>(None)
        .filter(|c| calls::annotation(&c.metadata, DEFAULT_CLASS) == Some("true"))
        .collect();
    // The youngest, then by name.
    defaults.sort_by_key(|c| {
        let created = c.metadata.creation_timestamp.as_ref().map(typed::time);
        (std::cmp::Reverse(created), c.metadata.name.clone())
    });
    let Some(class) = defaults.first() else { return false };
    let body = json!({ "spec": { "storageClassName": class.metadata.name } });
    plan.call(calls::merge::<PersistentVolumeClaim>(&claim.metadata, body));
    true
}

/// First half of binding: the volume refers to the claim.
fn claim_volume(claim: &PersistentVolumeClaim, volume: &PersistentVolume, plan: &mut Plan) {
    let reference = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": claim.metadata.namespace,
        "name": claim.metadata.name,
        "uid": claim.metadata.uid,
    });
    let meant = fit::is_for(volume, claim);
    let has_uid = volume.spec.as_ref().and_then(|s| s.claim_ref.as_ref()?.uid.as_ref()).is_some();
    if meant && has_uid {
        return;
    }
    let mut body = json!({ "spec": { "claimRef": reference } });
    if !meant {
        body["metadata"] = json!({ "annotations": { BY_CONTROLLER: "yes" } });
    }
    plan.call(calls::merge_in_state::<PersistentVolume>(&volume.metadata, body));
}

/// Second half: the claim names the volume.
fn name_volume(claim: &PersistentVolumeClaim, volume: &PersistentVolume, plan: &mut Plan) {
    let body = json!({
        "metadata": { "annotations": { COMPLETED: "yes", BY_CONTROLLER: "yes" } },
        "spec": { "volumeName": volume.metadata.name },
    });
    plan.call(calls::merge_in_state::<PersistentVolumeClaim>(&claim.metadata, body));
}

/// Both refer to each other: what is left is to say so.
fn complete(claim: &PersistentVolumeClaim, volume: &PersistentVolume, plan: &mut Plan) {
    claim_volume(claim, volume, plan);
    let offered = volume.spec.as_ref();
    let old = calls::value(&claim.status);
    let mut new = old.clone();
    new["phase"] = "Bound".into();
    new["accessModes"] = json!(offered.and_then(|s| s.access_modes.clone()));
    // A claim that was expanded knows better.
    if old["capacity"].is_null() || phase(claim) != "Bound" {
        new["capacity"] = json!(offered.and_then(|s| s.capacity.clone()));
    }
    // First, as it is pinned to this version.
    plan.calls.extend(calls::status::<PersistentVolumeClaim>(&claim.metadata, &old, &new));
    if calls::annotation(&claim.metadata, COMPLETED).is_none() {
        let body = json!({ "metadata": { "annotations": { COMPLETED: "yes" } } });
        plan.call(calls::merge::<PersistentVolumeClaim>(&claim.metadata, body));
    }
}

fn phase(claim: &PersistentVolumeClaim) -> &str {
    claim.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default()
}

fn set_phase(claim: &PersistentVolumeClaim, to: &str, plan: &mut Plan) {
    if phase(claim) != to {
        let body = json!({ "status": { "phase": to } });
        plan.call(calls::merge::<PersistentVolumeClaim>(&claim.metadata, body).on("status"));
    }
}

fn wait(view: &View, claim: &PersistentVolumeClaim, plan: &mut Plan) {
    let message = "waiting for first consumer to be created before binding";
    tell_once(view, claim, Warning::Normal, "WaitForFirstConsumer", message.into(), plan);
}

/// Asks the class's provisioner for a volume.
fn ask(claim: &PersistentVolumeClaim, class: &StorageClass, plan: &mut Plan) {
    let provisioner = class.provisioner.as_str();
    if provisioner == "kubernetes.io/no-provisioner"
        || calls::annotation(&claim.metadata, PROVISIONER) == Some(provisioner)
    {
        return;
    }
    let body = json!({
        "metadata": { "annotations": { PROVISIONER: provisioner, BETA_PROVISIONER: provisioner } },
    });
    plan.call(calls::merge::<PersistentVolumeClaim>(&claim.metadata, body));
    let message = format!(
        "Waiting for a volume to be created either by the external provisioner '{provisioner}' or \
         manually by the system administrator. If volume creation is delayed, please verify that the \
         provisioner is running and correctly registered."
    );
    plan.notes.push(note(claim, Warning::Normal, "ExternalProvisioning", message));
}

fn note(
    claim: &PersistentVolumeClaim,
    warning: Warning,
    reason: &'static str,
    message: String,
) -> Note {
    let about = pods::reference::<PersistentVolumeClaim>(&claim.metadata);
    Note { about, warning, reason, message }
}

/// Tells unless an event of the reason is there already: this key is planned for every claim's sake.
fn tell_once(
    view: &View,
    claim: &PersistentVolumeClaim,
    warning: Warning,
    reason: &'static str,
    message: String,
    plan: &mut Plan,
) {
    let events = meta::Resource::new("", "events");
    let mut told = view.by_field(&events, "involvedObject.uid", calls::uid(&claim.metadata));
    if !told.any(|event| event.field("reason") == Some(reason)) {
        plan.notes.push(note(claim, warning, reason, message));
    }
}

/// The claim a pod's volume names, for the controllers of protection.
pub(super) fn claims_of(pod: &Pod) -> Vec<String> {
    let volumes = pod.spec.as_ref().and_then(|s| s.volumes.as_ref()).into_iter().flatten();
    let named = volumes.filter_map(|volume| {
        let claim = volume.persistent_volume_claim.as_ref().map(|c| c.claim_name.clone());
        let ephemeral = volume.ephemeral.as_ref();
        claim.or_else(|| ephemeral.map(|_| super::ephemeral::claim_name(pod, &volume.name)))
    });
    named.collect()
}

/// What a volume's `claimRef` says, as JSON.
pub(super) fn reference(volume: &PersistentVolume) -> Option<Value> {
    volume.spec.as_ref()?.claim_ref.as_ref().map(calls::value)
}
