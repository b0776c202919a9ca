//! Endpoints that somebody else keeps for a Service without selector, told again as EndpointSlices
//! (pkg/controller/endpointslicemirroring).

use crate::plan::{Plan, Row, Wake};
use crate::slices::{self, About, Group};
use crate::{calls, pods, serving, wakes};
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use meta::Time;
use std::collections::BTreeMap;
use store::{Change, Key, View};
use typed::Read;

pub(crate) static ROW: Row = Row {
    name: "endpointslicemirroring-controller",
    wakes: &[
        Wake { resource: ("", "services"), keys: wakes::itself_as::<Endpoints> },
        Wake { resource: ("", "endpoints"), keys: wakes::itself },
        Wake { resource: ("discovery.k8s.io", "endpointslices"), keys: wake_of_slice },
    ],
    plan,
    refused: None,
    made: None,
};

const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// Addresses mirrored per subset.
const MAX_PER_SUBSET: usize = 1000;

fn wake_of_slice(view: &View, change: &Change) -> Vec<Key> {
    let services = slices::service_of(view, change, MANAGER).into_iter();
    services.map(|key| wakes::key_as::<Endpoints>(&key)).collect()
}

fn plan(view: &View, key: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let named = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
        name: Some(key.name.to_string()),
        namespace: Some(key.namespace.to_string()),
        ..Default::default()
    };
    let existing = slices::existing(view, &named, MANAGER);
    let endpoints = view.read::<Endpoints>(&key.namespace, &key.name);
    let Some(endpoints) = endpoints.filter(|e| mirrored(e) && served(view, key)) else {
        for slice in existing {
            plan.call(calls::delete::<EndpointSlice>(&slice.metadata));
        }
        return plan;
    };
    let mut labels = endpoints.metadata.labels.clone().unwrap_or_default();
    slices::mark(&mut labels, &key.name, MANAGER);
    let about = About {
        owner: pods::owner_reference::<Endpoints>(&endpoints.metadata),
        name: &key.name,
        namespace: &key.namespace,
        labels,
    };
    slices::reconcile(&about, groups(&endpoints), existing, &mut plan);
    plan
}

fn mirrored(endpoints: &Endpoints) -> bool {
    calls::label(&endpoints.metadata, SKIP) != Some("true")
        && calls::annotation(&endpoints.metadata, LEADER).is_none()
        && !calls::is_deleting(&endpoints.metadata)
}

/// There is a service, and nobody selects its pods.
fn served(view: &View, key: &Key) -> bool {
    let service = view.read::<Service>(&key.namespace, &key.name);
    service.is_some_and(|s| s.spec.as_ref().is_some_and(|s| s.selector.is_none()))
}

fn groups(endpoints: &Endpoints) -> Vec<Group> {
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    for subset in endpoints.subsets.iter().flatten() {
        let ports = ports(subset);
        let text = calls::value(&ports).to_string();
        let ready = subset.addresses.iter().flatten().map(|a| (a, true));
        let unready = subset.not_ready_addresses.iter().flatten().map(|a| (a, false));
        for (address, ready) in ready.chain(unready).take(MAX_PER_SUBSET) {
            let Some(family) = serving::family(&address.ip) else { continue };
            let group = groups
                .entry((family.into(), text.clone()))
                .or_insert_with(|| Group::empty(family, ports.clone()));
            group.endpoints.push(endpoint(address, ready));
        }
    }
    groups.into_values().collect()
}

fn ports(subset: &EndpointSubset) -> Vec<EndpointPort> {
    let each = subset.ports.iter().flatten().map(|port| EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
        app_protocol: port.app_protocol.clone(),
    });
    each.collect()
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..Default::default() }),
        hostname: address.hostname.clone().filter(|h| !h.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}
