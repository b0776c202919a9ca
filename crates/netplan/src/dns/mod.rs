//! Names: what a zone holds and what it answers. One server (in the crate `net`) serves both
//! container names on Docker networks and the cluster's records.

mod answer;
mod cluster;
mod containers;
#[cfg(test)]
mod tests;
pub mod wire;
mod zone;

pub use answer::{Answer, Chase, Transport, answer, failure, finish};
pub use cluster::zone;
pub use containers::{ContainerName, container_records};
pub use zone::{Data, Records, Zone};

use std::net::IpAddr;

use ipnet::IpNet;

/// What the cluster's DNS knows (after the Kubernetes DNS specification 1.1.0 and the CoreDNS
/// plugin `kubernetes`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsInput {
    /// Usually `cluster.local`.
    pub domain: String,
    /// Serial of the SOA record: the revision the input was read at.
    pub serial: u32,
    /// Addresses of the DNS Service itself, for the zone's NS record.
    pub dns_ips: Vec<IpAddr>,
    pub services: Vec<DnsService>,
    /// Namespaces that exist; pod records `1-2-3-4.ns.pod` are answered in them.
    pub namespaces: Vec<String>,
    /// Subnets whose reverse names we own: an unknown address in them does not exist.
    pub reverse: Vec<IpNet>,
}

/// A Service and, when it is headless, its endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsService {
    pub namespace: String,
    pub name: String,
    pub kind: ServiceKind,
    pub ports: Vec<DnsPort>,
}

/// What the name of a Service leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceKind {
    /// Cluster IPs, one for each family.
    ClusterIp(Vec<IpAddr>),
    Headless(Vec<DnsEndpoint>),
    /// `spec.externalName`.
    ExternalName(String),
}

/// A named port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsPort {
    /// Empty when it has none; then it has no SRV record under `_name._proto`.
    pub name: String,
    /// `tcp`, `udp` or `sctp`.
    pub proto: crate::nft::Proto,
    /// Port of the Service; for a headless one the port of the endpoints.
    pub port: u16,
}

/// A ready endpoint of a headless Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsEndpoint {
    pub addr: IpAddr,
    /// The Pod's hostname when its subdomain is this Service; else its address with dashes is
    /// the name of its record.
    pub hostname: Option<String>,
}
