//! Token Secrets go with their ServiceAccount (pkg/controller/serviceaccount/tokens_controller.go).
//!
//! Filling in the tokens takes the signing key, which is not here.

use crate::calls;
use crate::plan::{Plan, Row, Wake};
use crate::wakes;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use meta::Time;
use store::{Change, Key, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "tokens-controller",
    wakes: &[
        Wake { resource: ("", "secrets"), keys: wakes::itself },
        Wake { resource: ("", "serviceaccounts"), keys: wake_of_account },
    ],
    plan,
    refused: None,
    made: None,
};

const TYPE: &str = "kubernetes.io/service-account-token";
const NAME: &str = "kubernetes.io/service-account.name";
const UID: &str = "kubernetes.io/service-account.uid";

fn wake_of_account(view: &View, change: &Change) -> Vec<Key> {
    if !change.deletion {
        return Vec::new();
    }
    let namespace = Some(&*change.after.key.namespace);
    let tokens =
        view.list(&Secret::resource(), namespace).filter(|o| o.field("type") == Some(TYPE));
    tokens.map(|object| object.key.clone()).collect()
}

fn plan(view: &View, key: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(secret) = view.read::<Secret>(&key.namespace, &key.name) else { return plan };
    if secret.type_.as_deref() != Some(TYPE) || calls::is_deleting(&secret.metadata) {
        return plan;
    }
    let Some(name) = calls::annotation(&secret.metadata, NAME) else { return plan };
    let account = view.get(&ServiceAccount::key(&key.namespace, name));
    let of = calls::annotation(&secret.metadata, UID);
    if account.is_none_or(|a| of.is_some_and(|uid| *uid != *a.head.uid)) {
        plan.call(calls::delete::<Secret>(&secret.metadata));
    }
    plan
}
