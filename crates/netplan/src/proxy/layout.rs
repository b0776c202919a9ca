//! The fixed part of the proxy's table: hooks, dispatch, refusal, masquerade.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

use super::service::{Names, add_service};
use super::slots::Slots;
use super::{HostPort, NodeFacts, ProxyInput, ServicePort};
use crate::nft::{
    ChainKind, Datum, Family, Field, Hook, Proto, Reject, Ruleset, Set, Stmt, Table, Target, Type,
    Value, Verdict, bits, dnat, eq, goto, in_set, jump, mark_or, marked, masquerade, priority,
    reject, vmap,
};

/// The packet mark of connections that leave with the node's address: kube-proxy's default bit.
pub(super) const MASQUERADE_MARK: u32 = 0x4000;

pub(super) const SERVICES: &str = "services";
pub(super) const NODE_PORTS: &str = "node-ports";
pub(super) const REFUSED: &str = "refused";
pub(super) const REFUSED_NODE_PORTS: &str = "refused-node-ports";
pub(super) const FIREWALL: &str = "firewall";
pub(super) const HAIRPIN: &str = "hairpin";
/// Chain that marks what does not come from a Pod.
pub(super) const MARK_OUTSIDE: &str = "mark-outside";
/// Chain that answers with a refusal.
pub(super) const REFUSE: &str = "refuse";
const NODE_PORT_IPS: &str = "node-port-ips";
const HOST_PORTS: &str = "host-ports";
const HOST_PORTS_ON: &str = "host-ports-on";
const DISPATCH: &str = "dispatch";
const EGRESS: &str = "egress";

/// Before the container networks' own translations, so that a Service address that is also the
/// host's (an external IP) is the Service's.
const TRANSLATE: i32 = priority::DSTNAT - 10;
const BEFORE_TRANSLATION: i32 = TRANSLATE - 10;

pub(super) const SOCKET: [Field; 3] = [Field::Daddr, Field::L4proto, Field::Dport];
const PORT: [Field; 2] = [Field::L4proto, Field::Dport];

/// The whole table of a node's service proxy, in each family. The order of the input does not
/// matter.
pub fn rules(input: &ProxyInput, node: &NodeFacts) -> Ruleset {
    let mut ruleset = Ruleset::default();
    for family in Family::ALL {
        let table = ruleset.table(family, &node.table);
        declare(table, family, node);
        dispatch(table, family, node);
        refuse(table, family, node);
        postrouting(table, family, node);
        let mut slots = Slots::default();
        for port in in_order(&input.ports, family) {
            let names = Names::of(port, &mut slots);
            add_service(table, family, port, &names, node);
        }
        let mut host_ports: Vec<&HostPort> = input.host_ports.iter().collect();
        host_ports.sort();
        for port in host_ports.into_iter().filter(|p| Family::of(p.pod_ip) == family) {
            add_host_port(table, port);
        }
    }
    ruleset
}

fn in_order(ports: &[ServicePort], family: Family) -> Vec<&ServicePort> {
    let mut ports: Vec<&ServicePort> =
        ports.iter().filter(|p| Family::of(p.cluster_ip) == family).collect();
    ports.sort_by_key(|p| (&p.service, p.proto, p.port));
    ports
}

fn declare(table: &mut Table, family: Family, node: &NodeFacts) {
    let socket = [Type::Addr, Type::Proto, Type::Port];
    let to = [Type::Addr, Type::Port];
    for name in [SERVICES, REFUSED, FIREWALL] {
        table.set(name, Set::verdicts(&socket));
    }
    for name in [NODE_PORTS, REFUSED_NODE_PORTS] {
        table.set(name, Set::verdicts(&socket[1..]));
    }
    table.set(HAIRPIN, Set::of(&[Type::Addr, Type::Addr]));
    table.set(HOST_PORTS, Set::map(&socket[1..], &to));
    table.set(HOST_PORTS_ON, Set::map(&socket, &to));
    if !node.node_port_ips.is_empty() {
        table.set(NODE_PORT_IPS, Set::of(&[Type::Addr]));
        for ip in node.node_port_ips.iter().filter(|ip| Family::of(**ip) == family) {
            table.element(NODE_PORT_IPS, vec![(*ip).into()], Datum::None);
        }
    }
}

/// Whether a packet is for an address on which NodePorts answer.
fn to_node_port(node: &NodeFacts) -> Stmt {
    if node.node_port_ips.is_empty() {
        to_this_host()
    } else {
        in_set(&[Field::Daddr], NODE_PORT_IPS)
    }
}

fn to_this_host() -> Stmt {
    eq(Field::FibDaddr, Value::Local)
}

/// The way of a new connection: its target is looked up, never searched for.
fn dispatch(table: &mut Table, family: Family, node: &NodeFacts) {
    for (chain, hook) in [("prerouting", Hook::Prerouting), ("output", Hook::Output)] {
        table.base(chain, ChainKind::Nat, hook, TRANSLATE);
        table.rule(chain, [jump(DISPATCH)]);
        let firewall = format!("firewall-{chain}");
        table.base(&firewall, ChainKind::Filter, hook, BEFORE_TRANSLATION);
        table.rule(&firewall, [is_new(), vmap(&SOCKET, FIREWALL)]);
    }
    table.rule(DISPATCH, [vmap(&SOCKET, SERVICES)]);
    table.rule(DISPATCH, [to_node_port(node), vmap(&PORT, NODE_PORTS)]);
    let on = Target::Map(SOCKET.to_vec(), HOST_PORTS_ON.into());
    table.rule(DISPATCH, [to_this_host(), dnat(on)]);
    let any = Target::Map(PORT.to_vec(), HOST_PORTS.into());
    table.rule(DISPATCH, [to_this_host(), dnat(any)]);
    for net in of_family(&node.cluster_cidrs, family) {
        let inside = eq(Field::Saddr, net);
        table.rule(MARK_OUTSIDE, [inside, Stmt::Verdict(Verdict::Return)]);
    }
    table.rule(MARK_OUTSIDE, [mark_or(MASQUERADE_MARK)]);
}

fn is_new() -> Stmt {
    eq(Field::CtState, Value::Bits(bits::NEW))
}

fn of_family(nets: &[IpNet], family: Family) -> impl Iterator<Item = IpNet> {
    let mut nets: Vec<IpNet> =
        nets.iter().copied().filter(|n| Family::of_net(n) == family).collect();
    nets.sort();
    nets.into_iter()
}

/// What no translation took: Services without endpoints, and unserved ports of their subnets.
fn refuse(table: &mut Table, family: Family, node: &NodeFacts) {
    const CHECK: &str = "check";
    for (chain, hook) in
        [("input", Hook::Input), ("forward", Hook::Forward), ("filter-output", Hook::Output)]
    {
        table.base(chain, ChainKind::Filter, hook, priority::FILTER);
        table.rule(chain, [is_new(), jump(CHECK)]);
    }
    table.rule(CHECK, [vmap(&SOCKET, REFUSED)]);
    table.rule(CHECK, [to_node_port(node), vmap(&PORT, REFUSED_NODE_PORTS)]);
    for net in of_family(&node.service_cidrs, family) {
        table.rule(CHECK, [eq(Field::Daddr, net), goto(REFUSE)]);
    }
    // A reset is not subject to the kernel's rate limit for ICMP.
    table.rule(REFUSE, [eq(Field::L4proto, Proto::Tcp), Stmt::Reject(Reject::TcpReset)]);
    table.rule(REFUSE, [reject()]);
}

fn postrouting(table: &mut Table, family: Family, node: &NodeFacts) {
    const CHAIN: &str = "postrouting";
    table.base(CHAIN, ChainKind::Nat, Hook::Postrouting, priority::SRCNAT);
    let turned = || eq(Field::CtStatus, Value::Bits(bits::DNAT));
    table.rule(CHAIN, [in_set(&[Field::Saddr, Field::Daddr], HAIRPIN), turned(), masquerade()]);
    let take_off = Stmt::MarkXor(MASQUERADE_MARK);
    table.rule(CHAIN, [marked(MASQUERADE_MARK), take_off, Stmt::MasqueradeRandom]);
    if family == Family::Ip {
        let loopback = Ipv4Net::new(Ipv4Addr::new(127, 0, 0, 0), 8);
        let loopback = IpNet::V4(loopback.expect("a prefix of at most 32"));
        table.rule(CHAIN, [eq(Field::Saddr, loopback), turned(), masquerade()]);
    }
    for net in of_family(&node.pod_cidrs, family) {
        table.rule(CHAIN, [eq(Field::Saddr, net), goto(EGRESS)]);
    }
    for net in of_family(&node.cluster_cidrs, family) {
        table.rule(EGRESS, [eq(Field::Daddr, net), Stmt::Verdict(Verdict::Return)]);
    }
    table.rule(EGRESS, [masquerade()]);
}

fn add_host_port(table: &mut Table, port: &HostPort) {
    if Family::of(port.host_ip) != Family::of(port.pod_ip) {
        return;
    }
    let to = Datum::Values(vec![port.pod_ip.into(), port.pod_port.into()]);
    let on: Vec<Value> = vec![port.proto.into(), port.host_port.into()];
    if port.host_ip.is_unspecified() {
        table.element(HOST_PORTS, on, to);
    } else {
        table.element(HOST_PORTS_ON, [vec![port.host_ip.into()], on].concat(), to);
    }
    let twice = vec![port.pod_ip.into(), port.pod_ip.into()];
    table.element(HAIRPIN, twice, Datum::None);
}
