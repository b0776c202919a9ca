//! ServiceCIDRs are ready until they go, and go when no address of theirs is in use
//! (pkg/controller/servicecidrs/servicecidrs_controller.go).

use crate::calls;
use crate::conditions::List;
use crate::plan::{Plan, Row, Wake};
use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use meta::Time;
use std::net::IpAddr;
use store::{Change, Key, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "service-cidrs-controller",
    wakes: &[
        Wake { resource: ("networking.k8s.io", "servicecidrs"), keys: wake },
        Wake { resource: ("networking.k8s.io", "ipaddresses"), keys: wake_of_address },
    ],
    plan,
    refused: None,
    made: None,
};

const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";

/// Ranges overlap: one that changes may set others free, or bind them.
fn wake(view: &View, _: &Change) -> Vec<Key> {
    view.list(&ServiceCIDR::resource(), None).map(|object| object.key.clone()).collect()
}

/// An address that goes may be the last one of a range that goes.
fn wake_of_address(view: &View, change: &Change) -> Vec<Key> {
    let all = view.list(&ServiceCIDR::resource(), None);
    let going = all.filter(|range| change.deletion && range.head.deleted.is_some());
    going.map(|object| object.key.clone()).collect()
}

fn plan(view: &View, key: &Key, now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(range) = view.read::<ServiceCIDR>("", &key.name) else { return plan };
    let kept = calls::finalizers(&range.metadata).iter().any(|f| f == FINALIZER);
    if !calls::is_deleting(&range.metadata) {
        if !kept {
            plan.call(calls::with_finalizer::<ServiceCIDR>(&range.metadata, FINALIZER));
        } else {
            say(&range, ("True", "", "Kubernetes Service CIDR is ready"), now, &mut plan);
        }
    } else if kept && in_use(view, &range) {
        let why = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR";
        say(&range, ("False", "Terminating", why), now, &mut plan);
    } else if kept {
        plan.call(calls::without_finalizer::<ServiceCIDR>(&range.metadata, FINALIZER));
    }
    plan
}

fn say(
    range: &ServiceCIDR,
    (status, reason, message): (&str, &str, &str),
    now: Time,
    plan: &mut Plan,
) {
    let old = calls::value(&range.status);
    let mut conditions = List::of(&old);
    if conditions.set("Ready", status, reason, message, now) {
        let new = serde_json::json!({ "conditions": meta::Value::from(conditions) });
        plan.calls.extend(calls::status::<ServiceCIDR>(&range.metadata, &old, &new));
    }
}

fn networks(range: &ServiceCIDR) -> Vec<IpNet> {
    let cidrs = range.spec.iter().flat_map(|s| s.cidrs.iter().flatten());
    cidrs.filter_map(|cidr| cidr.parse().ok()).collect()
}

/// Whether an address lies in this range and in no other that stays.
fn in_use(view: &View, range: &ServiceCIDR) -> bool {
    let others: Vec<IpNet> = view
        .read_all::<ServiceCIDR>(None)
        .filter(|other| {
            other.metadata.uid != range.metadata.uid && !calls::is_deleting(&other.metadata)
        })
        .flat_map(|other| networks(&other))
        .collect();
    let own = networks(range);
    view.list(&IPAddress::resource(), None).filter_map(|o| o.key.name.parse::<IpAddr>().ok()).any(
        |address| {
            own.iter().any(|net| net.contains(&address))
                && !others.iter().any(|net| net.contains(&address))
        },
    )
}
