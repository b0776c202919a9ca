//! The firewall of container networks: masquerade, isolation and published ports.
//!
//! Follows what Docker 28 promises (moby `daemon/libnetwork/drivers/bridge`): a container is
//! reached from outside only through its published ports, networks do not see each other,
//! internal networks see nothing else. Accepting is left to the user's own tables: our chains
//! only refuse.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::nft::{
    ChainKind, Datum, Family, Field, Hook, Proto, Ruleset, Set, Table, Target, Type, Value, accept,
    bits, dnat, drop, eq, in_set, jump, masquerade, ne, priority,
};

#[cfg(test)]
mod tests;

/// All container networks of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworksInput {
    /// Name of the table, for example `boxship-demo`.
    pub table: String,
    pub networks: Vec<BridgeNet>,
}

/// One network on one bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeNet {
    /// Interface name of the bridge.
    pub bridge: String,
    pub subnets: Vec<IpNet>,
    pub egress: Egress,
    pub published: Vec<Published>,
}

/// What the containers of a network can reach beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Egress {
    /// Everything, with the host's address (the default).
    Masquerade,
    /// Everything, with their own addresses (`enable_ip_masquerade=false`).
    Routed,
    /// Nothing (`--internal`).
    Internal,
}

/// A port of the host that leads to a port of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub proto: Proto,
    /// The unspecified address means every address of the host in that family.
    pub host_ip: IpAddr,
    pub host_port: u16,
    pub container_ip: IpAddr,
    pub container_port: u16,
}

/// The ruleset of all networks: one table in each family.
pub fn rules(input: &NetworksInput) -> Ruleset {
    let mut ruleset = Ruleset::default();
    for family in Family::ALL {
        let table = ruleset.table(family, &input.table);
        declare(table);
        for network in &input.networks {
            add_network(table, family, network);
        }
        forward(table);
        nat(table, family, &input.networks);
    }
    ruleset
}

const BRIDGES: &str = "bridges";
const WITHIN: &str = "within";
const INTERNAL: &str = "internal";
const PUBLISHED: &str = "published";
const PUBLISHED_ON: &str = "published-on";

fn declare(table: &mut Table) {
    table.set(BRIDGES, Set::of(&[Type::Iface]));
    table.set(WITHIN, Set::of(&[Type::Iface, Type::Iface]));
    table.set(INTERNAL, Set::of(&[Type::Iface]));
    let socket = [Type::Addr, Type::Port];
    table.set(PUBLISHED, Set::map(&[Type::Proto, Type::Port], &socket));
    table.set(PUBLISHED_ON, Set::map(&[Type::Addr, Type::Proto, Type::Port], &socket));
}

fn add_network(table: &mut Table, family: Family, network: &BridgeNet) {
    let bridge = || Value::from(network.bridge.as_str());
    table.element(BRIDGES, vec![bridge()], Datum::None);
    table.element(WITHIN, vec![bridge(), bridge()], Datum::None);
    if network.egress == Egress::Internal {
        table.element(INTERNAL, vec![bridge()], Datum::None);
    }
    for port in network.published.iter().filter(|p| Family::of(p.container_ip) == family) {
        publish(table, port);
    }
}

/// A port on the unspecified address of the other family is nobody's: the caller names the
/// families it wants.
fn publish(table: &mut Table, port: &Published) {
    if Family::of(port.host_ip) != Family::of(port.container_ip) {
        return;
    }
    let to = Datum::Values(vec![port.container_ip.into(), port.container_port.into()]);
    let on: Vec<Value> = vec![port.proto.into(), port.host_port.into()];
    if port.host_ip.is_unspecified() {
        table.element(PUBLISHED, on, to);
    } else {
        let key = [vec![port.host_ip.into()], on].concat();
        table.element(PUBLISHED_ON, key, to);
    }
}

/// What may pass between bridges: answers, traffic within a network, and published ports.
fn forward(table: &mut Table) {
    const CHAIN: &str = "forward";
    table.base(CHAIN, ChainKind::Filter, Hook::Forward, priority::FILTER);
    table.rule(CHAIN, [eq(Field::CtState, answers()), accept()]);
    table.rule(CHAIN, [in_set(&[Field::Iifname, Field::Oifname], WITHIN), accept()]);
    table.rule(CHAIN, [in_set(&[Field::Iifname], INTERNAL), drop()]);
    table.rule(CHAIN, [in_set(&[Field::Oifname], INTERNAL), drop()]);
    let published = eq(Field::CtStatus, Value::Bits(bits::DNAT));
    table.rule(CHAIN, [in_set(&[Field::Oifname], BRIDGES), published, accept()]);
    table.rule(CHAIN, [in_set(&[Field::Oifname], BRIDGES), drop()]);
}

fn answers() -> Value {
    Value::Bits(bits::ESTABLISHED | bits::RELATED)
}

fn nat(table: &mut Table, family: Family, networks: &[BridgeNet]) {
    table.base("prerouting", ChainKind::Nat, Hook::Prerouting, priority::DSTNAT);
    table.base("output", ChainKind::Nat, Hook::Output, priority::DSTNAT);
    for chain in ["prerouting", "output"] {
        table.rule(chain, [eq(Field::FibDaddr, Value::Local), jump(PUBLISHED)]);
    }
    let on = vec![Field::Daddr, Field::L4proto, Field::Dport];
    table.rule(PUBLISHED, [dnat(Target::Map(on.clone(), PUBLISHED_ON.into()))]);
    table.rule(PUBLISHED, [dnat(Target::Map(on[1..].to_vec(), PUBLISHED.into()))]);

    table.base("postrouting", ChainKind::Nat, Hook::Postrouting, priority::SRCNAT);
    if family == Family::Ip {
        loopback(table);
    }
    for network in networks {
        for subnet in network.subnets.iter().filter(|s| Family::of_net(s) == family) {
            masquerade_network(table, network, subnet);
        }
    }
}

/// The host reaches published ports on 127.0.0.1 (the bridges have `route_localnet`), and no
/// container reaches what listens on the host's loopback through that. The kernel has no such
/// switch for ::1: there a published port refuses, and clients go on to 127.0.0.1.
fn loopback(table: &mut Table) {
    let net = IpNet::new(Ipv4Addr::new(127, 0, 0, 0).into(), 8);
    let net = net.expect("a prefix of at most 32");
    table.base("guard", ChainKind::Filter, Hook::Prerouting, priority::RAW);
    table.rule("guard", [in_set(&[Field::Iifname], BRIDGES), eq(Field::Daddr, net), drop()]);
    let from_host = eq(Field::Saddr, net);
    table.rule("postrouting", [from_host, in_set(&[Field::Oifname], BRIDGES), masquerade()]);
}

/// A container that reaches its own network through a published port gets the gateway as its
/// source, so that the answer comes back through the translation also where bridged packets do
/// not pass netfilter.
fn masquerade_network(table: &mut Table, network: &BridgeNet, subnet: &IpNet) {
    let from = || eq(Field::Saddr, *subnet);
    let bridge = network.bridge.as_str();
    let turned = eq(Field::CtStatus, Value::Bits(bits::DNAT));
    table.rule("postrouting", [from(), eq(Field::Oifname, bridge), turned, masquerade()]);
    if network.egress == Egress::Masquerade {
        table.rule("postrouting", [from(), ne(Field::Oifname, bridge), masquerade()]);
    }
}
