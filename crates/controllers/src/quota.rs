//! ResourceQuota: what a namespace uses of what it may (pkg/controller/resourcequota/resource_quota_controller.go).
//!
//! Admission counts ahead of it; here usage is counted anew whenever something in the namespace changes.

mod usage;

use crate::plan::{EVERY, Plan, Row, Wake};
use crate::{calls, wakes};
use k8s_openapi::api::core::v1::ResourceQuota;
use meta::{Quantity, QuantityFormat, Resource, Time, Value};
use serde_json::json;
use std::collections::BTreeMap;
use store::{Change, Key, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "resourcequota-controller",
    wakes: &[
        Wake { resource: ("", "resourcequotas"), keys: wakes::itself },
        Wake { resource: EVERY, keys: wake_of_content },
    ],
    plan,
    refused: None,
    made: None,
};

/// Objects that come and go; of pods, claims and services also those that change.
fn wake_of_content(view: &View, change: &Change) -> Vec<Key> {
    let key = &change.after.key;
    let measured = matches!(key.resource.as_str(), "pods" | "persistentvolumeclaims" | "services");
    let moved = change.before.is_none() || change.deletion || measured;
    if key.namespace.is_empty() || !moved || key.resource.as_str() == "events" {
        return Vec::new();
    }
    let quotas = view.list(&ResourceQuota::resource(), Some(&key.namespace));
    quotas.map(|object| object.key.clone()).collect()
}

fn plan(view: &View, key: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(quota) = view.read::<ResourceQuota>(&key.namespace, &key.name) else { return plan };
    let Some(spec) = quota.spec.as_ref().filter(|_| !calls::is_deleting(&quota.metadata)) else {
        return plan;
    };
    let hard = spec.hard.clone().unwrap_or_default();
    let names: Vec<&str> = hard.keys().map(String::as_str).collect();
    let scopes = usage::Scopes::of(spec);
    let mut used: BTreeMap<&str, Quantity> =
        names.iter().map(|name| (*name, Quantity::new(0, QuantityFormat::DecimalSi))).collect();
    for resource in resources(&names) {
        for object in view.list(&resource, Some(&key.namespace)) {
            usage::count(&resource, &object.value(), &scopes, &mut used);
        }
    }
    let used: BTreeMap<&str, Value> =
        used.into_iter().map(|(name, amount)| (name, amount.to_string().into())).collect();
    let status = json!({ "hard": hard, "used": used });
    plan.calls.extend(calls::status::<ResourceQuota>(&quota.metadata, &quota.status, &status));
    plan
}

/// Which resources a quota of these names has to look at.
fn resources(names: &[&str]) -> Vec<Resource> {
    let mut all: Vec<Resource> = names
        .iter()
        .map(|name| match name.strip_prefix("count/") {
            Some(counted) => {
                let (plural, group) = counted.split_once('.').unwrap_or((counted, ""));
                Resource::new(group, plural)
            }
            None => Resource::new("", usage::measured_on(name)),
        })
        .collect();
    all.sort();
    all.dedup();
    all
}
