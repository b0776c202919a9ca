//! Endpoints: the older list of a Service's addresses (pkg/controller/endpoint/endpoints_controller.go).

use crate::plan::{Plan, Row, Wake};
use crate::serving::{self, Terminating};
use crate::{calls, pods, wakes};
use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service, ServiceSpec,
};
use meta::Time;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use store::{Change, Key, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "endpoint-controller",
    wakes: &[
        Wake { resource: ("", "services"), keys: wakes::itself },
        Wake { resource: ("", "pods"), keys: serving::wake_of_pod },
        Wake { resource: ("", "endpoints"), keys: wake_of_endpoints },
    ],
    plan,
    refused: None,
    made: None,
};

pub(crate) const MANAGED_BY: (&str, &str) =
    ("endpoints.kubernetes.io/managed-by", "endpoint-controller");
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const MAX_ADDRESSES: usize = 1000;

/// Only while their service exists: endpoints without one may be somebody's own.
fn wake_of_endpoints(view: &View, change: &Change) -> Vec<Key> {
    let key = &change.after.key;
    let service = Service::key(&key.namespace, &key.name);
    let ours = change.after.label(MANAGED_BY.0) == Some(MANAGED_BY.1) && !change.deletion;
    if view.get(&service).is_some() || ours { vec![service] } else { Vec::new() }
}

fn plan(view: &View, key: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let present = view.read::<Endpoints>(&key.namespace, &key.name);
    let Some(service) = view.read::<Service>(&key.namespace, &key.name) else {
        // Due because a service has gone.
        plan.calls.extend(present.map(|e| calls::delete::<Endpoints>(&e.metadata)));
        return plan;
    };
    let Some(spec) = service.spec.as_ref().filter(|s| s.selector.is_some()) else { return plan };
    let (subsets, truncated) = truncated(subsets(view, &service, spec));
    let mut labels = serving::labels(&service);
    labels.insert(MANAGED_BY.0.into(), MANAGED_BY.1.into());
    let capacity = truncated.then_some("truncated");
    match present {
        None => {
            let metadata = json!({ "name": &*key.name, "labels": labels,
                "annotations": { OVER_CAPACITY: capacity } });
            let mut body = json!({ "metadata": metadata, "subsets": subsets });
            if capacity.is_none() {
                body["metadata"]["annotations"] = json!({});
            }
            plan.call(calls::create::<Endpoints>(&key.namespace, body));
        }
        Some(old) => {
            let told = calls::annotation(&old.metadata, OVER_CAPACITY) == capacity;
            let same = old.subsets.clone().unwrap_or_default() == subsets;
            if !(told && same && old.metadata.labels.as_ref() == Some(&labels)) {
                let labels =
                    calls::difference(&calls::value(&old.metadata.labels), &calls::value(&labels));
                let metadata = json!({ "labels": labels.unwrap_or_else(|| json!({})),
                    "annotations": { OVER_CAPACITY: capacity } });
                let body = json!({ "metadata": metadata, "subsets": subsets });
                plan.call(calls::merge_in_state::<Endpoints>(&old.metadata, body));
            }
        }
    }
    plan
}

/// Ports with the same addresses share a subset (`RepackSubsets`).
fn subsets(view: &View, service: &Service, spec: &ServiceSpec) -> Vec<EndpointSubset> {
    let unready = serving::publishes_unready(service);
    let terminating = if unready { Terminating::Listed } else { Terminating::Left };
    let family = serving::families(spec).into_iter().next();
    let mut addresses = BTreeMap::new();
    let mut by_port: BTreeMap<Option<PortKey>, BTreeSet<AddressKey>> = BTreeMap::new();
    for pod in serving::pods_of(view, service, terminating) {
        let mut ips = serving::ips(&pod).into_iter();
        let Some(ip) = ips.find(|ip| serving::family(ip) == family.as_deref()) else { continue };
        let ready = unready || pods::is_ready(&pod);
        let key = (ip.to_string(), calls::uid(&pod.metadata).to_string(), ready);
        addresses.insert(key.clone(), address(ip, &pod, service));
        for port in ports(&pod, spec) {
            by_port.entry(port).or_default().insert(key.clone());
        }
    }
    let mut by_addresses: BTreeMap<BTreeSet<AddressKey>, Vec<Option<PortKey>>> = BTreeMap::new();
    for (port, keys) in by_port {
        by_addresses.entry(keys).or_default().push(port);
    }
    let listed = |keys: &BTreeSet<AddressKey>, ready: bool| {
        let some: Vec<_> =
            keys.iter().filter(|k| k.2 == ready).map(|k| addresses[k].clone()).collect();
        (!some.is_empty()).then_some(some)
    };
    let subset = |(keys, ports): (BTreeSet<AddressKey>, Vec<Option<PortKey>>)| {
        let ports: Vec<_> = ports.into_iter().flatten().map(endpoint_port).collect();
        EndpointSubset {
            addresses: listed(&keys, true),
            not_ready_addresses: listed(&keys, false),
            ports: (!ports.is_empty()).then_some(ports),
        }
    };
    by_addresses.into_iter().map(subset).collect()
}

/// Address, pod uid, ready.
type AddressKey = (String, String, bool);
/// Name, number, protocol, application protocol.
type PortKey = (Option<String>, i32, Option<String>, Option<String>);

/// One `None` for a headless service without ports.
fn ports(pod: &Pod, spec: &ServiceSpec) -> Vec<Option<PortKey>> {
    let named = spec.ports.as_deref().unwrap_or_default();
    if named.is_empty() && serving::is_headless(spec) {
        return vec![None];
    }
    let reached = named.iter().filter_map(|port| {
        let number = serving::port_on(pod, port)?;
        let name = port.name.clone().filter(|name| !name.is_empty());
        let protocol = Some(serving::protocol(port).to_string());
        Some(Some((name, number, protocol, port.app_protocol.clone())))
    });
    reached.collect()
}

fn endpoint_port((name, port, protocol, app_protocol): PortKey) -> EndpointPort {
    EndpointPort { name, port, protocol, app_protocol }
}

fn address(ip: &str, pod: &Pod, service: &Service) -> EndpointAddress {
    EndpointAddress {
        ip: ip.into(),
        hostname: serving::hostname(pod, service),
        node_name: pod.spec.as_ref().and_then(|s| s.node_name.clone()),
        target_ref: Some(serving::target(pod)),
    }
}

/// At most a thousand addresses, ready ones first (`truncateEndpoints`).
fn truncated(mut subsets: Vec<EndpointSubset>) -> (Vec<EndpointSubset>, bool) {
    let count = |list: &Option<Vec<EndpointAddress>>| list.as_ref().map_or(0, Vec::len);
    let total: usize =
        subsets.iter().map(|s| count(&s.addresses) + count(&s.not_ready_addresses)).sum();
    if total <= MAX_ADDRESSES {
        return (subsets, false);
    }
    let mut room = MAX_ADDRESSES;
    let mut cut = |list: &mut Option<Vec<EndpointAddress>>| {
        if let Some(some) = list {
            some.truncate(room);
            room -= some.len();
        }
        if list.as_ref().is_some_and(Vec::is_empty) {
            *list = None;
        }
    };
    subsets.iter_mut().for_each(|s| cut(&mut s.addresses));
    subsets.iter_mut().for_each(|s| cut(&mut s.not_ready_addresses));
    subsets.retain(|s| s.addresses.is_some() || s.not_ready_addresses.is_some());
    (subsets, true)
}
