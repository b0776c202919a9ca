//! The service proxy with real packets: a node with two Pods and an outside neighbour.
#![allow(clippy::unwrap_used)]

mod host;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use host::{Host, attach_spec, ip, net};
use net::{Firewall, Instance, Netns};
use netplan::nft::Proto;
use netplan::proxy::{
    Endpoint, EndpointState, HostPort, NodeFacts, Place, ProxyInput, ServicePort, TrafficPolicy,
    UdpTargets, rules,
};

struct Node {
    pods: [Netns; 2],
    outside: Netns,
    firewall: Firewall,
    facts: NodeFacts,
}

fn at(addr: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip(addr), port)
}

fn node() -> Node {
    let t = Instance::new("t");
    let pods: [Netns; 2] = std::array::from_fn(|_| Netns::create().unwrap());
    let bridge = host::bridge(&t, "10.244.1.1/24");
    for (i, pod) in pods.iter().enumerate() {
        let addr = format!("10.244.1.{}/24", i + 2);
        let mut spec = attach_spec(&format!("p{i}"), &bridge, &addr, "10.244.1.1");
        spec.neighbours = net::Neighbours::Routed;
        t.attach(pod, &spec).unwrap();
    }
    for subnet in ["10.96.0.0/12", "10.112.0.0/24"] {
        net::add_subnet_route(net(subnet), &bridge, ip("10.244.1.1")).unwrap();
    }
    let uplink = host::bridge(&t, "198.18.0.1/24");
    let outside = Netns::create().unwrap();
    t.attach(&outside, &attach_spec("out", &uplink, "198.18.0.2/24", "198.18.0.1")).unwrap();
    let facts = NodeFacts {
        table: t.kube_table(),
        cluster_cidrs: vec![net("10.244.0.0/16")],
        pod_cidrs: vec![net("10.244.1.0/24")],
        service_cidrs: vec![net("10.96.0.0/12"), net("10.112.0.0/24")],
        node_port_ips: vec![],
    };
    Node { pods, outside, firewall: Firewall::open().unwrap(), facts }
}

/// A server that answers each connection with its name and the client's address.
fn serve(netns: &Netns, name: &'static str, addr: SocketAddr) {
    use std::io::Write;
    let listener = netns.run(|| Ok(TcpListener::bind(addr).unwrap())).unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, client)) = listener.accept() {
            let _ = write!(stream, "{name} {}", client.ip());
        }
    });
}

fn get_here(to: SocketAddr) -> String {
    use std::io::Read;
    let Ok(mut stream) = TcpStream::connect_timeout(&to, Duration::from_millis(300)) else {
        return "none".into();
    };
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn get(netns: &Netns, to: SocketAddr) -> String {
    netns.run(|| Ok(get_here(to))).unwrap()
}

fn endpoint(last: u8) -> Endpoint {
    let addr = IpAddr::from([10, 244, 1, last]);
    Endpoint { addr, port: 8080, state: EndpointState::Ready, place: Place::Here }
}

fn service(last: u8, endpoints: Vec<Endpoint>) -> ServicePort {
    ServicePort {
        service: format!("default/s{last}"),
        port_name: String::new(),
        proto: Proto::Tcp,
        port: 80,
        cluster_ip: IpAddr::from([10, 96, 0, last]),
        node_port: Some(30000 + u16::from(last)),
        external_ips: vec![],
        load_balancer_ips: vec![IpAddr::from([10, 112, 0, last])],
        source_ranges: vec![],
        affinity: None,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
        endpoints,
    }
}

impl Node {
    fn apply(&mut self, ports: Vec<ServicePort>, host_ports: Vec<HostPort>) {
        let ruleset = rules(&ProxyInput { ports, host_ports }, &self.facts);
        self.firewall.apply(&ruleset).unwrap();
    }

    fn serve_all(&self) {
        serve(&self.pods[0], "one", at("10.244.1.2", 8080));
        serve(&self.pods[1], "two", at("10.244.1.3", 8080));
    }
}

#[test]
fn every_kind_of_address_answers() {
    Host::enter(|| {
        let mut node = node();
        node.serve_all();
        node.apply(vec![service(1, vec![endpoint(2)]), service(2, vec![])], vec![]);
        let [one, two] = &node.pods;
        assert_eq!(get(two, at("10.96.0.1", 80)), "one 10.244.1.3", "the Pod's own address");
        assert_eq!(get(one, at("10.96.0.1", 80)), "one 10.244.1.1", "hairpin");
        assert_eq!(get_here(at("10.96.0.1", 80)), "one 10.244.1.1", "from the host");
        for to in ["10.112.0.1", "10.96.0.1"] {
            assert!(get_here(at(to, 80)).starts_with("one"), "{to}");
            assert!(get(two, at(to, 80)).starts_with("one"), "{to}");
        }
        for to in ["127.0.0.1", "198.18.0.1", "10.244.1.1"] {
            assert!(get_here(at(to, 30001)).starts_with("one"), "{to}");
        }
        assert_eq!(get(&node.outside, at("198.18.0.1", 30001)), "one 10.244.1.1");
        assert!(get(two, at("198.18.0.1", 30001)).starts_with("one"));

        let quick = Instant::now();
        for to in [at("10.96.0.2", 80), at("10.112.0.2", 80), at("198.18.0.1", 30002)] {
            assert_eq!((get_here(to), get(two, to)), ("none".into(), "none".into()));
        }
        assert_eq!(get_here(at("10.96.0.1", 81)), "none", "a port nobody serves");
        assert_eq!(get(two, at("10.99.1.1", 22)), "none", "an address nobody has");
        assert!(quick.elapsed().as_millis() < 250, "refused, not dropped: {:?}", quick.elapsed());
    });
}

/// Also where the host keeps bridged frames from its firewall: routed neighbours do not need it.
#[test]
fn services_without_bridge_netfilter() {
    Host::enter(|| {
        net::sysctl::set_if_present("net/bridge/bridge-nf-call-iptables", "0").unwrap();
        let mut node = node();
        node.serve_all();
        node.apply(vec![service(1, vec![endpoint(2)])], vec![]);
        let [one, two] = &node.pods;
        assert_eq!(get(two, at("10.244.1.2", 8080)), "one 10.244.1.3", "Pod to Pod");
        assert_eq!(get(two, at("10.96.0.1", 80)), "one 10.244.1.3");
        assert_eq!(get(one, at("10.96.0.1", 80)), "one 10.244.1.1");
    });
}

#[test]
fn balancing_and_affinity() {
    Host::enter(|| {
        let mut node = node();
        node.serve_all();
        let both = || vec![endpoint(2), endpoint(3)];
        let spread = |node: &Node, to| {
            let names =
                (0..24).map(|_| get(&node.outside, to).split(' ').next().unwrap().to_string());
            names.collect::<BTreeSet<String>>()
        };
        node.apply(vec![service(1, both())], vec![]);
        assert_eq!(spread(&node, at("198.18.0.1", 30001)).len(), 2);
        let sticky = || ServicePort { affinity: Some(10800), ..service(1, both()) };
        node.apply(vec![sticky()], vec![]);
        let stuck = spread(&node, at("198.18.0.1", 30001));
        assert_eq!(stuck.len(), 1);
        node.apply(vec![sticky(), service(2, both())], vec![]);
        assert_eq!(spread(&node, at("198.18.0.1", 30001)), stuck, "memory survives a change");
        node.apply(vec![service(1, both())], vec![]);
        assert_eq!(spread(&node, at("198.18.0.1", 30001)).len(), 2, "switched off again");
    });
}

#[test]
fn local_policy_keeps_the_clients_address() {
    Host::enter(|| {
        let mut node = node();
        node.serve_all();
        let local =
            ServicePort { external_policy: TrafficPolicy::Local, ..service(1, vec![endpoint(2)]) };
        let elsewhere = Endpoint { place: Place::Elsewhere, ..endpoint(3) };
        let remote =
            ServicePort { external_policy: TrafficPolicy::Local, ..service(2, vec![elsewhere]) };
        node.apply(vec![local, remote], vec![]);
        assert_eq!(get(&node.outside, at("198.18.0.1", 30001)), "one 198.18.0.2");
        assert_eq!(get(&node.outside, at("198.18.0.1", 30002)), "none", "dropped");
        assert!(get(&node.pods[0], at("198.18.0.1", 30002)).starts_with("two"));
        assert!(get_here(at("198.18.0.1", 30002)).starts_with("two"));
    });
}

#[test]
fn source_ranges_fence_the_load_balancer() {
    Host::enter(|| {
        let mut node = node();
        node.serve_all();
        let open = |ranges: &[&str]| ServicePort {
            source_ranges: ranges.iter().map(|r| net(r)).collect(),
            ..service(1, vec![endpoint(2)])
        };
        node.apply(vec![open(&["203.0.113.0/24"])], vec![]);
        assert_eq!(get(&node.outside, at("10.112.0.1", 80)), "none");
        node.apply(vec![open(&["203.0.113.0/24", "198.18.0.0/24"])], vec![]);
        assert!(get(&node.outside, at("10.112.0.1", 80)).starts_with("one"));
    });
}

#[test]
fn host_ports() {
    Host::enter(|| {
        let mut node = node();
        node.serve_all();
        let on = |host_ip, host_port, last| HostPort {
            proto: Proto::Tcp,
            host_ip: ip(host_ip),
            host_port,
            pod_ip: IpAddr::from([10, 244, 1, last]),
            pod_port: 8080,
        };
        let list =
            vec![on("127.0.0.1", 54323, 2), on("198.18.0.1", 54323, 3), on("0.0.0.0", 81, 2)];
        node.apply(vec![], list);
        assert_eq!(get_here(at("127.0.0.1", 54323)), "one 10.244.1.1");
        assert_eq!(get(&node.outside, at("198.18.0.1", 54323)), "two 198.18.0.2");
        assert_eq!(get(&node.outside, at("198.18.0.1", 81)), "one 198.18.0.2");
        assert!(get(&node.pods[0], at("198.18.0.1", 81)).starts_with("one"), "itself");
    });
}

#[test]
fn udp_clients_follow_a_changed_endpoint() {
    Host::enter(|| {
        let mut node = node();
        let udp = |last| ServicePort { proto: Proto::Udp, ..service(1, vec![endpoint(last)]) };
        let bind = |pod: &Netns, addr: &str| {
            let addr = at(addr, 8080);
            let socket = pod.run(|| Ok(UdpSocket::bind(addr).unwrap())).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            socket
        };
        let (one, two) = (bind(&node.pods[0], "10.244.1.2"), bind(&node.pods[1], "10.244.1.3"));
        let client = UdpSocket::bind("0.0.0.0:0").unwrap();
        client.connect(at("10.96.0.1", 80)).unwrap();
        let mut buffer = [0; 8];
        node.apply(vec![udp(2)], vec![]);
        client.send(b"first").unwrap();
        let (_, from) = one.recv_from(&mut buffer).unwrap();
        one.send_to(b"back", from).unwrap();
        client.recv(&mut buffer).unwrap();

        node.apply(vec![udp(3)], vec![]);
        let input = ProxyInput { ports: vec![udp(3)], host_ports: vec![] };
        let targets = UdpTargets::of(&input);
        let stale = |f: &net::Flow| targets.is_stale(f.destination, f.answering, |_| true);
        assert_eq!(net::udp_flows().unwrap().iter().filter(|f| stale(f)).count(), 1);
        assert_eq!(net::forget_udp(stale).unwrap(), 1);
        client.send(b"second").unwrap();
        let (length, _) = two.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"second");
        assert_eq!(net::forget_udp(stale).unwrap(), 0);
    });
}

#[test]
fn no_connection_is_lost_while_endpoints_change() {
    Host::enter(|| {
        let mut node = node();
        node.serve_all();
        node.apply(vec![service(1, vec![endpoint(2)])], vec![]);
        let client = &node.outside;
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                (0..300).filter(|_| get(client, at("198.18.0.1", 30001)) == "none").count()
            });
            let mut round = 0u8;
            let firewall = &mut node.firewall;
            while !asking.is_finished() {
                round = round.wrapping_add(1);
                let more = (10..10 + round % 7).map(|i| service(i, vec![endpoint(2)]));
                let ports = more.chain([service(1, vec![endpoint(2 + round % 2)])]).collect();
                let input = ProxyInput { ports, host_ports: vec![] };
                firewall.apply(&rules(&input, &node.facts)).unwrap();
            }
            println!("{round} changes");
            assert_eq!(asking.join().unwrap(), 0);
        });
    });
}
