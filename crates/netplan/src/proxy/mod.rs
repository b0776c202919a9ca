//! The service proxy: Kubernetes Services as a ruleset whose cost per packet does not grow with
//! the number of Services. Semantics after `pkg/proxy/nftables/proxier.go` and
//! `pkg/proxy/topology.go`; the layout is our own: one map from address, protocol and port to a
//! chain for each Service port, and in that chain one translation to a random endpoint.

mod layout;
mod service;
mod slots;
mod stale;
#[cfg(test)]
mod tests;

pub use layout::rules;
pub use stale::UdpTargets;

use std::net::IpAddr;

use ipnet::IpNet;

use crate::nft::Proto;

/// Everything the proxy of one node needs to know of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyInput {
    pub ports: Vec<ServicePort>,
    pub host_ports: Vec<HostPort>,
}

/// One port of one Service in one address family (a dual-stack Service gives two).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// `namespace/name`.
    pub service: String,
    /// Name of the port; empty when it has none.
    pub port_name: String,
    pub proto: Proto,
    pub port: u16,
    pub cluster_ip: IpAddr,
    pub node_port: Option<u16>,
    /// `spec.externalIPs` of this family.
    pub external_ips: Vec<IpAddr>,
    /// `status.loadBalancer.ingress` addresses of this family with ipMode VIP.
    pub load_balancer_ips: Vec<IpAddr>,
    /// `spec.loadBalancerSourceRanges`; empty means everybody.
    pub source_ranges: Vec<IpNet>,
    /// Seconds of ClientIP session affinity; `None` is no affinity.
    pub affinity: Option<u32>,
    pub internal_policy: TrafficPolicy,
    pub external_policy: TrafficPolicy,
    pub endpoints: Vec<Endpoint>,
}

/// `Cluster` or `Local` of the two traffic policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrafficPolicy {
    Cluster,
    Local,
}

/// One address of an EndpointSlice with the port resolved for the Service port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    pub addr: IpAddr,
    pub port: u16,
    pub state: EndpointState,
    pub place: Place,
}

/// What the conditions of an endpoint say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointState {
    /// Used first.
    Ready,
    /// Serving and terminating: used when nothing is ready (KEP-1669).
    Draining,
}

/// Whether an endpoint is on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Here,
    Elsewhere,
}

/// A `hostPort` of a Pod on this node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    pub proto: Proto,
    /// The unspecified address means every address of the node.
    pub host_ip: IpAddr,
    pub host_port: u16,
    pub pod_ip: IpAddr,
    pub pod_port: u16,
}

/// What the node knows of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// Name of the table, for example `boxship-demo.kube`.
    pub table: String,
    /// Pod subnets of the whole cluster: traffic from elsewhere to a Service is masqueraded.
    pub cluster_cidrs: Vec<IpNet>,
    /// Pod subnets of this node: their traffic to the outside leaves with the node's address.
    pub pod_cidrs: Vec<IpNet>,
    /// Service subnets, and that of the load balancer addresses: a port nobody serves there is
    /// refused instead of leaving the host.
    pub service_cidrs: Vec<IpNet>,
    /// Addresses on which NodePorts answer; empty means every address of the node.
    pub node_port_ips: Vec<IpAddr>,
}
