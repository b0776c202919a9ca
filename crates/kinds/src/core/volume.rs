//! PersistentVolumes and their claims.

use super::pod_defaults::{set, set_text};
use crate::row::KindRow;
use crate::rows::{STATUS, version};
use crate::table::{AGE, NAME, age, at, col, list, name, plain, text, text_or, wide};
use meta::{Time, Value};

pub static PERSISTENT_VOLUME: KindRow = KindRow::cluster(
    "",
    "PersistentVolume",
    "persistentvolumes",
    "persistentvolume",
    &[version("v1", "io.k8s.api.core.v1.PersistentVolume")],
)
.short(&["pv"])
.returns_deleted()
.subresources(&[STATUS])
.table(
    &[
        NAME,
        col("Capacity", "string", ""),
        col("Access Modes", "string", ""),
        col("Reclaim Policy", "string", ""),
        col("Status", "string", ""),
        col("Claim", "string", ""),
        col("StorageClass", "string", ""),
        col("VolumeAttributesClass", "string", ""),
        col("Reason", "string", ""),
        AGE,
        wide("VolumeMode", "string", ""),
    ],
    volume_cells,
)
.defaults(default_volume)
.check(crate::check::storage::volume)
.sample(concat!(
    "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: sample}\n",
    "spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /tmp}}\n"
));

pub static PERSISTENT_VOLUME_CLAIM: KindRow = KindRow::namespaced(
    "",
    "PersistentVolumeClaim",
    "persistentvolumeclaims",
    "persistentvolumeclaim",
    &[version("v1", "io.k8s.api.core.v1.PersistentVolumeClaim")],
)
.short(&["pvc"])
.returns_deleted()
.subresources(&[STATUS])
.table(
    &[
        NAME,
        col("Status", "string", ""),
        col("Volume", "string", ""),
        col("Capacity", "string", ""),
        col("Access Modes", "string", ""),
        col("StorageClass", "string", ""),
        col("VolumeAttributesClass", "string", ""),
        AGE,
        wide("VolumeMode", "string", ""),
    ],
    claim_cells,
)
.defaults(default_claim)
.check(crate::check::storage::claim)
.sample(concat!(
    "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: sample}\n",
    "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n"
));

/// SetDefaults_PersistentVolume.
fn default_volume(v: &mut Value) {
    set(v, "status", serde_json::json!({}));
    set_text(&mut v["status"], "phase", "Pending");
    if let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) {
        set_text(spec, "persistentVolumeReclaimPolicy", "Retain");
        set_text(spec, "volumeMode", "Filesystem");
        if let Some(path) = spec.get_mut("hostPath") {
            set(path, "type", "");
        }
        if let Some(iscsi) = spec.get_mut("iscsi") {
            set_text(iscsi, "iscsiInterface", "default");
        }
    }
}

/// SetDefaults_PersistentVolumeClaim.
pub(crate) fn default_claim(v: &mut Value) {
    set(v, "status", serde_json::json!({}));
    set_text(&mut v["status"], "phase", "Pending");
    if let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) {
        claim_spec(spec);
    }
}

pub(crate) fn claim_spec(spec: &mut Value) {
    set_text(spec, "volumeMode", "Filesystem");
}

/// `RWO,ROX` in upstream's order, without repeats (GetAccessModesAsString).
fn modes(v: &Value, path: &str) -> String {
    let given: Vec<_> = list(v, path).iter().map(plain).collect();
    let known = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let shown = known.iter().filter(|(mode, _)| given.iter().any(|g| g == mode)).map(|(_, s)| *s);
    shown.collect::<Vec<_>>().join(",")
}

fn class(v: &Value) -> String {
    let beta = v.pointer("/metadata/annotations/volume.beta.kubernetes.io~1storage-class");
    beta.map_or_else(|| text(v, "spec.storageClassName"), plain)
}

fn phase(v: &Value) -> String {
    match at(v, "metadata.deletionTimestamp") {
        Some(_) => "Terminating".into(),
        None => text(v, "status.phase"),
    }
}

fn volume_cells(v: &Value, now: Time) -> Vec<Value> {
    let claim = match at(v, "spec.claimRef") {
        Some(claim) => format!("{}/{}", text(claim, "namespace"), text(claim, "name")),
        None => String::new(),
    };
    vec![
        name(v),
        text(v, "spec.capacity.storage").into(),
        modes(v, "spec.accessModes").into(),
        text(v, "spec.persistentVolumeReclaimPolicy").into(),
        phase(v).into(),
        claim.into(),
        class(v).into(),
        text_or(v, "spec.volumeAttributesClassName", "<unset>").into(),
        text(v, "status.reason").into(),
        age(v, now),
        text_or(v, "spec.volumeMode", "<unset>").into(),
    ]
}

fn claim_cells(v: &Value, now: Time) -> Vec<Value> {
    let volume = text(v, "spec.volumeName");
    let (capacity, access) = match volume.is_empty() {
        true => Default::default(),
        false => (text(v, "status.capacity.storage"), modes(v, "status.accessModes")),
    };
    vec![
        name(v),
        phase(v).into(),
        volume.into(),
        capacity.into(),
        access.into(),
        class(v).into(),
        text_or(v, "spec.volumeAttributesClassName", "<unset>").into(),
        age(v, now),
        text_or(v, "spec.volumeMode", "<unset>").into(),
    ]
}
