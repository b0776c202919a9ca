//! The cluster's records (Kubernetes DNS specification 1.1.0; CoreDNS `plugin/kubernetes`).

use std::net::IpAddr;
use std::sync::Arc;

use super::zone::{PodNames, reverse_name};
use super::{Data, DnsEndpoint, DnsInput, DnsPort, DnsService, Records, ServiceKind, Zone};

/// TTL of cluster records: CoreDNS' default.
const TTL: u32 = 5;

/// The zone of a cluster. The order of the input does not matter for what names mean.
pub fn zone(input: &DnsInput) -> Zone {
    let domain = input.domain.to_ascii_lowercase();
    let mut records = Records::default();
    records.exists(&format!("svc.{domain}"), &domain);
    records.exists(&format!("pod.{domain}"), &domain);
    records.exists(&domain, "");
    records.add(&format!("dns-version.{domain}"), Data::Txt("1.1.0".into()));
    let server = format!("ns.dns.{domain}");
    records.add(&domain, Data::Ns(server.clone()));
    for ip in &input.dns_ips {
        records.add(&server, Data::from(*ip));
    }
    records.exists(&format!("dns.{domain}"), &domain);
    for namespace in &input.namespaces {
        for part in ["svc", "pod"] {
            records.exists(&format!("{namespace}.{part}.{domain}"), &domain);
        }
    }
    for service in &input.services {
        add_service(&mut records, &domain, service);
    }
    Zone {
        layers: vec![Arc::new(records)],
        pods: Some(PodNames {
            suffix: format!(".pod.{domain}"),
            namespaces: input.namespaces.iter().cloned().collect(),
        }),
        origins: vec![domain],
        reverse: input.reverse.clone(),
        ttl: TTL,
        serial: input.serial,
    }
}

fn add_service(records: &mut Records, domain: &str, service: &DnsService) {
    let name = format!("{}.{}.svc.{domain}", service.name, service.namespace);
    records.exists(&name, domain);
    match &service.kind {
        ServiceKind::ClusterIp(ips) => {
            for ip in ips {
                records.add(&name, Data::from(*ip));
                records.add(&reverse_name(*ip), Data::Ptr(name.clone()));
            }
            add_ports(records, &name, domain, &service.ports, &name, 100);
        }
        ServiceKind::Headless(endpoints) => {
            let weight = 100 / u16::try_from(endpoints.len().max(1)).unwrap_or(u16::MAX);
            for endpoint in endpoints {
                let host = format!("{}.{name}", label(endpoint));
                records.add(&name, Data::from(endpoint.addr));
                records.add(&host, Data::from(endpoint.addr));
                records.add(&reverse_name(endpoint.addr), Data::Ptr(host.clone()));
                add_ports(records, &name, domain, &service.ports, &host, weight.max(1));
            }
        }
        ServiceKind::ExternalName(target) => {
            let target = target.trim_end_matches('.').to_ascii_lowercase();
            records.add(&name, Data::Cname(target));
        }
    }
}

/// SRV records: under `_port._protocol` for named ports, and all of them at the name itself.
fn add_ports(
    records: &mut Records,
    name: &str,
    domain: &str,
    ports: &[DnsPort],
    target: &str,
    weight: u16,
) {
    for port in ports {
        let srv = || Data::Srv { priority: 0, weight, port: port.port, target: target.into() };
        records.add(name, srv());
        if !port.name.is_empty() {
            let owner = format!("_{}._{}.{name}", port.name.to_ascii_lowercase(), port.proto);
            records.exists(&owner, domain);
            records.add(&owner, srv());
        }
    }
}

/// First label of an endpoint's own name.
fn label(endpoint: &DnsEndpoint) -> String {
    let dashed = |addr: IpAddr| addr.to_string().replace(['.', ':'], "-");
    endpoint.hostname.clone().unwrap_or_else(|| dashed(endpoint.addr)).to_ascii_lowercase()
}
