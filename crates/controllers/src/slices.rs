//! Endpoints distributed over EndpointSlices with as few writes as possible: for the controllers of slices and of
//! mirrored slices (staging/src/k8s.io/endpointslice/reconciler.go).

use crate::calls;
use crate::plan::Plan;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use meta::Value;
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use store::{Change, Key, View};
use typed::Kind;

pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const PER_SLICE: usize = 100;

/// Endpoints that may share slices.
pub(crate) struct Group {
    pub family: String,
    pub ports: Vec<EndpointPort>,
    pub endpoints: Vec<Endpoint>,
}

/// What every slice says of where it comes from.
pub(crate) struct About<'a> {
    pub owner: Value,
    pub name: &'a str,
    pub namespace: &'a str,
    pub labels: BTreeMap<String, String>,
}

impl Group {
    pub fn empty(family: &str, ports: Vec<EndpointPort>) -> Self {
        Self { family: family.into(), ports, endpoints: Vec::new() }
    }

    fn owns(&self, slice: &EndpointSlice) -> bool {
        slice.address_type == self.family
            && slice.ports.as_deref().unwrap_or_default() == self.ports
    }
}

pub(crate) fn mark(labels: &mut BTreeMap<String, String>, service: &str, manager: &str) {
    labels.insert(SERVICE_NAME.into(), service.into());
    labels.insert(MANAGED_BY.into(), manager.into());
}

/// The service named by a slice of `manager`, before or after the change.
pub(crate) fn service_of(_: &View, change: &Change, manager: &str) -> Vec<Key> {
    let versions = change.before.iter().chain([&change.after]);
    let ours = versions.filter(|slice| slice.label(MANAGED_BY) == Some(manager));
    let named = ours.filter_map(|slice| slice.label(SERVICE_NAME));
    let mut keys: Vec<_> =
        named.map(|name| Service::key(&change.after.key.namespace, name)).collect();
    keys.dedup();
    keys
}

/// Slices of `manager` for the service (or mirrored Endpoints) `of`, that are not on their way out.
pub(crate) fn existing(view: &View, of: &ObjectMeta, manager: &str) -> Vec<Arc<EndpointSlice>> {
    let namespace = calls::namespace(of);
    let ours = view.list(&EndpointSlice::resource(), Some(namespace)).filter(|slice| {
        slice.label(SERVICE_NAME) == Some(calls::name(of))
            && slice.label(MANAGED_BY) == Some(manager)
            && slice.head.deleted.is_none()
    });
    ours.map(|object| typed::parse(object)).collect()
}

/// Makes the slices tell exactly `groups`.
pub(crate) fn reconcile(
    about: &About<'_>,
    groups: Vec<Group>,
    existing: Vec<Arc<EndpointSlice>>,
    plan: &mut Plan,
) {
    let mut rest = existing;
    for group in groups {
        let (mine, others) = rest.into_iter().partition(|slice| group.owns(slice));
        rest = others;
        distribute(about, group, mine, plan);
    }
    for slice in rest {
        plan.call(calls::delete::<EndpointSlice>(&slice.metadata));
    }
}

fn distribute(about: &About<'_>, group: Group, mine: Vec<Arc<EndpointSlice>>, plan: &mut Plan) {
    let mut wanted: BTreeMap<String, Endpoint> =
        group.endpoints.iter().map(|e| (identity(e), e.clone())).collect();
    let mut kept: Vec<(Arc<EndpointSlice>, Vec<Endpoint>)> = Vec::new();
    for slice in mine {
        let stay = slice.endpoints.iter().filter_map(|e| wanted.remove(&identity(e))).collect();
        kept.push((slice, stay));
    }
    let mut new: VecDeque<Endpoint> = wanted.into_values().collect();
    // Slices that are written anyway take newcomers first, then the fullest.
    kept.sort_by_key(|(slice, stay)| {
        (slice.endpoints == *stay, std::cmp::Reverse(stay.len()), slice.metadata.name.clone())
    });
    for (_, stay) in &mut kept {
        let room = PER_SLICE.saturating_sub(stay.len()).min(new.len());
        stay.extend(new.drain(..room));
    }
    let mut alive = 0;
    for (slice, stay) in kept {
        // The last slice of a group stays, empty.
        if stay.is_empty() && (alive > 0 || !new.is_empty()) {
            plan.call(calls::delete::<EndpointSlice>(&slice.metadata));
            continue;
        }
        alive += 1;
        plan.calls.extend(updated(about, &slice, &stay));
    }
    while !new.is_empty() || alive == 0 {
        let take = new.len().min(PER_SLICE);
        plan.call(created(about, &group, new.drain(..take).collect()));
        alive += 1;
    }
}

/// What makes two endpoints the same one at different times.
fn identity(endpoint: &Endpoint) -> String {
    match endpoint.target_ref.as_ref().and_then(|t| t.uid.clone()) {
        Some(uid) => uid,
        None => endpoint.addresses.join(","),
    }
}

fn updated(about: &About<'_>, slice: &EndpointSlice, stay: &[Endpoint]) -> Option<api::Call> {
    let old = calls::value(&slice.metadata.labels);
    let labels = calls::difference(&old, &calls::value(&about.labels));
    if slice.endpoints == stay && labels.is_none() {
        return None;
    }
    let labels = labels.unwrap_or_else(|| json!({}));
    let body = json!({ "metadata": { "labels": labels }, "endpoints": stay });
    Some(calls::merge_in_state::<EndpointSlice>(&slice.metadata, body))
}

fn created(about: &About<'_>, group: &Group, endpoints: Vec<Endpoint>) -> api::Call {
    let body = json!({
        "metadata": {
            "generateName": format!("{}-", about.name),
            "labels": about.labels,
            "ownerReferences": [about.owner],
        },
        "addressType": group.family,
        "endpoints": endpoints,
        "ports": group.ports,
    });
    calls::create::<EndpointSlice>(about.namespace, body)
}
