//! Connections that a change of endpoints left behind. Only UDP has them: a TCP peer notices by
//! itself, but a UDP client that keeps its port would talk to a dead endpoint for as long as it
//! talks (`pkg/proxy/conntrack/cleanup.go`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::{Endpoint, EndpointState, ProxyInput};
use crate::nft::Proto;

/// Where UDP connections to Services may lead now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UdpTargets {
    /// By address and port of a Service.
    services: BTreeMap<SocketAddr, BTreeSet<SocketAddr>>,
    /// By node port or host port.
    ports: BTreeMap<u16, BTreeSet<SocketAddr>>,
}

impl UdpTargets {
    pub fn of(input: &ProxyInput) -> UdpTargets {
        let mut targets = UdpTargets::default();
        for port in input.ports.iter().filter(|p| p.proto == Proto::Udp) {
            let to: BTreeSet<SocketAddr> = usable(&port.endpoints);
            let outer = port.external_ips.iter().chain(&port.load_balancer_ips);
            for ip in outer.chain([&port.cluster_ip]) {
                targets.services.insert(SocketAddr::new(*ip, port.port), to.clone());
            }
            if let Some(node_port) = port.node_port {
                targets.ports.entry(node_port).or_default().extend(to);
            }
        }
        for port in input.host_ports.iter().filter(|p| p.proto == Proto::Udp) {
            let to = SocketAddr::new(port.pod_ip, port.pod_port);
            targets.ports.entry(port.host_port).or_default().insert(to);
        }
        targets
    }

    /// Whether a tracked connection to `original`, answered by `answering`, must be forgotten:
    /// it was to a Service, and its endpoint is none any more. `local` says whether the original
    /// address is the node's (then it may be a NodePort).
    pub fn is_stale(
        &self,
        original: SocketAddr,
        answering: SocketAddr,
        local: impl FnOnce(IpAddr) -> bool,
    ) -> bool {
        if let Some(to) = self.services.get(&original) {
            return !to.contains(&answering);
        }
        match self.ports.get(&original.port()) {
            Some(to) => !to.contains(&answering) && local(original.ip()),
            None => false,
        }
    }
}

fn usable(endpoints: &[Endpoint]) -> BTreeSet<SocketAddr> {
    let ready = |e: &&Endpoint| e.state == EndpointState::Ready;
    let any_ready = endpoints.iter().any(|e| ready(&e));
    let list = endpoints.iter().filter(|e| !any_ready || ready(e));
    list.map(|e| SocketAddr::new(e.addr, e.port)).collect()
}
