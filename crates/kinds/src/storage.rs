//! storage.k8s.io/v1.

use crate::core::pod_defaults::{set, set_text};
use crate::row::KindRow;
use crate::rows::{STATUS, version};
use crate::table::{AGE, NAME, age, at, col, count, flag, list, name, plain, text, text_or};
use meta::Value;
use serde_json::json;

const GROUP: &str = "storage.k8s.io";

macro_rules! v1 {
    ($kind:literal) => {
        &[version("v1", concat!("io.k8s.api.storage.v1.", $kind))]
    };
}

pub static STORAGE_CLASS: KindRow =
    KindRow::cluster(GROUP, "StorageClass", "storageclasses", "storageclass", v1!("StorageClass"))
        .short(&["sc"])
        .returns_deleted()
        .defaults(|v| {
            set_text(v, "reclaimPolicy", "Delete");
            set_text(v, "volumeBindingMode", "Immediate");
        })
        .table(
            &[
                NAME,
                col("Provisioner", "string", ""),
                col("ReclaimPolicy", "string", ""),
                col("VolumeBindingMode", "string", ""),
                col("AllowVolumeExpansion", "string", ""),
                AGE,
            ],
            |v, now| {
                let shown = match is_default(v) {
                    true => format!("{} (default)", text(v, "metadata.name")),
                    false => text(v, "metadata.name"),
                };
                vec![
                    shown.into(),
                    text(v, "provisioner").into(),
                    text_or(v, "reclaimPolicy", "Delete").into(),
                    text_or(v, "volumeBindingMode", "Immediate").into(),
                    flag(v, "allowVolumeExpansion").into(),
                    age(v, now),
                ]
            },
        )
        .check(crate::check::storage::class)
        .sample(
            "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: sample}\nprovisioner: example.com/p\n",
        );

/// Whether claims without a class get this one.
pub(crate) fn is_default(v: &Value) -> bool {
    let notes = v.pointer("/metadata/annotations");
    let keys = [
        "storageclass.kubernetes.io/is-default-class",
        "storageclass.beta.kubernetes.io/is-default-class",
    ];
    keys.iter().any(|key| notes.is_some_and(|n| n[*key] == "true"))
}

pub static CSI_DRIVER: KindRow =
    KindRow::cluster(GROUP, "CSIDriver", "csidrivers", "csidriver", v1!("CSIDriver"))
        .returns_deleted()
        .counted()
        .defaults(default_driver)
        .table(
            &[
                NAME,
                col("AttachRequired", "boolean", ""),
                col("PodInfoOnMount", "boolean", ""),
                col("StorageCapacity", "boolean", ""),
                col("TokenRequests", "string", ""),
                col("RequiresRepublish", "boolean", ""),
                col("Modes", "string", ""),
                AGE,
            ],
            |v, now| {
                let audiences: Vec<_> =
                    list(v, "spec.tokenRequests").iter().map(|t| text(t, "audience")).collect();
                let audiences =
                    if audiences.is_empty() { "<unset>".into() } else { audiences.join(",") };
                let modes: Vec<_> =
                    list(v, "spec.volumeLifecycleModes").iter().map(plain).collect();
                let modes = if modes.is_empty() { "<none>".into() } else { modes.join(",") };
                vec![
                    name(v),
                    at(v, "spec.attachRequired").and_then(Value::as_bool).unwrap_or(true).into(),
                    flag(v, "spec.podInfoOnMount").into(),
                    flag(v, "spec.storageCapacity").into(),
                    audiences.into(),
                    flag(v, "spec.requiresRepublish").into(),
                    modes.into(),
                    age(v, now),
                ]
            },
        )
        .sample(
            "apiVersion: storage.k8s.io/v1\nkind: CSIDriver\nmetadata: {name: sample}\nspec: {}\n",
        );

/// SetDefaults_CSIDriver.
fn default_driver(v: &mut Value) {
    set(v, "spec", json!({}));
    let spec = &mut v["spec"];
    set(spec, "attachRequired", true);
    for key in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
        set(spec, key, false);
    }
    set_text(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    if list(spec, "volumeLifecycleModes").is_empty() {
        spec["volumeLifecycleModes"] = json!(["Persistent"]);
    }
}

pub static CSI_NODE: KindRow =
    KindRow::cluster(GROUP, "CSINode", "csinodes", "csinode", v1!("CSINode"))
        .returns_deleted()
        .table(&[NAME, col("Drivers", "integer", ""), AGE], |v, now| {
            vec![name(v), count(v, "spec.drivers").into(), age(v, now)]
        })
        .sample(concat!(
            "apiVersion: storage.k8s.io/v1\nkind: CSINode\nmetadata: {name: sample}\n",
            "spec: {drivers: [{name: d, nodeID: node-a}]}\n"
        ));

pub static CSI_STORAGE_CAPACITY: KindRow = KindRow::namespaced(
    GROUP,
    "CSIStorageCapacity",
    "csistoragecapacities",
    "csistoragecapacity",
    v1!("CSIStorageCapacity"),
)
.returns_deleted()
.table(&[NAME, col("StorageClassName", "string", ""), col("Capacity", "string", "")], |v, _| {
    vec![name(v), text(v, "storageClassName").into(), text(v, "capacity").into()]
})
.sample(concat!(
    "apiVersion: storage.k8s.io/v1\nkind: CSIStorageCapacity\nmetadata: {name: sample}\n",
    "storageClassName: fast\n"
));

pub static VOLUME_ATTACHMENT: KindRow = KindRow::cluster(
    GROUP,
    "VolumeAttachment",
    "volumeattachments",
    "volumeattachment",
    v1!("VolumeAttachment"),
)
.returns_deleted()
.subresources(&[STATUS])
.table(
    &[
        NAME,
        col("Attacher", "string", ""),
        col("PV", "string", ""),
        col("Node", "string", ""),
        col("Attached", "boolean", ""),
        AGE,
    ],
    |v, now| {
        vec![
            name(v),
            text(v, "spec.attacher").into(),
            text(v, "spec.source.persistentVolumeName").into(),
            text(v, "spec.nodeName").into(),
            flag(v, "status.attached").into(),
            age(v, now),
        ]
    },
)
.sample(concat!(
    "apiVersion: storage.k8s.io/v1\nkind: VolumeAttachment\nmetadata: {name: sample}\n",
    "spec: {attacher: a, nodeName: node-a, source: {persistentVolumeName: p}}\n"
));

pub static VOLUME_ATTRIBUTES_CLASS: KindRow = KindRow::cluster(
    GROUP,
    "VolumeAttributesClass",
    "volumeattributesclasses",
    "volumeattributesclass",
    v1!("VolumeAttributesClass"),
)
.short(&["vac"])
.returns_deleted()
.table(&[NAME, col("DriverName", "string", ""), AGE], |v, now| {
    vec![name(v), text(v, "driverName").into(), age(v, now)]
})
.sample(concat!(
    "apiVersion: storage.k8s.io/v1\nkind: VolumeAttributesClass\nmetadata: {name: sample}\n",
    "driverName: d\nparameters: {a: b}\n"
));
