//! Claims that pods use and volumes that are bound are not deleted before their time
//! (pkg/controller/volume/pvcprotection, pvprotection).

use super::bind;
use crate::plan::{Plan, Row, Wake};
use crate::{calls, pods, wakes};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use meta::Time;
use store::{Change, Key, View};
use typed::{Kind, Read};

pub(crate) static CLAIMS: Row = Row {
    name: "pvc-protection-controller",
    wakes: &[
        Wake { resource: ("", "persistentvolumeclaims"), keys: wakes::itself },
        Wake { resource: ("", "pods"), keys: wake_of_pod },
    ],
    plan: plan_claim,
    refused: None,
    made: None,
};

pub(crate) static VOLUMES: Row = Row {
    name: "pv-protection-controller",
    wakes: &[Wake { resource: ("", "persistentvolumes"), keys: wakes::itself }],
    plan: plan_volume,
    refused: None,
    made: None,
};

const OF_CLAIMS: &str = "kubernetes.io/pvc-protection";
const OF_VOLUMES: &str = "kubernetes.io/pv-protection";

/// A pod that ends frees its claims.
fn wake_of_pod(view: &View, change: &Change) -> Vec<Key> {
    let pod = typed::parse::<Pod>(&change.after);
    if !change.deletion && !has_ended(&pod) {
        return Vec::new();
    }
    let namespace = &change.after.key.namespace;
    let keys = bind::claims_of(&pod);
    let keys = keys.iter().map(|name| PersistentVolumeClaim::key(namespace, name));
    keys.filter(|key| view.get(key).is_some_and(|claim| claim.head.deleted.is_some())).collect()
}

fn has_ended(pod: &Pod) -> bool {
    matches!(pods::phase(pod), "Succeeded" | "Failed")
}

fn plan_claim(view: &View, key: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(claim) = view.read::<PersistentVolumeClaim>(&key.namespace, &key.name) else {
        return plan;
    };
    let guarded = calls::finalizers(&claim.metadata).iter().any(|f| f == OF_CLAIMS);
    match (calls::is_deleting(&claim.metadata), guarded) {
        (false, false) => {
            plan.call(calls::with_finalizer::<PersistentVolumeClaim>(&claim.metadata, OF_CLAIMS));
        }
        (true, true) if !is_used(view, key) => {
            plan.call(calls::without_finalizer::<PersistentVolumeClaim>(
                &claim.metadata,
                OF_CLAIMS,
            ));
        }
        _ => {}
    }
    plan
}

/// A pod that was never scheduled uses nothing.
fn is_used(view: &View, claim: &Key) -> bool {
    view.read_all::<Pod>(Some(&claim.namespace)).any(|pod| {
        !has_ended(&pod)
            && !pods::node(&pod).is_empty()
            && bind::claims_of(&pod).iter().any(|name| **name == *claim.name)
    })
}

fn plan_volume(view: &View, key: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(volume) = view.read::<PersistentVolume>("", &key.name) else { return plan };
    let guarded = calls::finalizers(&volume.metadata).iter().any(|f| f == OF_VOLUMES);
    let bound = volume.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Bound");
    match (calls::is_deleting(&volume.metadata), guarded) {
        (false, false) => {
            plan.call(calls::with_finalizer::<PersistentVolume>(&volume.metadata, OF_VOLUMES));
        }
        (true, true) if !bound => {
            plan.call(calls::without_finalizer::<PersistentVolume>(&volume.metadata, OF_VOLUMES));
        }
        _ => {}
    }
    plan
}
