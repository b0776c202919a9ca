//! Addresses for Services of type LoadBalancer, from the pool of this installation
//! (the cloud-controller role; staging/src/k8s.io/cloud-provider/controllers/service/controller.go).
//!
//! The pool is a fact of the node that routes it: it stands in the ConfigMap `kube-system/load-balancer`, key
//! `pool`. Without it, and for Services with a `loadBalancerClass`, somebody else provides.

use crate::plan::{Plan, Row, Wake, Warning};
use crate::{calls, pods};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use meta::Time;
use netplan::lb::{self, NoAddress};
use serde_json::json;
use std::collections::BTreeSet;
use std::net::IpAddr;
use store::{Change, Key, View};
use typed::{Kind, Read};

/// One key for all services: two allocations never look at the same free address.
pub(crate) static ROW: Row = Row {
    name: "service-controller",
    wakes: &[
        Wake { resource: ("", "services"), keys: wake_of_service },
        Wake { resource: ("", "configmaps"), keys: wake_of_map },
    ],
    plan,
    refused: None,
    made: None,
};

const SOURCE: (&str, &str) = ("kube-system", "load-balancer");

fn wake_of_service(_: &View, change: &Change) -> Vec<Key> {
    let versions = [change.before.as_ref(), Some(&change.after)];
    let concerned = versions.iter().flatten().any(|object| {
        let service = typed::parse::<Service>(object);
        is_balanced(&service) || !addresses(&service).is_empty()
    });
    if concerned { vec![Service::key("", "")] } else { Vec::new() }
}

fn wake_of_map(_: &View, change: &Change) -> Vec<Key> {
    let key = &change.after.key;
    let ours = (&*key.namespace, &*key.name) == SOURCE;
    if ours { vec![Service::key("", "")] } else { Vec::new() }
}

fn is_balanced(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.is_some_and(|s| s.type_.as_deref() == Some("LoadBalancer"))
        && spec.is_some_and(|s| s.load_balancer_class.is_none())
        && !calls::is_deleting(&service.metadata)
}

fn addresses(service: &Service) -> Vec<IpAddr> {
    let balancer = service.status.as_ref().and_then(|s| s.load_balancer.as_ref());
    let ingress = balancer.and_then(|b| b.ingress.as_ref()).into_iter().flatten();
    ingress.filter_map(|i| i.ip.as_ref()?.parse().ok()).collect()
}

fn plan(view: &View, _: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let source = view.read::<ConfigMap>(SOURCE.0, SOURCE.1);
    let pool = source.and_then(|map| map.data.as_ref()?.get("pool")?.parse().ok());
    let Some(pool) = pool else { return plan };
    let services: Vec<_> = view.read_all::<Service>(None).collect();
    let balanced = services.iter().filter(|s| is_balanced(s));
    let mut used: BTreeSet<IpAddr> = balanced.clone().flat_map(|s| addresses(s)).collect();
    for service in balanced.filter(|service| addresses(service).is_empty()) {
        match lb::allocate(pool, &used, wanted(service)) {
            Ok(ip) => {
                used.insert(ip);
                give(service, ip, &mut plan);
            }
            Err(why) => refuse(service, &why, &mut plan),
        }
    }
    for service in services.iter().filter(|s| lost(s, pool)) {
        let body = json!({ "status": { "loadBalancer": { "ingress": null } } });
        plan.call(calls::merge_in_state::<Service>(&service.metadata, body).on("status"));
    }
    plan
}

fn wanted(service: &Service) -> Option<IpAddr> {
    service.spec.as_ref()?.load_balancer_ip.as_ref()?.parse().ok()
}

/// It is no load balancer any more and still has an address of ours.
fn lost(service: &Service, pool: ipnet::Ipv4Net) -> bool {
    let spec = service.spec.as_ref();
    let ours = |ip: &IpAddr| matches!(ip, IpAddr::V4(ip) if pool.contains(ip));
    spec.is_some_and(|s| s.type_.as_deref() != Some("LoadBalancer"))
        && addresses(service).iter().any(ours)
}

fn give(service: &Service, ip: IpAddr, plan: &mut Plan) {
    let ingress = json!([{ "ip": ip.to_string(), "ipMode": "VIP" }]);
    let body = json!({ "status": { "loadBalancer": { "ingress": ingress } } });
    plan.call(calls::merge_in_state::<Service>(&service.metadata, body).on("status"));
    let about = pods::reference::<Service>(&service.metadata);
    plan.note(about, Warning::Normal, "EnsuredLoadBalancer", "Ensured load balancer".into());
}

fn refuse(service: &Service, why: &NoAddress, plan: &mut Plan) {
    let why = match why {
        NoAddress::Outside(ip) => format!("{ip} is outside the pool of addresses"),
        NoAddress::Taken(ip) => format!("{ip} belongs to another service"),
        NoAddress::Exhausted => "every address of the pool is in use".into(),
    };
    let message = format!("Error syncing load balancer: failed to ensure load balancer: {why}");
    let about = pods::reference::<Service>(&service.metadata);
    plan.note(about, Warning::Warning, "SyncLoadBalancerFailed", message);
}
