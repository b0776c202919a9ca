//! Services (core `validation.go`: ValidateService and what it calls). Addresses are admission's.

use super::names::{PROTOCOLS, cidr, ip, port_number, port_or_name};
use super::selector::labels;
use super::{Faults, Node, unique};
use meta::names::{dns_label, dns_subdomain, qualified_name};
use meta::{Fault, Value};
use std::collections::BTreeSet;

const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const BALANCER_ONLY: &str = "may only be used when `type` is 'LoadBalancer'";

pub(crate) fn check(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let spec = Node::root(new).at("spec");
    let kind = spec.at("type").str();
    let headless = spec.at("clusterIP").str() == "None";
    if spec.at("ports").is_empty() && !headless && kind != "ExternalName" {
        faults.push(Fault::required(spec.at("ports").path, ""));
    }
    of_type(&spec, kind, headless, faults);
    ports(&spec.at("ports"), faults);
    labels(&spec.at("selector"), faults);
    affinity(&spec, faults);
    spec.at("externalIPs").items().for_each(|node| node.obey(ip, faults));
    spec.at("type").must_be(TYPES, faults);
    node_ports(&spec, kind, faults);
    balancer(&spec, kind, faults);
    traffic(&spec, kind, faults);
    if let Some(old) = old {
        keeps_class(&spec, &Node::root(old).at("spec"), faults);
    }
}

fn of_type(spec: &Node<'_>, kind: &str, headless: bool, faults: &mut Faults) {
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let why = format!("may not be set to 'None' for {kind} services");
            faults.push(Fault::invalid("spec.clusterIPs[0]", "None", why));
        }
        "ExternalName" => {
            for key in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                if !spec.at(key).is_empty() {
                    spec.at(key).forbid("may not be set for ExternalName services", faults);
                }
            }
            let name = spec.at("externalName");
            let text = name.str().strip_suffix('.').unwrap_or(name.str());
            if text.is_empty() {
                faults.push(Fault::required(&name.path, ""));
            } else {
                let wrong = dns_subdomain(text);
                faults.extend(wrong.into_iter().map(|why| Fault::invalid(&name.path, text, why)));
            }
        }
        _ => {}
    }
}

fn ports(list: &Node<'_>, faults: &mut Faults) {
    for port in list.items() {
        let name = port.at("name");
        match name.is_empty() {
            true if list.len() > 1 => faults.push(Fault::required(&name.path, "")),
            true => {}
            false => name.obey(dns_label, faults),
        }
        port_number(&port.at("port"), faults);
        port.at("protocol").must_be(PROTOCOLS, faults);
        port_or_name(&port.at("targetPort"), faults);
        port.at("appProtocol").obey(qualified_name, faults);
    }
    unique(list.items().map(|p| p.at("name")), faults);
    let mut seen = BTreeSet::new();
    for port in list.items() {
        let (protocol, number) = (port.at("protocol").str(), port.at("port").int());
        if !seen.insert((protocol, number)) {
            let pair = serde_json::json!({ "port": number, "protocol": protocol });
            faults.push(Fault::duplicate(&port.path, pair));
        }
    }
}

fn node_ports(spec: &Node<'_>, kind: &str, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for port in spec.at("ports").items().filter(|p| p.at("nodePort").int() != 0) {
        let number = port.at("nodePort");
        if kind == "ClusterIP" {
            number.forbid("may not be used when `type` is 'ClusterIP'", faults);
        }
        if !seen.insert((port.at("protocol").str(), number.int())) {
            number.duplicate(faults);
        }
    }
}

fn affinity(spec: &Node<'_>, faults: &mut Faults) {
    let (kind, config) = (spec.at("sessionAffinity"), spec.at("sessionAffinityConfig"));
    kind.must_be(&["ClientIP", "None"], faults);
    let timeout = config.at("clientIP.timeoutSeconds");
    match kind.str() {
        "ClientIP" if !timeout.is_set() => {
            faults.push(Fault::required(timeout.path, ""));
        }
        "ClientIP" if !(1..=86_400).contains(&timeout.int()) => {
            timeout.invalid("must be greater than 0 and less than or equal to 86400", faults);
        }
        "None" if config.is_set() => {
            config.forbid("must not be set when session affinity is None", faults);
        }
        _ => {}
    }
}

fn balancer(spec: &Node<'_>, kind: &str, faults: &mut Faults) {
    let ranges = spec.at("loadBalancerSourceRanges");
    if kind == "LoadBalancer" {
        ranges.items().for_each(|range| range.obey(cidr, faults));
        spec.at("loadBalancerClass").obey(qualified_name, faults);
        return;
    }
    if !ranges.is_empty() {
        spec.at("LoadBalancerSourceRanges").forbid(BALANCER_ONLY, faults);
    }
    for key in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
        if spec.at(key).is_set() {
            spec.at(key).forbid(BALANCER_ONLY, faults);
        }
    }
}

/// validateServiceExternalTrafficPolicy, validateServiceInternalTrafficFieldsValue
fn traffic(spec: &Node<'_>, kind: &str, faults: &mut Faults) {
    let (outer, inner) = (spec.at("externalTrafficPolicy"), spec.at("internalTrafficPolicy"));
    let external = matches!(kind, "NodePort" | "LoadBalancer")
        || (kind == "ClusterIP" && !spec.at("externalIPs").is_empty());
    if external {
        outer.must_be(&["Cluster", "Local"], faults);
    } else if !outer.is_empty() {
        outer.invalid("may only be set for externally-accessible services", faults);
    }
    inner.one_of(&["Cluster", "Local"], faults);
    let health = spec.at("healthCheckNodePort");
    if health.int() != 0 && !(kind == "LoadBalancer" && outer.str() == "Local") {
        let why =
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        health.invalid(why, faults);
    }
    spec.at("trafficDistribution")
        .one_of(&["PreferClose", "PreferSameNode", "PreferSameZone"], faults);
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    spec.at("ipFamilyPolicy").one_of(&policies, faults);
    for family in spec.at("ipFamilies").items() {
        family.one_of(&["IPv4", "IPv6"], faults);
    }
}

fn keeps_class(new: &Node<'_>, old: &Node<'_>, faults: &mut Faults) {
    let balanced = |s: &Node<'_>| s.at("type").str() == "LoadBalancer";
    if balanced(new) && balanced(old) {
        let class = new.at("loadBalancerClass");
        if !super::same(class.value, old.at("loadBalancerClass").value) {
            class.invalid("may not change once set", faults);
        }
    }
}
