//! One endpoint: a container's place on one network, wanted and assigned.

use serde::{Deserialize, Serialize};

use super::{Dict, List, is_zero};

/// What the client asked for (upper half) and what the network gave (lower half).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointSettings {
    #[serde(rename = "IPAMConfig")]
    pub ipam_config: Option<EndpointIpam>,
    pub links: List<String>,
    pub aliases: List<String>,
    pub mac_address: String,
    /// The address that was asked for, which outlives the network's own choice. Ours, not Docker's.
    #[serde(rename = "WantedMac", skip_serializing_if = "String::is_empty")]
    pub wanted_mac: String,
    pub driver_opts: Dict<String>,
    pub gw_priority: i64,
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    pub gateway: String,
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    pub ip_prefix_len: u8,
    #[serde(rename = "IPv6Gateway")]
    pub ipv6_gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    pub global_ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub global_ipv6_prefix_len: u8,
    #[serde(rename = "DNSNames")]
    pub dns_names: List<String>,
}

impl EndpointSettings {
    /// As a client sends it: what it says is what is wanted.
    #[must_use]
    pub fn asked(self) -> Self {
        Self { wanted_mac: self.mac_address.clone(), ..self }
    }

    /// Forgets what the network gave, as happens when a container stops.
    pub fn release(&mut self) {
        self.endpoint_id.clear();
        // Made from the address, which somebody else may have next.
        self.mac_address.clone_from(&self.wanted_mac);
        self.gateway.clear();
        self.ip_address.clear();
        self.ip_prefix_len = 0;
        self.ipv6_gateway.clear();
        self.global_ipv6_address.clear();
        self.global_ipv6_prefix_len = 0;
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointIpam {
    #[serde(rename = "IPv4Address", skip_serializing_if = "String::is_empty")]
    pub ipv4_address: String,
    #[serde(rename = "IPv6Address", skip_serializing_if = "String::is_empty")]
    pub ipv6_address: String,
    #[serde(rename = "LinkLocalIPs", skip_serializing_if = "is_zero")]
    pub link_local_ips: Vec<String>,
}
