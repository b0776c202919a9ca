//! The built-in provisioner: claims of the class `local-path` get a directory of this node
//! (after the protocol of sig-storage-lib-external-provisioner).

use crate::ops::Hands;
use api::{Call, DeleteOptions, Verb};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use meta::{Problem, Reason, Value};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use store::View;
use typed::{Kind, Read};

const PROVISIONER: &str = "boxship.io/local-path";
const CLASS: &str = "local-path";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// Kinds whose changes matter.
const INPUTS: [&str; 3] = ["persistentvolumeclaims", "persistentvolumes", "pods"];

/// Follows the store until the task is dropped.
pub(crate) async fn run(hands: Hands) {
    if let Err(problem) = ensure_class(&hands).await {
        tracing::error!(%problem, "no default storage class");
    }
    let store = hands.client.store().clone();
    let mut subscription = store.subscribe();
    let mut seen = pass(&hands).await;
    loop {
        subscription.past(seen).await;
        let view = store.view();
        seen = match view.changes(seen) {
            Ok(changes)
                if !changes.iter().any(|c| INPUTS.contains(&c.after.key.resource.as_str())) =>
            {
                changes.up_to().max(seen)
            }
            _ => pass(&hands).await,
        };
    }
}

async fn ensure_class(hands: &Hands) -> Result<(), Problem> {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    });
    create::<StorageClass>(hands, class).await
}

async fn create<K: Kind>(hands: &Hands, object: Value) -> Result<(), Problem> {
    match hands.client.call(&Call::new(Verb::Create(object), K::gvr(), "", "")).await {
        Err(problem) if problem.reason != Reason::AlreadyExists => Err(problem),
        _ => Ok(()),
    }
}

async fn pass(hands: &Hands) -> u64 {
    let view = hands.client.view();
    for claim in view.read_all::<PersistentVolumeClaim>(None) {
        if let Some(class) = wanted(&view, &claim, &hands.config.name)
            && let Err(why) = provision(hands, &claim, &class).await
        {
            let name = claim.metadata.name.as_deref().unwrap_or_default();
            tracing::warn!(claim = name, %why, "no volume for a claim");
        }
    }
    for volume in view.read_all::<PersistentVolume>(None) {
        if reclaimable(&volume)
            && let Err(why) = reclaim(hands, &volume).await
        {
            let name = volume.metadata.name.as_deref().unwrap_or_default();
            tracing::warn!(volume = name, %why, "a released volume stays");
        }
    }
    view.revision()
}

fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The class of a claim that waits for a volume from here: the scheduler chose this node, or a pod that uses the
/// claim is bound to it.
fn wanted(view: &View, claim: &PersistentVolumeClaim, node: &str) -> Option<StorageClass> {
    let spec = claim.spec.as_ref()?;
    let bound = spec.volume_name.as_deref().is_some_and(|name| !name.is_empty());
    if bound || claim.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let class = view.read::<StorageClass>("", spec.storage_class_name.as_deref()?)?;
    if class.provisioner != PROVISIONER {
        return None;
    }
    let here = match annotation(&claim.metadata, SELECTED_NODE) {
        Some(selected) => selected == node,
        None if class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer") => {
            used_here(view, claim, node)
        }
        None => true,
    };
    here.then(|| (*class).clone())
}

fn used_here(view: &View, claim: &PersistentVolumeClaim, node: &str) -> bool {
    let names = |pod: &Pod| {
        let volumes = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten());
        let mut claims = volumes.filter_map(|v| v.persistent_volume_claim.as_ref());
        pod.metadata.namespace == claim.metadata.namespace
            && claims.any(|c| Some(&c.claim_name) == claim.metadata.name.as_ref())
    };
    view.read_by_field::<Pod>("spec.nodeName", node).any(|pod| names(&pod))
}

fn dir_of(hands: &Hands, volume: &str) -> PathBuf {
    hands.config.data_dir.join("volumes").join(volume)
}

async fn provision(
    hands: &Hands,
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
) -> Result<(), Problem> {
    let spec = claim.spec.clone().unwrap_or_default();
    if spec.volume_mode.as_deref() == Some("Block") {
        return Err(Problem::bad_request("local-path volumes are file systems, not block devices"));
    }
    let name = format!("pvc-{}", claim.metadata.uid.as_deref().unwrap_or_default());
    let dir = dir_of(hands, &name);
    let made = std::fs::create_dir_all(&dir)
        .and_then(|()| std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o777)));
    made.map_err(|e| Problem::internal(format!("make `{}`: {e}", dir.display())))?;
    let requests = spec.resources.as_ref().and_then(|r| r.requests.clone()).unwrap_or_default();
    let hostname = json!({
        "key": "kubernetes.io/hostname",
        "operator": "In",
        "values": [hands.config.name],
    });
    let volume = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": { "name": name, "annotations": { PROVISIONED_BY: PROVISIONER } },
        "spec": {
            "accessModes": spec.access_modes,
            "capacity": { "storage": requests.get("storage") },
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": claim.metadata.namespace,
                "name": claim.metadata.name,
                "uid": claim.metadata.uid,
                "resourceVersion": claim.metadata.resource_version,
            },
            "hostPath": { "path": dir, "type": "DirectoryOrCreate" },
            "nodeAffinity": {
                "required": { "nodeSelectorTerms": [{ "matchExpressions": [hostname] }] },
            },
            "persistentVolumeReclaimPolicy": class.reclaim_policy,
            "storageClassName": class.metadata.name,
            "volumeMode": "Filesystem",
        },
    });
    create::<PersistentVolume>(hands, volume).await
}

/// Ours, released, and to be deleted.
fn reclaimable(volume: &PersistentVolume) -> bool {
    let policy = volume.spec.as_ref().and_then(|s| s.persistent_volume_reclaim_policy.as_deref());
    let phase = volume.status.as_ref().and_then(|s| s.phase.as_deref());
    annotation(&volume.metadata, PROVISIONED_BY) == Some(PROVISIONER)
        && policy == Some("Delete")
        && phase == Some("Released")
        && volume.metadata.deletion_timestamp.is_none()
}

/// The data goes first: a volume object that is gone has left nothing behind.
async fn reclaim(hands: &Hands, volume: &PersistentVolume) -> Result<(), Problem> {
    let name = volume.metadata.name.clone().unwrap_or_default();
    let dir = dir_of(hands, &name);
    let removed = {
        let dir = dir.clone();
        tokio::task::spawn_blocking(move || std::fs::remove_dir_all(dir)).await
    };
    match removed.map_err(Problem::internal)? {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(Problem::internal(format!("remove `{}`: {e}", dir.display())));
        }
        _ => {}
    }
    let options = DeleteOptions { uid: volume.metadata.uid.clone(), ..DeleteOptions::default() };
    let call = Call::new(Verb::Delete(options), PersistentVolume::gvr(), "", &name);
    match hands.client.call(&call).await {
        Err(problem) if problem.reason != Reason::NotFound => Err(problem),
        _ => Ok(()),
    }
}
