//! Services and EndpointSlices as the service proxy's input (pkg/proxy/serviceport.go, endpointslicecache.go).

use k8s_openapi::api::core::v1::{Service, ServicePort as ApiPort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint as ApiEndpoint, EndpointSlice};
use netplan::nft::Proto;
use netplan::proxy::{Endpoint, EndpointState, Place, ProxyInput, ServicePort, TrafficPolicy};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use store::View;
use typed::Read;

/// Slices by namespace and name of their Service.
pub(super) type Slices = BTreeMap<(String, String), Vec<Arc<EndpointSlice>>>;

pub(super) fn slices(view: &View) -> Slices {
    let mut out = Slices::new();
    for slice in view.read_all::<EndpointSlice>(None) {
        let labels = slice.metadata.labels.as_ref();
        let Some(service) = labels.and_then(|l| l.get("kubernetes.io/service-name")) else {
            continue;
        };
        let namespace = slice.metadata.namespace.clone().unwrap_or_default();
        out.entry((namespace, service.clone())).or_default().push(slice);
    }
    out
}

/// `namespace` and `name` of a Service.
pub(super) fn key_of(service: &Service) -> (String, String) {
    let meta = &service.metadata;
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// The addresses that Services have of their own; `None` and empty are no addresses.
pub(super) fn cluster_ips(spec: &ServiceSpec) -> Vec<IpAddr> {
    let all = spec.cluster_ips.iter().flatten();
    let mut ips: Vec<IpAddr> = all.filter_map(|ip| ip.parse().ok()).collect();
    if ips.is_empty() {
        ips.extend(spec.cluster_ip.as_ref().and_then(|ip| ip.parse::<IpAddr>().ok()));
    }
    ips
}

/// Everything the proxy of `node` needs.
pub(super) fn input(view: &View, node: &str) -> ProxyInput {
    let slices = slices(view);
    let mut ports = Vec::new();
    for service in view.read_all::<Service>(None) {
        let Some(spec) = &service.spec else { continue };
        if spec.type_.as_deref() == Some("ExternalName") {
            continue;
        }
        let key = key_of(&service);
        let own = slices.get(&key).map(Vec::as_slice).unwrap_or_default();
        for ip in cluster_ips(spec) {
            for port in spec.ports.iter().flatten() {
                ports.extend(service_port(&service, spec, port, ip, own, node));
            }
        }
    }
    ProxyInput { ports, host_ports: Vec::new() }
}

fn service_port(
    service: &Service,
    spec: &ServiceSpec,
    port: &ApiPort,
    cluster_ip: IpAddr,
    slices: &[Arc<EndpointSlice>],
    node: &str,
) -> Option<ServicePort> {
    let same = |ip: &IpAddr| ip.is_ipv4() == cluster_ip.is_ipv4();
    let ips = |list: &Option<Vec<String>>| -> Vec<IpAddr> {
        list.iter().flatten().filter_map(|ip| ip.parse().ok()).filter(same).collect()
    };
    let (namespace, name) = key_of(service);
    let port_name = port.name.clone().unwrap_or_default();
    let proto = proto(port.protocol.as_deref())?;
    Some(ServicePort {
        service: format!("{namespace}/{name}"),
        proto,
        port: u16::try_from(port.port).ok()?,
        cluster_ip,
        node_port: port.node_port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p > 0),
        external_ips: ips(&spec.external_ips),
        load_balancer_ips: ingress(service).filter(same).collect(),
        source_ranges: spec
            .load_balancer_source_ranges
            .iter()
            .flatten()
            .filter_map(|range| range.trim().parse().ok())
            .collect(),
        affinity: affinity(spec),
        internal_policy: policy(spec.internal_traffic_policy.as_deref()),
        external_policy: policy(spec.external_traffic_policy.as_deref()),
        endpoints: endpoints(slices, &port_name, proto, cluster_ip, node),
        port_name,
    })
}

/// Addresses of the load balancer that clients send to as they are.
pub(super) fn ingress(service: &Service) -> impl Iterator<Item = IpAddr> {
    let status = service.status.as_ref().and_then(|s| s.load_balancer.as_ref());
    let all = status.into_iter().flat_map(|lb| lb.ingress.iter().flatten());
    all.filter(|i| i.ip_mode.as_deref() != Some("Proxy"))
        .filter_map(|i| i.ip.as_ref()?.parse().ok())
}

fn affinity(spec: &ServiceSpec) -> Option<u32> {
    /// `DefaultClientIPServiceAffinitySeconds`
    const DEFAULT: u32 = 10_800;
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return None;
    }
    let config = spec.session_affinity_config.as_ref().and_then(|c| c.client_ip.as_ref());
    let secs = config.and_then(|c| c.timeout_seconds).and_then(|s| u32::try_from(s).ok());
    Some(secs.unwrap_or(DEFAULT))
}

fn policy(text: Option<&str>) -> TrafficPolicy {
    if text == Some("Local") { TrafficPolicy::Local } else { TrafficPolicy::Cluster }
}

pub(super) fn proto(text: Option<&str>) -> Option<Proto> {
    match text.unwrap_or("TCP") {
        "TCP" => Some(Proto::Tcp),
        "UDP" => Some(Proto::Udp),
        "SCTP" => Some(Proto::Sctp),
        _ => None,
    }
}

fn endpoints(
    slices: &[Arc<EndpointSlice>],
    port_name: &str,
    proto_wanted: Proto,
    cluster_ip: IpAddr,
    node: &str,
) -> Vec<Endpoint> {
    let mut out = Vec::new();
    for slice in slices {
        let wanted = |p: &&k8s_openapi::api::discovery::v1::EndpointPort| {
            p.name.as_deref().unwrap_or_default() == port_name
                && proto(p.protocol.as_deref()) == Some(proto_wanted)
        };
        let port = slice.ports.iter().flatten().find(wanted).and_then(|p| p.port);
        let Some(port) = port.and_then(|p| u16::try_from(p).ok()) else { continue };
        for endpoint in &slice.endpoints {
            let Some(state) = state(endpoint) else { continue };
            let here = endpoint.node_name.as_deref() == Some(node);
            let place = if here { Place::Here } else { Place::Elsewhere };
            let address = endpoint.addresses.first().and_then(|a| a.parse::<IpAddr>().ok());
            let Some(addr) = address.filter(|a| a.is_ipv4() == cluster_ip.is_ipv4()) else {
                continue;
            };
            out.push(Endpoint { addr, port, state, place });
        }
    }
    out.sort();
    out.dedup();
    out
}

/// `None` for one that serves nobody.
fn state(endpoint: &ApiEndpoint) -> Option<EndpointState> {
    let Some(conditions) = &endpoint.conditions else { return Some(EndpointState::Ready) };
    if conditions.ready != Some(false) {
        return Some(EndpointState::Ready);
    }
    let draining = conditions.serving == Some(true) && conditions.terminating == Some(true);
    draining.then_some(EndpointState::Draining)
}
