//! Services, EndpointSlices and namespaces as the cluster zone's input.

use super::proxy::{self, Slices, cluster_ips, key_of, proto};
use crate::config::NodeConfig;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Namespace, Service, ServiceSpec};
use netplan::dns::{DnsEndpoint, DnsInput, DnsPort, DnsService, ServiceKind};
use store::View;
use typed::Read;

pub(super) fn input(view: &View, config: &NodeConfig, service_nets: &[IpNet]) -> DnsInput {
    let slices = proxy::slices(view);
    let services = view.read_all::<Service>(None);
    let mut reverse: Vec<IpNet> = service_nets.to_vec();
    reverse.extend(config.pod_cidr.parse::<IpNet>().ok());
    DnsInput {
        domain: config.cluster_domain.clone(),
        // Serials wrap around; only their change counts.
        serial: (view.revision() & u64::from(u32::MAX)) as u32,
        dns_ips: config.cluster_dns.parse().into_iter().collect(),
        services: services.filter_map(|service| dns_service(&service, &slices)).collect(),
        namespaces: view
            .read_all::<Namespace>(None)
            .filter_map(|n| n.metadata.name.clone())
            .collect(),
        reverse,
    }
}

fn dns_service(service: &Service, slices: &Slices) -> Option<DnsService> {
    let spec = service.spec.as_ref()?;
    let (namespace, name) = key_of(service);
    if spec.type_.as_deref() == Some("ExternalName") {
        let kind = ServiceKind::ExternalName(spec.external_name.clone()?);
        return Some(DnsService { namespace, name, kind, ports: Vec::new() });
    }
    let ips = cluster_ips(spec);
    if !ips.is_empty() {
        let ports = spec_ports(spec);
        return Some(DnsService { namespace, name, kind: ServiceKind::ClusterIp(ips), ports });
    }
    let (endpoints, ports) = headless(slices, &(namespace.clone(), name.clone()));
    Some(DnsService { namespace, name, kind: ServiceKind::Headless(endpoints), ports })
}

fn spec_ports(spec: &ServiceSpec) -> Vec<DnsPort> {
    let ports = spec.ports.iter().flatten();
    ports
        .filter_map(|port| {
            Some(DnsPort {
                name: port.name.clone().unwrap_or_default(),
                proto: proto(port.protocol.as_deref())?,
                port: u16::try_from(port.port).ok()?,
            })
        })
        .collect()
}

fn headless(slices: &Slices, key: &(String, String)) -> (Vec<DnsEndpoint>, Vec<DnsPort>) {
    let (mut endpoints, mut ports) = (Vec::new(), Vec::new());
    for slice in slices.get(key).into_iter().flatten() {
        for port in slice.ports.iter().flatten() {
            let Some(proto) = proto(port.protocol.as_deref()) else { continue };
            let Some(number) = port.port.and_then(|p| u16::try_from(p).ok()) else { continue };
            let port = DnsPort { name: port.name.clone().unwrap_or_default(), proto, port: number };
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        for endpoint in &slice.endpoints {
            if endpoint.conditions.as_ref().and_then(|c| c.ready) == Some(false) {
                continue;
            }
            let address = endpoint.addresses.first().and_then(|a| a.parse().ok());
            let Some(addr) = address else { continue };
            endpoints.push(DnsEndpoint { addr, hostname: endpoint.hostname.clone() });
        }
    }
    (endpoints, ports)
}
