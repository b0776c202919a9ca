//! NetworkPolicies, EndpointSlices, ServiceCIDRs (upstream `pkg/apis/{networking,discovery}/validation/validation.go`).

use super::names::{PROTOCOLS, cidr, contains, ip, parse_cidr, port_number, port_or_name};
use super::selector::selector;
use super::{Faults, Node};
use meta::names::{dns_label, dns_subdomain};
use meta::{Fault, Value};

pub(crate) fn policy(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    let spec = Node::root(new).at("spec");
    selector(&spec.at("podSelector"), faults);
    for (way, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.at(way).items() {
            rule.at("ports").items().for_each(|p| port(&p, faults));
            rule.at(peers).items().for_each(|p| peer(&p, faults));
        }
    }
    for kind in spec.at("policyTypes").items() {
        kind.one_of(&["Egress", "Ingress"], faults);
    }
}

fn port(node: &Node<'_>, faults: &mut Faults) {
    node.at("protocol").one_of(PROTOCOLS, faults);
    let (number, end) = (node.at("port"), node.at("endPort"));
    if number.is_set() {
        port_or_name(&number, faults);
    }
    if !end.is_set() {
        return;
    }
    if !number.is_set() {
        end.invalid("may not be specified when `port` is not specified", faults);
    } else if number.value.is_string() {
        end.invalid("may not be specified when `port` is non-numeric", faults);
    } else {
        if end.int() < number.int() {
            end.invalid("must be greater than or equal to `port`", faults);
        }
        port_number(&end, faults);
    }
}

fn peer(node: &Node<'_>, faults: &mut Faults) {
    let selectors = ["podSelector", "namespaceSelector"].map(|key| node.at(key));
    selectors.iter().for_each(|s| selector(s, faults));
    let (block, some) = (node.at("ipBlock"), selectors.iter().any(Node::is_set));
    match (block.is_set(), some) {
        (false, false) => faults.push(Fault::required(&node.path, "must specify a peer")),
        (true, true) => node.forbid("may not specify both ipBlock and another peer", faults),
        _ => {}
    }
    if !block.is_set() || !block.at("cidr").require(faults) {
        return;
    }
    block.at("cidr").obey(cidr, faults);
    let Some(outer) = parse_cidr(block.at("cidr").str()) else { return };
    for except in block.at("except").items() {
        except.obey(cidr, faults);
        if parse_cidr(except.str()).is_some_and(|inner| !contains(outer, inner)) {
            except.invalid("must be a strict subset of `cidr`", faults);
        }
    }
}

/// ValidateEndpointSlice
pub(crate) fn slice(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let root = Node::root(new);
    let kind = root.at("addressType");
    kind.must_be(&["FQDN", "IPv4", "IPv6"], faults);
    for endpoint in root.at("endpoints").items() {
        let addresses = endpoint.at("addresses");
        addresses.require_why("must contain at least 1 address", faults);
        if addresses.len() > 100 {
            let why = "must have at most 100 items";
            faults.push(Fault::new(meta::FaultRule::TooMany, &addresses.path, None, why));
        }
        for address in addresses.items() {
            address.obey(if kind.str() == "FQDN" { dns_subdomain } else { ip }, faults);
        }
        endpoint.at("hostname").obey(dns_label, faults);
    }
    for port in root.at("ports").items() {
        port.at("name").obey(dns_label, faults);
        port.at("protocol").must_be(PROTOCOLS, faults);
    }
    let mut seen = std::collections::BTreeSet::new();
    for port in root.at("ports").items() {
        if !seen.insert(port.at("name").str()) {
            faults.push(Fault::duplicate(port.at("name").path, port.at("name").str()));
        }
    }
    if let Some(old) = old {
        kind.immutable(&Node::root(old).at("addressType"), faults);
    }
}

pub(crate) fn endpoints(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    for subset in Node::root(new).at("subsets").items() {
        let (ready, not) = (subset.at("addresses"), subset.at("notReadyAddresses"));
        if ready.is_empty() && not.is_empty() {
            let why = "must specify `addresses` or `notReadyAddresses`";
            faults.push(Fault::required(&subset.path, why));
        }
        ready.items().chain(not.items()).for_each(|a| a.at("ip").obey(ip, faults));
        let ports = subset.at("ports");
        for port in ports.items() {
            if ports.len() > 1 {
                port.at("name").require(faults);
            }
            port.at("name").obey(dns_label, faults);
            port_number(&port.at("port"), faults);
            port.at("protocol").must_be(PROTOCOLS, faults);
        }
    }
}

pub(crate) fn service_cidr(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let cidrs = Node::root(new).at("spec.cidrs");
    if cidrs.require_why("at least one CIDR required", faults) {
        cidrs.items().for_each(|c| c.obey(cidr, faults));
    }
    if let Some(old) = old {
        cidrs.immutable(&Node::root(old).at("spec.cidrs"), faults);
    }
}
