//! apps/v1: Deployments, ReplicaSets, StatefulSets, DaemonSets and ControllerRevisions.

use crate::core::pod_defaults::{each, set, set_text, spec_template};
use crate::core::{claim_defaults, pod_defaults::replicas};
use crate::row::{Generation, Hooks, KindRow, Selector};
use crate::rows::{STATUS, field, scale, version};
use crate::table::{
    AGE, NAME, age, col, containers, int, list, name, number, pairs, selector, text, wide,
};
use crate::{Column, FieldRow};
use meta::{Time, Value};
use serde_json::json;

macro_rules! v1 {
    ($kind:literal) => {
        &[version("v1", concat!("io.k8s.api.apps.v1.", $kind))]
    };
}

const CONTAINERS: Column = wide("Containers", "string", "Names of each container in the template.");
const IMAGES: Column =
    wide("Images", "string", "Images referenced by each container in the template.");
const SELECTOR: Column = wide("Selector", "string", "");

pub static DEPLOYMENT: KindRow =
    KindRow::namespaced("apps", "Deployment", "deployments", "deployment", v1!("Deployment"))
        .short(&["deploy"])
        .categories(&["all"])
        .subresources(&[scale(Selector::Labels), STATUS])
        .hooks(Hooks {
            default: Some(default_deployment),
            generation: Generation::SpecAndAnnotations,
            ..Hooks::NONE
        })
        .table(
            &[
                NAME,
                col("Ready", "string", "Number of the pod with ready state"),
                col("Up-to-date", "string", ""),
                col("Available", "string", ""),
                AGE,
                CONTAINERS,
                IMAGES,
                SELECTOR,
            ],
            deployment_cells,
        )
        .check(crate::check::workload::deployment)
        .sample(concat!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: sample}\n",
            "spec: {selector: {matchLabels: {app: s}}, template: {metadata: {labels: {app: s}}, ",
            "spec: {containers: [{name: c, image: i}]}}}\n"
        ));

fn deployment_cells(v: &Value, now: Time) -> Vec<Value> {
    let [names, images] = containers(v, "spec.template.spec.containers");
    vec![
        name(v),
        format!("{}/{}", int(v, "status.readyReplicas"), int(v, "spec.replicas")).into(),
        number(v, "status.updatedReplicas"),
        number(v, "status.availableReplicas"),
        age(v, now),
        names,
        images,
        selector(v, "spec.selector"),
    ]
}

/// SetDefaults_Deployment.
fn default_deployment(v: &mut Value) {
    replicas(v);
    spec_template(v);
    let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) else { return };
    set(spec, "strategy", json!({}));
    set_text(&mut spec["strategy"], "type", "RollingUpdate");
    if text(spec, "strategy.type") == "RollingUpdate" {
        set(&mut spec["strategy"], "rollingUpdate", json!({}));
        set(&mut spec["strategy"]["rollingUpdate"], "maxUnavailable", "25%");
        set(&mut spec["strategy"]["rollingUpdate"], "maxSurge", "25%");
    }
    set(spec, "revisionHistoryLimit", 10);
    set(spec, "progressDeadlineSeconds", 600);
}

const REPLICAS: &[FieldRow] = &[field!("status.replicas", "0")];

pub static REPLICA_SET: KindRow =
    KindRow::namespaced("apps", "ReplicaSet", "replicasets", "replicaset", v1!("ReplicaSet"))
        .short(&["rs"])
        .categories(&["all"])
        .subresources(&[scale(Selector::Labels), STATUS])
        .fields(REPLICAS)
        .counted()
        .defaults(|v| {
            replicas(v);
            spec_template(v);
        })
        .table(
            &[
                NAME,
                col("Desired", "integer", ""),
                col("Current", "integer", ""),
                col("Ready", "integer", ""),
                AGE,
                CONTAINERS,
                IMAGES,
                SELECTOR,
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
                    selector(v, "spec.selector"),
                ]
            },
        )
        .check(crate::check::workload::replica_set)
        .sample(concat!(
            "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: sample}\n",
            "spec: {selector: {matchLabels: {app: s}}, template: {metadata: {labels: {app: s}}, ",
            "spec: {containers: [{name: c, image: i}]}}}\n"
        ));

pub static STATEFUL_SET: KindRow =
    KindRow::namespaced("apps", "StatefulSet", "statefulsets", "statefulset", v1!("StatefulSet"))
        .short(&["sts"])
        .categories(&["all"])
        .subresources(&[scale(Selector::Labels), STATUS])
        .counted()
        .defaults(default_stateful_set)
        .table(
            &[NAME, col("Ready", "string", "Number of the pod with ready state"), AGE, CONTAINERS, IMAGES],
            |v, now| {
                let [names, images] = containers(v, "spec.template.spec.containers");
                let ready =
                    format!("{}/{}", int(v, "status.readyReplicas"), int(v, "spec.replicas"));
                vec![name(v), ready.into(), age(v, now), names, images]
            },
        )
        .check(crate::check::workload::stateful_set)
        .sample(concat!(
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: sample}\n",
            "spec: {serviceName: s, selector: {matchLabels: {app: s}}, template: {metadata: {labels: {app: s}}, ",
            "spec: {containers: [{name: c, image: i}]}}}\n"
        ));

/// SetDefaults_StatefulSet.
fn default_stateful_set(v: &mut Value) {
    replicas(v);
    spec_template(v);
    let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) else { return };
    set_text(spec, "podManagementPolicy", "OrderedReady");
    set(spec, "updateStrategy", json!({}));
    set_text(&mut spec["updateStrategy"], "type", "RollingUpdate");
    if text(spec, "updateStrategy.type") == "RollingUpdate" {
        set(&mut spec["updateStrategy"], "rollingUpdate", json!({}));
        set(&mut spec["updateStrategy"]["rollingUpdate"], "partition", 0);
    }
    set(spec, "persistentVolumeClaimRetentionPolicy", json!({}));
    for key in ["whenDeleted", "whenScaled"] {
        set_text(&mut spec["persistentVolumeClaimRetentionPolicy"], key, "Retain");
    }
    set(spec, "revisionHistoryLimit", 10);
    for claim in each(spec, "volumeClaimTemplates") {
        set_text(claim, "apiVersion", "v1");
        set_text(claim, "kind", "PersistentVolumeClaim");
        claim_defaults(claim);
    }
}

pub static DAEMON_SET: KindRow =
    KindRow::namespaced("apps", "DaemonSet", "daemonsets", "daemonset", v1!("DaemonSet"))
        .short(&["ds"])
        .categories(&["all"])
        .subresources(&[STATUS])
        .counted()
        .defaults(default_daemon_set)
        .table(
            &[
                NAME,
                col("Desired", "integer", ""),
                col("Current", "integer", ""),
                col("Ready", "integer", ""),
                col("Up-to-date", "integer", ""),
                col("Available", "integer", ""),
                col("Node Selector", "string", ""),
                AGE,
                CONTAINERS,
                IMAGES,
                SELECTOR,
            ],
            daemon_set_cells,
        )
        .check(crate::check::workload::daemon_set)
        .sample(concat!(
            "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: sample}\n",
            "spec: {selector: {matchLabels: {app: s}}, template: {metadata: {labels: {app: s}}, ",
            "spec: {containers: [{name: c, image: i}]}}}\n"
        ));

fn daemon_set_cells(v: &Value, now: Time) -> Vec<Value> {
    let [names, images] = containers(v, "spec.template.spec.containers");
    vec![
        name(v),
        number(v, "status.desiredNumberScheduled"),
        number(v, "status.currentNumberScheduled"),
        number(v, "status.numberReady"),
        number(v, "status.updatedNumberScheduled"),
        number(v, "status.numberAvailable"),
        pairs(v, "spec.template.spec.nodeSelector"),
        age(v, now),
        names,
        images,
        selector(v, "spec.selector"),
    ]
}

/// SetDefaults_DaemonSet.
fn default_daemon_set(v: &mut Value) {
    spec_template(v);
    let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) else { return };
    set(spec, "updateStrategy", json!({}));
    set_text(&mut spec["updateStrategy"], "type", "RollingUpdate");
    if text(spec, "updateStrategy.type") == "RollingUpdate" {
        set(&mut spec["updateStrategy"], "rollingUpdate", json!({}));
        set(&mut spec["updateStrategy"]["rollingUpdate"], "maxUnavailable", 1);
        set(&mut spec["updateStrategy"]["rollingUpdate"], "maxSurge", 0);
    }
    set(spec, "revisionHistoryLimit", 10);
}

pub static CONTROLLER_REVISION: KindRow = KindRow::namespaced(
    "apps",
    "ControllerRevision",
    "controllerrevisions",
    "controllerrevision",
    v1!("ControllerRevision"),
)
.table(
    &[
        NAME,
        col("Controller", "string", "Controller of the object"),
        col("Revision", "string", ""),
        AGE,
    ],
    |v, now| vec![name(v), controller(v).into(), number(v, "revision"), age(v, now)],
)
.check(crate::check::workload::controller_revision)
.sample(concat!(
    "apiVersion: apps/v1\nkind: ControllerRevision\nmetadata: {name: sample}\n",
    "revision: 1\ndata: {spec: {}}\n"
));

/// `daemonset.apps/web` of the controlling owner.
fn controller(v: &Value) -> String {
    let owner = list(v, "metadata.ownerReferences").iter().find(|o| o["controller"] == true);
    let Some(owner) = owner else { return "<none>".into() };
    let kind = text(owner, "kind").to_lowercase();
    match text(owner, "apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{}", text(owner, "name")),
        None => format!("{kind}/{}", text(owner, "name")),
    }
}
