use proptest::prelude::*;

use super::*;
use crate::nft::{Ruleset, print};

fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

fn endpoint(addr: &str, place: Place) -> Endpoint {
    Endpoint { addr: ip(addr), port: 8080, state: EndpointState::Ready, place }
}

fn service(name: &str, last: u8, endpoints: Vec<Endpoint>) -> ServicePort {
    ServicePort {
        service: format!("default/{name}"),
        port_name: "http".into(),
        proto: Proto::Tcp,
        port: 80,
        cluster_ip: IpAddr::from([10, 96, 0, last]),
        node_port: None,
        external_ips: vec![],
        load_balancer_ips: vec![],
        source_ranges: vec![],
        affinity: None,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
        endpoints,
    }
}

fn node() -> NodeFacts {
    NodeFacts {
        table: "boxship-t.kube".into(),
        cluster_cidrs: vec!["10.244.0.0/16".parse().unwrap(), "fd00:244::/56".parse().unwrap()],
        pod_cidrs: vec!["10.244.1.0/24".parse().unwrap(), "fd00:244:1::/64".parse().unwrap()],
        service_cidrs: vec!["10.96.0.0/12".parse().unwrap()],
        node_port_ips: vec![],
    }
}

fn two() -> Vec<Endpoint> {
    vec![endpoint("10.244.1.5", Place::Here), endpoint("10.244.2.5", Place::Elsewhere)]
}

/// Each kind of Service there is.
fn sample() -> ProxyInput {
    let external = |name, last, policy, endpoints| ServicePort {
        node_port: Some(30000 + u16::from(last)),
        load_balancer_ips: vec![IpAddr::from([10, 112, 0, last])],
        external_policy: policy,
        ..service(name, last, endpoints)
    };
    let elsewhere = || vec![endpoint("10.244.2.6", Place::Elsewhere)];
    let v6 = Endpoint { addr: ip("fd00:244:1::5"), ..endpoint("10.244.1.5", Place::Here) };
    let ports = vec![
        service("plain", 1, two()),
        ServicePort { affinity: Some(10800), ..service("sticky", 2, two()) },
        service("nobody", 3, vec![]),
        external("open", 4, TrafficPolicy::Cluster, two()),
        external("local", 5, TrafficPolicy::Local, two()),
        external("remote", 6, TrafficPolicy::Local, elsewhere()),
        external("empty", 7, TrafficPolicy::Cluster, vec![]),
        ServicePort {
            source_ranges: vec!["203.0.113.0/24".parse().unwrap()],
            external_ips: vec![ip("203.0.113.9")],
            internal_policy: TrafficPolicy::Local,
            ..external("fenced", 8, TrafficPolicy::Cluster, two())
        },
        ServicePort {
            proto: Proto::Udp,
            internal_policy: TrafficPolicy::Local,
            ..service("here", 9, elsewhere())
        },
        ServicePort { cluster_ip: ip("fd00:96::1"), ..service("six", 10, vec![v6]) },
    ];
    let host_port = |host_ip: &str, proto| HostPort {
        proto,
        host_ip: ip(host_ip),
        host_port: 54323,
        pod_ip: ip("10.244.1.9"),
        pod_port: 8080,
    };
    let host_ports = vec![host_port("127.0.0.1", Proto::Tcp), host_port("0.0.0.0", Proto::Udp)];
    ProxyInput { ports, host_ports }
}

/// What `print` writes of one chain.
fn chain(ruleset: &Ruleset, name: &str) -> String {
    let text = print(ruleset);
    let start = text.find(&format!("chain {name} {{")).unwrap_or_else(|| panic!("{name}: {text}"));
    let end = text[start..].find('}').unwrap();
    let body: Vec<&str> = text[start..start + end].lines().skip(1).map(str::trim).collect();
    body.join("\n").trim().to_string()
}

#[test]
fn golden() {
    crate::golden::check("proxy.nft", &print(&rules(&sample(), &node())));
}

#[test]
fn draining_endpoints_serve_when_nothing_is_ready() {
    let mut port = service("a", 1, two());
    port.endpoints[0].state = EndpointState::Draining;
    let one = |port: &ServicePort| {
        let input = ProxyInput { ports: vec![port.clone()], host_ports: vec![] };
        chain(&rules(&input, &node()), "svc-default/a/tcp/80")
    };
    assert_eq!(one(&port), "jump mark-outside\nmeta l4proto tcp dnat to 10.244.2.5:8080");
    port.endpoints.remove(1);
    assert_eq!(one(&port), "jump mark-outside\nmeta l4proto tcp dnat to 10.244.1.5:8080");
}

#[test]
fn node_ports_on_some_addresses_only() {
    let facts = NodeFacts { node_port_ips: vec![ip("192.0.2.1")], ..node() };
    let ruleset = rules(&sample(), &facts);
    assert!(
        chain(&ruleset, "dispatch").contains("ip daddr @node-port-ips meta l4proto . th dport")
    );
}

#[test]
fn a_changed_endpoint_changes_one_element() {
    let before = rules(&sample(), &node());
    let mut input = sample();
    input.ports[0].endpoints[1].addr = ip("10.244.2.77");
    let after = rules(&input, &node());
    // One element goes and one comes; no rule changes.
    assert_eq!(crate::nft::diff(&before, &after).len(), 2);
    assert_eq!(crate::nft::diff(&before, &before).len(), 0);
}

proptest! {
    #[test]
    fn order_does_not_matter(seed in any::<u64>()) {
        let mut input = sample();
        let mut state = seed | 1;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        for i in (1..input.ports.len()).rev() {
            input.ports.swap(i, random(i + 1));
        }
        for port in &mut input.ports {
            port.endpoints.reverse();
        }
        input.host_ports.reverse();
        let mut facts = node();
        facts.cluster_cidrs.reverse();
        prop_assert_eq!(rules(&input, &facts), rules(&sample(), &node()));
    }
}

#[test]
fn udp_connections_to_dead_endpoints_are_stale() {
    let port =
        ServicePort { proto: Proto::Udp, node_port: Some(30053), ..service("dns", 1, two()) };
    let targets = UdpTargets::of(&ProxyInput { ports: vec![port], host_ports: vec![] });
    let at = |s: &str| -> std::net::SocketAddr { s.parse().unwrap() };
    let stale = |original, answering| targets.is_stale(at(original), at(answering), |_| true);
    assert!(!stale("10.96.0.1:80", "10.244.1.5:8080"));
    assert!(stale("10.96.0.1:80", "10.244.1.6:8080"));
    assert!(stale("10.96.0.1:80", "10.96.0.1:80"), "never translated");
    assert!(stale("192.0.2.1:30053", "10.244.1.6:8080"));
    assert!(!targets.is_stale(at("8.8.8.8:30053"), at("8.8.8.8:30053"), |_| false));
    assert!(!stale("8.8.8.8:53", "8.8.8.8:53"));
}
