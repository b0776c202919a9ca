//! Claims that live as long as a pod (pkg/controller/volume/ephemeral/controller.go).

use crate::plan::{Plan, Row, Wake, Warning};
use crate::{calls, pods};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use meta::Time;
use serde_json::json;
use store::{Change, Key, View};
use typed::{Kind, Read, controller_of};

pub(crate) static ROW: Row = Row {
    name: "ephemeral-volume-controller",
    wakes: &[
        Wake { resource: ("", "pods"), keys: wake_of_pod },
        Wake { resource: ("", "persistentvolumeclaims"), keys: wake_of_claim },
    ],
    plan,
    refused: None,
    made: None,
};

fn wake_of_pod(_: &View, change: &Change) -> Vec<Key> {
    let pod = typed::parse::<Pod>(&change.after);
    let volumes = pod.spec.as_ref().and_then(|s| s.volumes.as_ref()).into_iter().flatten();
    let new = change.before.is_none() && !change.deletion;
    let any = new && volumes.into_iter().any(|v| v.ephemeral.is_some());
    if any { vec![change.after.key.clone()] } else { Vec::new() }
}

/// A claim that was deleted under its pod is made again.
fn wake_of_claim(_: &View, change: &Change) -> Vec<Key> {
    let owner = change.after.head.owners.iter().find(|o| o.controller && &*o.kind == "Pod");
    let owner = owner.filter(|_| change.deletion);
    owner.map(|o| Pod::key(&change.after.key.namespace, &o.name)).into_iter().collect()
}

pub(super) fn claim_name(pod: &Pod, volume: &str) -> String {
    format!("{}-{volume}", calls::name(&pod.metadata))
}

fn plan(view: &View, key: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(pod) = view.read::<Pod>(&key.namespace, &key.name) else { return plan };
    if calls::is_deleting(&pod.metadata) {
        return plan;
    }
    for volume in pod.spec.iter().flat_map(|s| s.volumes.iter().flatten()) {
        let template = volume.ephemeral.as_ref().and_then(|e| e.volume_claim_template.as_ref());
        let Some(template) = template else { continue };
        let name = claim_name(&pod, &volume.name);
        if let Some(claim) = view.read::<PersistentVolumeClaim>(&key.namespace, &name) {
            if controller_of(&claim.metadata).is_none_or(|o| o.uid != calls::uid(&pod.metadata)) {
                let message = format!(
                    "ephemeral volume {name:?} cannot be created: a claim of this name exists and \
                     does not belong to the pod"
                );
                let about = pods::reference::<Pod>(&pod.metadata);
                plan.note(about, Warning::Warning, "EphemeralVolumeCreateFailed", message);
            }
            continue;
        }
        let from = template.metadata.clone().unwrap_or_default();
        let metadata = json!({
            "name": name,
            "labels": from.labels.unwrap_or_default(),
            "annotations": from.annotations.unwrap_or_default(),
            "ownerReferences": [pods::owner_reference::<Pod>(&pod.metadata)],
        });
        let body = json!({ "metadata": metadata, "spec": template.spec });
        plan.call(calls::create::<PersistentVolumeClaim>(&key.namespace, body));
    }
    plan
}
