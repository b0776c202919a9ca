//! Container names on a Docker network (moby `daemon/libnetwork/resolver.go`): the name, the
//! network's aliases and the short id, each also with the network's name behind.

use std::net::IpAddr;

use super::zone::reverse_name;
use super::{Data, Records, Zone};

/// What a container is called on one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerName {
    /// The container's name; reverse lookups give `NAME.NETWORK`.
    pub name: String,
    /// Network aliases, service names, the short id.
    pub aliases: Vec<String>,
    pub addrs: Vec<IpAddr>,
}

/// The names of one network. Several containers with one alias share its name.
pub fn container_records(network: &str, containers: &[ContainerName]) -> Records {
    let mut records = Records::default();
    for container in containers {
        for name in container.aliases.iter().chain([&container.name]) {
            for addr in &container.addrs {
                records.add(name, Data::from(*addr));
                records.add(&format!("{name}.{network}"), Data::from(*addr));
            }
        }
        for addr in &container.addrs {
            let full = format!("{}.{network}", container.name).to_ascii_lowercase();
            records.add(&reverse_name(*addr), Data::Ptr(full));
        }
    }
    records
}

impl Zone {
    /// What a container on these networks sees: their names, and nothing is ours alone.
    pub fn of_networks(layers: Vec<std::sync::Arc<Records>>) -> Zone {
        /// Docker's TTL for container names.
        const TTL: u32 = 600;
        Zone { layers, ttl: TTL, ..Zone::default() }
    }
}
