//! ReplicationControllers.

use super::pod_defaults;
use crate::row::{KindRow, Selector};
use crate::rows::{STATUS, field, scale, version};
use crate::table::{AGE, NAME, age, at, col, containers, name, number, pairs, wide};
use meta::Value;

pub static REPLICATION_CONTROLLER: KindRow = KindRow::namespaced(
    "",
    "ReplicationController",
    "replicationcontrollers",
    "replicationcontroller",
    &[version("v1", "io.k8s.api.core.v1.ReplicationController")],
)
.short(&["rc"])
.categories(&["all"])
.subresources(&[scale(Selector::Map), STATUS])
.table(
    &[
        NAME,
        col("Desired", "integer", ""),
        col("Current", "integer", ""),
        col("Ready", "integer", ""),
        AGE,
        wide("Containers", "string", ""),
        wide("Images", "string", ""),
        wide("Selector", "string", ""),
    ],
    |v, now| {
        let [names, images] = containers(v, "spec.template.spec.containers");
        vec![
            name(v),
            number(v, "spec.replicas"),
            number(v, "status.replicas"),
            number(v, "status.readyReplicas"),
            age(v, now),
            names,
            images,
            pairs(v, "spec.selector"),
        ]
    },
)
.fields(&[field!("status.replicas", "0")])
.counted()
.orphaned()
.defaults(default)
.check(crate::check::workload::replication_controller)
.sample(concat!(
    "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: sample}\n",
    "spec: {replicas: 1, selector: {app: s}, template: {metadata: {labels: {app: s}}, ",
    "spec: {containers: [{name: c, image: i}]}}}\n"
));

/// SetDefaults_ReplicationController: selector and labels come from the template.
fn default(v: &mut Value) {
    if let Some(labels) = at(v, "spec.template.metadata.labels").cloned() {
        if at(v, "spec.selector").is_none_or(|s| s.as_object().is_some_and(|m| m.is_empty())) {
            v["spec"]["selector"] = labels.clone();
        }
        if at(v, "metadata.labels").is_none_or(|s| s.as_object().is_some_and(|m| m.is_empty())) {
            v["metadata"]["labels"] = labels;
        }
    }
    pod_defaults::replicas(v);
    pod_defaults::spec_template(v);
}
