//! resource.k8s.io/v1: dynamic resource allocation.

use crate::row::KindRow;
use crate::rows::{STATUS, field, version};
use crate::table::{AGE, NAME, NAME_AGE, age, at, col, list, name, text, text_or};
use meta::Value;

const GROUP: &str = "resource.k8s.io";

macro_rules! v1 {
    ($kind:literal) => {
        &[version("v1", concat!("io.k8s.api.resource.v1.", $kind))]
    };
}

pub static DEVICE_CLASS: KindRow = KindRow::cluster(
    GROUP,
    "DeviceClass",
    "deviceclasses",
    "deviceclass",
    v1!("DeviceClass"),
)
.counted()
.returns_deleted()
.table(NAME_AGE.columns, NAME_AGE.cells)
.sample("apiVersion: resource.k8s.io/v1\nkind: DeviceClass\nmetadata: {name: sample}\nspec: {}\n");

pub static RESOURCE_CLAIM: KindRow = KindRow::namespaced(
    GROUP,
    "ResourceClaim",
    "resourceclaims",
    "resourceclaim",
    v1!("ResourceClaim"),
)
.returns_deleted()
.put_creates()
.subresources(&[STATUS])
.table(
    &[
        NAME,
        col(
            "State",
            "string",
            "A summary of the current state (allocated, pending, reserved, etc.).",
        ),
        AGE,
    ],
    |v, now| vec![name(v), state(v).into(), age(v, now)],
)
.sample(
    "apiVersion: resource.k8s.io/v1\nkind: ResourceClaim\nmetadata: {name: sample}\nspec: {}\n",
);

fn state(v: &Value) -> String {
    let mut words = Vec::new();
    if at(v, "metadata.deletionTimestamp").is_some() {
        words.push("deleted");
    }
    if at(v, "status.allocation").is_none() {
        words.push("pending");
    } else {
        words.push("allocated");
        words.push(if list(v, "status.reservedFor").is_empty() { "" } else { "reserved" });
    }
    words.into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(",")
}

pub static RESOURCE_CLAIM_TEMPLATE: KindRow = KindRow::namespaced(
    GROUP,
    "ResourceClaimTemplate",
    "resourceclaimtemplates",
    "resourceclaimtemplate",
    v1!("ResourceClaimTemplate"),
)
.returns_deleted()
.put_creates()
.table(NAME_AGE.columns, NAME_AGE.cells)
.sample(
    "apiVersion: resource.k8s.io/v1\nkind: ResourceClaimTemplate\nmetadata: {name: sample}\nspec: {spec: {}}\n",
);

pub static RESOURCE_SLICE: KindRow = KindRow::cluster(
    GROUP,
    "ResourceSlice",
    "resourceslices",
    "resourceslice",
    v1!("ResourceSlice"),
)
.counted()
.returns_deleted()
.put_creates()
.fields(&[field!("spec.driver"), field!("spec.nodeName")])
.table(
    &[NAME, col("Node", "string", ""), col("Driver", "string", ""), col("Pool", "string", ""), AGE],
    |v, now| {
        vec![
            name(v),
            text_or(v, "spec.nodeName", "<unset>").into(),
            text(v, "spec.driver").into(),
            text(v, "spec.pool.name").into(),
            age(v, now),
        ]
    },
)
.sample(concat!(
    "apiVersion: resource.k8s.io/v1\nkind: ResourceSlice\nmetadata: {name: sample}\n",
    "spec: {driver: d.example.com, nodeName: node-a, pool: {name: p, generation: 1, resourceSliceCount: 1}}\n"
));
