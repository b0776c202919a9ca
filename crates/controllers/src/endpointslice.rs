//! EndpointSlice: the addresses behind a Service, at most a hundred per slice
//! (pkg/controller/endpointslice, staging/src/k8s.io/endpointslice/reconciler.go).
//!
//! A slice holds endpoints with the same ports. Endpoints stay in the slice they are in, so that one pod's
//! change touches one slice. The trigger-time annotation is not written.

use crate::plan::{Plan, Row, Wake};
use crate::serving::{self, Terminating};
use crate::slices::{self, Group};
use crate::{calls, pods, wakes};
use k8s_openapi::api::core::v1::{Node, Pod, Service, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};
use meta::Time;
use std::collections::BTreeMap;
use store::{Change, Key, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "endpointslice-controller",
    wakes: &[
        Wake { resource: ("", "services"), keys: wakes::itself },
        Wake { resource: ("", "pods"), keys: serving::wake_of_pod },
        Wake { resource: ("", "nodes"), keys: wake_of_node },
        Wake { resource: ("discovery.k8s.io", "endpointslices"), keys: wake_of_slice },
    ],
    plan,
    refused: None,
    made: None,
};

const MANAGER: &str = "endpointslice-controller.k8s.io";
const ZONE: &str = "topology.kubernetes.io/zone";

fn wake_of_slice(view: &View, change: &Change) -> Vec<Key> {
    slices::service_of(view, change, MANAGER)
}

/// A node that comes, goes or moves to another zone changes what is told of its pods.
fn wake_of_node(view: &View, change: &Change) -> Vec<Key> {
    let same = |before: &store::Object| before.label(ZONE) == change.after.label(ZONE);
    if !change.deletion && change.before.as_ref().is_some_and(|before| same(before)) {
        return Vec::new();
    }
    let here: Vec<_> =
        view.by_field(&Pod::resource(), "spec.nodeName", &change.after.key.name).collect();
    let all = view.read_all::<Service>(None);
    let touched = all.filter(|service| {
        let selector = serving::selector(service);
        let namespace = calls::namespace(&service.metadata);
        here.iter().any(|pod| *pod.key.namespace == *namespace && selector.selects(pod))
    });
    touched.map(|s| Service::key(calls::namespace(&s.metadata), calls::name(&s.metadata))).collect()
}

fn plan(view: &View, key: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let service = view.read::<Service>(&key.namespace, &key.name);
    // Slices of a service that is gone are the garbage collector's.
    let Some(service) = service.filter(|s| !calls::is_deleting(&s.metadata)) else { return plan };
    let Some(spec) = service.spec.as_ref().filter(|s| s.selector.is_some()) else { return plan };
    let groups = groups(view, &service, spec);
    let existing = slices::existing(view, &service.metadata, MANAGER);
    let mut labels = serving::labels(&service);
    slices::mark(&mut labels, calls::name(&service.metadata), MANAGER);
    let about = slices::About {
        owner: pods::owner_reference::<Service>(&service.metadata),
        name: calls::name(&service.metadata),
        namespace: calls::namespace(&service.metadata),
        labels,
    };
    slices::reconcile(&about, groups, existing, &mut plan);
    plan
}

/// What has to be told, by family and ports; a group without endpoints for a family without any.
fn groups(view: &View, service: &Service, spec: &ServiceSpec) -> Vec<Group> {
    let pods = serving::pods_of(view, service, Terminating::Listed);
    let mut out = Vec::new();
    for family in serving::families(spec) {
        let mut by_ports: BTreeMap<String, Group> = BTreeMap::new();
        for pod in &pods {
            let Some(endpoint) = endpoint(view, pod, service, &family) else { continue };
            let ports = ports(pod, spec);
            let key = calls::value(&ports).to_string();
            let group = by_ports.entry(key).or_insert_with(|| Group::empty(&family, ports));
            group.endpoints.push(endpoint);
        }
        if by_ports.is_empty() {
            out.push(Group::empty(&family, Vec::new()));
        }
        out.extend(by_ports.into_values());
    }
    out
}

fn ports(pod: &Pod, spec: &ServiceSpec) -> Vec<EndpointPort> {
    let all = spec.ports.iter().flatten();
    let reached = all.filter_map(|port| {
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(serving::port_on(pod, port)?),
            protocol: Some(serving::protocol(port).into()),
            app_protocol: port.app_protocol.clone(),
        })
    });
    reached.collect()
}

/// `None` when the pod has no address of the family, or its node is not known.
fn endpoint(view: &View, pod: &Pod, service: &Service, family: &str) -> Option<Endpoint> {
    let ips = serving::ips(pod).into_iter().filter(|ip| serving::family(ip) == Some(family));
    let addresses: Vec<String> = ips.map(Into::into).collect();
    let unready = serving::publishes_unready(service);
    let node_name = pods::node(pod);
    let node = view.get(&Node::key("", node_name));
    if addresses.is_empty() || (node.is_none() && !node_name.is_empty() && !unready) {
        return None;
    }
    let serves = pods::is_ready(pod);
    let terminating = calls::is_deleting(&pod.metadata);
    Some(Endpoint {
        addresses,
        conditions: Some(EndpointConditions {
            ready: Some(unready || (serves && !terminating)),
            serving: Some(serves),
            terminating: Some(terminating),
        }),
        hostname: serving::hostname(pod, service),
        node_name: (!node_name.is_empty()).then(|| node_name.into()),
        target_ref: Some(serving::target(pod)),
        zone: node.and_then(|n| n.label(ZONE)).filter(|z| !z.is_empty()).map(Into::into),
        ..Endpoint::default()
    })
}
