//! Networks and volumes as the wire shows them.

use engine::networks::{Member, Network};
use engine::volumes::Volume;
use serde_json::{Map, Value, json};

/// A network; with its members when one is inspected, without them in lists.
pub fn network(network: &Network, members: &[Member]) -> Value {
    let record = &network.record;
    let containers: Map<String, Value> =
        members.iter().map(|m| (m.container.clone(), member(m))).collect();
    json!({
        "Name": record.name,
        "Id": record.id,
        "Created": record.created.rfc3339_nano(),
        "Scope": "local",
        "Driver": record.driver,
        "EnableIPv4": record.enable_ipv4,
        "EnableIPv6": record.enable_ipv6,
        "IPAM": {
            "Driver": record.ipam.driver,
            "Options": record.ipam.options,
            "Config": record.ipam.config.clone().unwrap_or_default(),
        },
        "Internal": record.internal,
        "Attachable": record.attachable,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": containers,
        "Options": record.options,
        "Labels": record.labels,
    })
}

fn member(member: &Member) -> Value {
    let address = |v4: bool| {
        let found = member.addrs.iter().find(|a| a.addr().is_ipv4() == v4);
        found.map(ToString::to_string).unwrap_or_default()
    };
    json!({
        "Name": member.name,
        "EndpointID": member.endpoint,
        "MacAddress": member.mac,
        "IPv4Address": address(true),
        "IPv6Address": address(false),
    })
}

pub fn volume(volume: &Volume) -> Value {
    json!({
        "CreatedAt": engine::Stamp::from_secs(volume.created.secs()).rfc3339_nano(),
        "Driver": "local",
        "Labels": volume.labels,
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Options": volume.options,
        "Scope": "local",
    })
}
