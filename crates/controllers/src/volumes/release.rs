//! Volumes whose claim has gone are released, and deleted or kept as their policy says
//! (pv_controller.go `syncVolume`, `reclaimVolume`).
//!
//! Deleting is the provisioner's: it sees the phase. Volumes without a provisioner (hostPath, local) are removed
//! here only as objects; the bytes stay.

use super::bind;
use crate::plan::{Plan, Row, Wake, Warning};
use crate::{calls, pods, wakes};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use meta::{Time, Value};
use serde_json::json;
use store::{Change, Key, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "persistent-volume-binder",
    wakes: &[
        Wake { resource: ("", "persistentvolumes"), keys: wakes::itself },
        Wake { resource: ("", "persistentvolumeclaims"), keys: wake_of_claim },
    ],
    plan,
    refused: None,
    made: None,
};

const BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// The volume a claim names, before or after.
fn wake_of_claim(_: &View, change: &Change) -> Vec<Key> {
    let versions = change.before.iter().chain([&change.after]);
    let claims = versions.map(|object| typed::parse::<PersistentVolumeClaim>(object));
    let names = claims.filter_map(|claim| claim.spec.as_ref()?.volume_name.clone());
    let mut keys: Vec<_> = names.map(|name| PersistentVolume::key("", &name)).collect();
    keys.dedup();
    keys
}

fn plan(view: &View, key: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(volume) = view.read::<PersistentVolume>("", &key.name) else { return plan };
    if calls::is_deleting(&volume.metadata) {
        return plan;
    }
    let Some(reference) = bind::reference(&volume).filter(|r| r["uid"].is_string()) else {
        // Free, or reserved for a claim that does not exist yet.
        set_phase(&volume, "Available", &mut plan);
        return plan;
    };
    let text = |key: &str| reference[key].as_str().unwrap_or_default();
    let claim = view.read::<PersistentVolumeClaim>(text("namespace"), text("name"));
    match claim.filter(|claim| calls::uid(&claim.metadata) == text("uid")) {
        None => reclaim(&volume, &mut plan),
        Some(claim) => {
            let named = claim.spec.as_ref().and_then(|s| s.volume_name.as_deref()).unwrap_or("");
            if named == &*key.name {
                set_phase(&volume, "Bound", &mut plan);
            } else if !named.is_empty() {
                // The claim has another volume.
                unbind(&volume, &mut plan);
            }
        }
    }
    plan
}

fn phase(volume: &PersistentVolume) -> &str {
    volume.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default()
}

fn set_phase(volume: &PersistentVolume, to: &str, plan: &mut Plan) {
    if phase(volume) != to {
        let body = json!({ "status": { "phase": to } });
        plan.call(calls::merge::<PersistentVolume>(&volume.metadata, body).on("status"));
    }
}

/// Takes back a binding of ours; a user's reservation keeps its names.
fn unbind(volume: &PersistentVolume, plan: &mut Plan) {
    let ours = calls::annotation(&volume.metadata, BY_CONTROLLER).is_some();
    let mut reference = json!({ "uid": null, "resourceVersion": null });
    if ours {
        reference = Value::Null;
    }
    let body = json!({
        "metadata": { "annotations": { BY_CONTROLLER: null } },
        "spec": { "claimRef": reference },
    });
    plan.call(calls::merge_in_state::<PersistentVolume>(&volume.metadata, body));
}

fn reclaim(volume: &PersistentVolume, plan: &mut Plan) {
    set_phase(volume, "Released", plan);
    let policy = volume.spec.as_ref().and_then(|s| s.persistent_volume_reclaim_policy.as_deref());
    let provisioned = calls::annotation(&volume.metadata, PROVISIONED_BY).is_some();
    match policy {
        // The provisioner deletes what it made.
        Some("Delete") if provisioned => {}
        Some("Delete") => plan.call(calls::delete::<PersistentVolume>(&volume.metadata)),
        Some("Recycle") if phase(volume) != "Released" => {
            let about = pods::reference::<PersistentVolume>(&volume.metadata);
            let message = "Recycle is deprecated and not done: delete the volume or bind it anew";
            plan.note(about, Warning::Warning, "VolumeFailedRecycle", message.into());
        }
        _ => {}
    }
}
