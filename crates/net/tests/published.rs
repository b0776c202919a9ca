//! Published ports, isolation and egress of container networks, with real packets.
#![allow(clippy::unwrap_used)]

mod host;

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use host::{Host, attach_spec, echo_from, echo_here, ip, listen_on, net};
use net::{Firewall, HostPorts, Instance, Netns};
use netplan::bridge::{BridgeNet, Egress, NetworksInput, Published, rules};
use netplan::nft::Proto;
use netplan::ports::Wish;

fn published(proto: Proto, host_ip: &str, host_port: u16, container_ip: &str) -> Published {
    Published {
        proto,
        host_ip: ip(host_ip),
        host_port,
        container_ip: ip(container_ip),
        container_port: 80,
    }
}

fn at(addr: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip(addr), port)
}

struct World {
    t: Instance,
    outside: Netns,
    web: Netns,
    peer: Netns,
    other: Netns,
    closed: Netns,
}

/// A host with an outside neighbour (198.18.0.2), a network with `web` and `peer`, another with
/// `other`, and an internal one with `closed`.
fn world() -> World {
    let t = Instance::new("t");
    let uplink = host::bridge(&t, "198.18.0.1/24");
    let [outside, web, peer, other, closed] = std::array::from_fn(|_| Netns::create().unwrap());
    let mut spec = attach_spec("out", &uplink, "198.18.0.2/24", "198.18.0.1");
    spec.gateways.clear();
    t.attach(&outside, &spec).unwrap();
    let one = host::bridge(&t, "172.30.0.1/16");
    let two = host::bridge(&t, "172.31.0.1/16");
    let three = host::bridge(&t, "172.29.0.1/16");
    t.attach(&web, &attach_spec("web", &one, "172.30.0.2/16", "172.30.0.1")).unwrap();
    t.attach(&peer, &attach_spec("peer", &one, "172.30.0.3/16", "172.30.0.1")).unwrap();
    t.attach(&other, &attach_spec("other", &two, "172.31.0.2/16", "172.31.0.1")).unwrap();
    t.attach(&closed, &attach_spec("closed", &three, "172.29.0.2/16", "172.29.0.1")).unwrap();
    let network = |bridge: String, subnet, egress, published| BridgeNet {
        bridge,
        subnets: vec![net(subnet)],
        egress,
        published,
    };
    let ports = vec![
        published(Proto::Tcp, "0.0.0.0", 8080, "172.30.0.2"),
        published(Proto::Tcp, "127.0.0.1", 9090, "172.30.0.2"),
        published(Proto::Udp, "0.0.0.0", 8080, "172.30.0.2"),
    ];
    let networks = vec![
        network(one, "172.30.0.0/16", Egress::Masquerade, ports),
        network(two, "172.31.0.0/16", Egress::Masquerade, vec![]),
        network(three, "172.29.0.0/16", Egress::Internal, vec![]),
    ];
    let input = NetworksInput { table: t.table(), networks };
    Firewall::open().unwrap().apply(&rules(&input)).unwrap();
    World { t, outside, web, peer, other, closed }
}

#[test]
fn published_ports_answer_from_everywhere() {
    Host::enter(|| {
        let w = world();
        listen_on(&w.web, at("172.30.0.2", 80));
        let hello = Some("hello".to_string());
        assert_eq!(echo_here(at("127.0.0.1", 8080)), hello, "from the host over loopback");
        assert_eq!(echo_here(at("198.18.0.1", 8080)), hello, "from the host by its address");
        assert_eq!(echo_here(at("172.30.0.2", 80)), hello, "from the host directly");
        assert_eq!(echo_from(&w.outside, at("198.18.0.1", 8080)), hello, "from outside");
        assert_eq!(echo_from(&w.other, at("198.18.0.1", 8080)), hello, "from another network");
        assert_eq!(echo_from(&w.peer, at("172.30.0.1", 8080)), hello, "through the gateway");
        assert_eq!(echo_from(&w.web, at("172.30.0.1", 8080)), hello, "from itself");
        assert_eq!(echo_here(at("127.0.0.1", 9090)), hello);
        assert_eq!(echo_from(&w.outside, at("198.18.0.1", 9090)), None, "only on loopback");
        assert_eq!(echo_here(at("198.18.0.1", 9090)), None);
        assert_eq!(w.t.owned().unwrap().len(), 9);
    });
}

#[test]
fn networks_are_isolated() {
    Host::enter(|| {
        let w = world();
        for (netns, addr) in
            [(&w.web, "172.30.0.2"), (&w.other, "172.31.0.2"), (&w.closed, "172.29.0.2")]
        {
            listen_on(netns, at(addr, 81));
        }
        let hello = Some("hello".to_string());
        assert_eq!(echo_from(&w.peer, at("172.30.0.2", 81)), hello, "same network");
        assert_eq!(echo_from(&w.peer, at("172.31.0.2", 81)), None, "another network");
        assert_eq!(echo_from(&w.peer, at("172.29.0.2", 81)), None, "an internal network");
        let route = ["route", "add", "172.30.0.0/16", "via", "198.18.0.1"];
        let added = w.outside.run(|| Ok(host::program("ip", &route))).unwrap();
        if added.is_some() {
            assert_eq!(echo_from(&w.outside, at("172.30.0.2", 81)), None, "unpublished port");
        }
        listen_on(&w.outside, at("198.18.0.2", 7000));
        assert_eq!(echo_from(&w.peer, at("198.18.0.2", 7000)), hello, "masqueraded egress");
        assert_eq!(echo_from(&w.closed, at("198.18.0.2", 7000)), None, "internal: no egress");
        let local = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = local.local_addr().unwrap().port();
        assert_eq!(echo_from(&w.peer, at("172.30.0.1", port)), None, "the host's loopback");
    });
}

#[test]
fn published_udp() {
    Host::enter(|| {
        let w = world();
        let server = w.web.run(|| Ok(UdpSocket::bind("172.30.0.2:80").unwrap())).unwrap();
        let ask = |netns: Option<&Netns>, to: SocketAddr| {
            let bind = || UdpSocket::bind("0.0.0.0:0").unwrap();
            let client = netns.map_or_else(bind, |n| n.run(|| Ok(bind())).unwrap());
            client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            client.connect(to).unwrap();
            client.send(b"ping").unwrap();
            let mut buffer = [0; 16];
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            server.send_to(&buffer[..length], from).unwrap();
            let length = client.recv(&mut buffer).unwrap();
            buffer[..length].to_vec()
        };
        assert_eq!(ask(None, at("127.0.0.1", 8080)), b"ping");
        assert_eq!(ask(Some(&w.outside), at("198.18.0.1", 8080)), b"ping");
        assert_eq!(ask(Some(&w.peer), at("198.18.0.1", 8080)), b"ping");
    });
}

#[test]
fn isolated_neighbours() {
    Host::enter(|| {
        let t = Instance::new("t");
        let bridge = host::bridge(&t, "172.30.0.1/16");
        let [a, b] = std::array::from_fn(|_| Netns::create().unwrap());
        for (id, netns, addr) in [("a", &a, "172.30.0.2/16"), ("b", &b, "172.30.0.3/16")] {
            let mut spec = attach_spec(id, &bridge, addr, "172.30.0.1");
            spec.neighbours = net::Neighbours::Isolated;
            t.attach(netns, &spec).unwrap();
        }
        listen_on(&b, at("172.30.0.3", 80));
        assert_eq!(echo_from(&a, at("172.30.0.3", 80)), None);
        assert_eq!(echo_here(at("172.30.0.3", 80)).as_deref(), Some("hello"));
    });
}

#[test]
fn ports_are_held_at_the_system() {
    Host::enter(|| {
        let mut ports = HostPorts::default();
        let all: [IpAddr; 2] = [ip("0.0.0.0"), ip("::")];
        let held = ports.reserve(&all, Proto::Tcp, Wish::Any).unwrap();
        assert!(held.port >= 32768);
        let error = ports.reserve(&all[..1], Proto::Tcp, Wish::Exact(held.port)).unwrap_err();
        let text = format!("Bind for 0.0.0.0:{} failed: port is already allocated", held.port);
        assert_eq!(error.to_string(), text);
        // std binds with SO_REUSEADDR, as servers do.
        for addr in ["0.0.0.0", "127.0.0.1", "::", "::1"] {
            assert!(TcpListener::bind(at(addr, held.port)).is_err(), "{addr}");
        }
        assert_eq!(echo_here(at("127.0.0.1", held.port)), None, "refused, not hanging");
        let port = held.port;
        ports.release(held);
        let other = TcpListener::bind(at("127.0.0.1", port)).unwrap();
        let error = ports.reserve(&all, Proto::Tcp, Wish::Exact(port)).unwrap_err();
        let text = format!("failed to bind host port 0.0.0.0:{port}/tcp: address already in use");
        assert_eq!(error.to_string(), text);
        drop(other);
        let udp = ports.reserve(&all, Proto::Udp, Wish::Exact(port)).unwrap();
        assert!(UdpSocket::bind(at("127.0.0.1", port)).is_err());
        let tcp = ports.reserve(&all, Proto::Tcp, Wish::Exact(port)).unwrap();
        let error = ports.reserve(&[ip("192.0.2.77")], Proto::Tcp, Wish::Exact(80)).unwrap_err();
        assert!(error.to_string().contains("192.0.2.77:80/tcp: Cannot assign"), "{error}");
        ports.release(udp);
        ports.release(tcp);
        let _ = ports.reserve(&all, Proto::Sctp, Wish::Any).unwrap();
    });
}

#[test]
fn published_over_ipv6() {
    Host::enter(|| {
        let t = Instance::new("t");
        let bridge = host::bridge(&t, "fd00:30::1/64");
        let [web, outside] = std::array::from_fn(|_| Netns::create().unwrap());
        t.attach(&web, &attach_spec("w", &bridge, "fd00:30::2/64", "fd00:30::1")).unwrap();
        let uplink = host::bridge(&t, "fd00:99::1/64");
        t.attach(&outside, &attach_spec("o", &uplink, "fd00:99::2/64", "fd00:99::1")).unwrap();
        let network = BridgeNet {
            bridge,
            subnets: vec![net("fd00:30::/64")],
            egress: Egress::Masquerade,
            published: vec![published(Proto::Tcp, "::", 8080, "fd00:30::2")],
        };
        let input = NetworksInput { table: t.table(), networks: vec![network] };
        Firewall::open().unwrap().apply(&rules(&input)).unwrap();
        listen_on(&web, at("fd00:30::2", 80));
        let hello = Some("hello".to_string());
        assert_eq!(echo_from(&outside, at("fd00:99::1", 8080)), hello);
        assert_eq!(echo_here(at("fd00:99::1", 8080)), hello);
        assert_eq!(echo_from(&web, at("fd00:30::1", 8080)), hello, "itself");
        assert_eq!(echo_here(at("::1", 8080)), None, "the kernel does not translate loopback");
    });
}
