//! Every namespace has a ServiceAccount `default` (pkg/controller/serviceaccount/serviceaccounts_controller.go).

use crate::plan::{Plan, Row, Wake};
use crate::{calls, wakes};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use meta::Time;
use serde_json::json;
use store::{Key, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "service-account-controller",
    wakes: &[
        Wake { resource: ("", "namespaces"), keys: wakes::itself },
        Wake { resource: ("", "serviceaccounts"), keys: wakes::its_namespace },
    ],
    plan,
    refused: None,
    made: None,
};

fn plan(view: &View, key: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let namespace = view.read::<Namespace>("", &key.name);
    let alive = namespace.is_some_and(|n| !calls::is_deleting(&n.metadata));
    if alive && view.get(&ServiceAccount::key(&key.name, "default")).is_none() {
        let body = json!({ "metadata": { "name": "default", "namespace": &*key.name } });
        plan.call(calls::create::<ServiceAccount>(&key.name, body));
    }
    plan
}
