//! What Endpoints and EndpointSlices have in common: which pods stand behind a Service, and at which ports
//! (staging/src/k8s.io/endpointslice/util, pkg/controller/util/endpoint).

use crate::calls;
use crate::pods::{self, Selector};
use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use store::{Change, Key, View};
use typed::{Kind, Read};

pub(crate) const HEADLESS: &str = "service.kubernetes.io/headless";

/// Services that select the pod, as it was or as it is.
pub(crate) fn wake_of_pod(view: &View, change: &Change) -> Vec<Key> {
    if !matters(change) {
        return Vec::new();
    }
    let versions = [change.before.as_ref(), Some(&change.after)];
    view.read_all::<Service>(Some(&change.after.key.namespace))
        .filter(|service| {
            let selector = selector(service);
            versions.iter().flatten().any(|pod| selector.selects(pod))
        })
        .map(|service| Service::key(&change.after.key.namespace, calls::name(&service.metadata)))
        .collect()
}

/// Whether anything that endpoints tell has changed (`podEndpointsChanged`).
fn matters(change: &Change) -> bool {
    let Some(before) = change.before.as_ref().filter(|_| !change.deletion) else { return true };
    let face = |object| {
        let pod = typed::parse::<Pod>(object);
        let spec = pod.spec.as_ref();
        let name = spec.map(|s| (s.hostname.clone(), s.subdomain.clone(), s.node_name.clone()));
        let ips = pod.status.as_ref().and_then(|s| s.pod_ips.clone());
        let ended = matches!(pods::phase(&pod), "Succeeded" | "Failed");
        (name, ips, ended, pods::is_ready(&pod), calls::is_deleting(&pod.metadata))
    };
    before.head.labels != change.after.head.labels || face(before) != face(&change.after)
}

/// Matches nothing when the service has no selector.
pub(crate) fn selector(service: &Service) -> Selector {
    let map = service.spec.as_ref().and_then(|s| s.selector.clone()).unwrap_or_default();
    Selector::of_map(&map)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terminating {
    Listed,
    Left,
}

/// The pods behind a service that have an address (`ShouldPodBeInEndpoints`).
pub(crate) fn pods_of(view: &View, service: &Service, terminating: Terminating) -> Vec<Arc<Pod>> {
    let mut all = pods::selected(view, calls::namespace(&service.metadata), &selector(service));
    all.retain(|pod| {
        !matches!(pods::phase(pod), "Succeeded" | "Failed")
            && !ips(pod).is_empty()
            && (terminating == Terminating::Listed || !calls::is_deleting(&pod.metadata))
    });
    all
}

pub(crate) fn ips(pod: &Pod) -> Vec<&str> {
    let Some(status) = &pod.status else { return Vec::new() };
    match status.pod_ips.as_deref() {
        Some(all) if !all.is_empty() => all.iter().map(|p| p.ip.as_str()).collect(),
        _ => status.pod_ip.iter().map(String::as_str).filter(|ip| !ip.is_empty()).collect(),
    }
}

/// `IPv4` or `IPv6`; `None` for what is no address.
pub(crate) fn family(ip: &str) -> Option<&'static str> {
    match ip.parse::<IpAddr>().ok()? {
        IpAddr::V4(_) => Some("IPv4"),
        IpAddr::V6(_) => Some("IPv6"),
    }
}

/// The families a service wants endpoints of (`getAddressTypesForService`).
pub(crate) fn families(spec: &ServiceSpec) -> Vec<String> {
    if spec.type_.as_deref() == Some("ExternalName") {
        return Vec::new();
    }
    let named = spec.ip_families.clone().unwrap_or_default();
    if !named.is_empty() {
        return named;
    }
    let from_ip = spec.cluster_ip.as_deref().and_then(family);
    vec![from_ip.unwrap_or("IPv4").into()]
}

pub(crate) fn is_headless(spec: &ServiceSpec) -> bool {
    spec.cluster_ip.as_deref() == Some("None")
}

/// The number a service port reaches on this pod (`FindPort`).
pub(crate) fn port_on(pod: &Pod, port: &ServicePort) -> Option<i32> {
    match port.target_port.as_ref() {
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => named_port(pod, name, protocol(port)),
        None => Some(port.port),
    }
}

pub(crate) fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

fn named_port(pod: &Pod, name: &str, protocol: &str) -> Option<i32> {
    let spec = pod.spec.as_ref()?;
    // Restartable init containers (sidecars) serve too.
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|c| c.ports.iter().flatten());
    ports
        .filter(|p| p.protocol.as_deref().unwrap_or("TCP") == protocol)
        .find(|p| p.name.as_deref() == Some(name))
        .map(|p| p.container_port)
}

/// The host name the pod has in the service's domain.
pub(crate) fn hostname(pod: &Pod, service: &Service) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let here = spec.subdomain == service.metadata.name;
    spec.hostname.clone().filter(|name| here && !name.is_empty())
}

pub(crate) fn target(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".into()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

pub(crate) fn publishes_unready(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.and_then(|s| s.publish_not_ready_addresses).unwrap_or(false)
}

/// The service's labels and the mark of a headless one.
pub(crate) fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    if service.spec.as_ref().is_some_and(is_headless) {
        labels.insert(HEADLESS.into(), String::new());
    }
    labels
}
