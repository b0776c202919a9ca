//! ReplicationController: a ReplicaSet of an older spelling (pkg/controller/replication/conversion.go).

use crate::plan::{Note, Plan, Row, Wake};
use crate::pods::Selector;
use crate::{calls, replicaset, wakes};
use api::Call;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::ReplicationController;
use meta::{Problem, Time, Value};
use serde_json::json;
use store::{Key, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "replication-controller",
    wakes: &[
        Wake { resource: ("", "replicationcontrollers"), keys: wakes::itself },
        Wake { resource: ("", "pods"), keys: wake_of_pod },
    ],
    plan,
    refused: Some(refused),
    made: Some(made),
};

fn wake_of_pod(view: &View, change: &store::Change) -> Vec<Key> {
    wakes::controllers::<ReplicationController>(view, change, |view, pod| {
        view.read_all::<ReplicationController>(Some(&pod.key.namespace))
            .filter(|rc| selector(rc).selects(pod))
            .map(|rc| ReplicationController::key(&pod.key.namespace, calls::name(&rc.metadata)))
            .collect()
    })
}

fn selector(rc: &ReplicationController) -> Selector {
    let map = rc.spec.as_ref().and_then(|s| s.selector.clone()).unwrap_or_default();
    Selector::of_map(&map)
}

/// The same wish as a ReplicaSet.
fn as_set(rc: &ReplicationController) -> ReplicaSet {
    let mut value = calls::value(rc);
    let labels = value["spec"]["selector"].take();
    value["spec"]["selector"] = json!({ "matchLabels": labels });
    value["apiVersion"] = "apps/v1".into();
    value["kind"] = "ReplicaSet".into();
    serde_json::from_value(value).expect("everything else is spelled the same")
}

fn read(view: &View, key: &Key) -> Option<ReplicaSet> {
    view.read::<ReplicationController>(&key.namespace, &key.name).map(|rc| as_set(&rc))
}

fn plan(view: &View, key: &Key, now: Time) -> Plan {
    read(view, key).map_or_else(Plan::nothing, |set| {
        replicaset::reconcile::<ReplicationController>(view, &set, now)
    })
}

fn made(view: &View, key: &Key, call: &Call, object: &Value) -> Option<Note> {
    let rc = view.read::<ReplicationController>(&key.namespace, &key.name)?;
    replicaset::told::<ReplicationController>(&rc.metadata, call, object)
}

fn refused(view: &View, key: &Key, refused: &[(Call, Problem)], now: Time) -> Plan {
    read(view, key).map_or_else(Plan::nothing, |set| {
        replicaset::failed::<ReplicationController>(&set, refused, now)
    })
}
