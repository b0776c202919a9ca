//! The DNS server on real sockets: inside a container, over UDP and TCP, with an upstream.
#![allow(clippy::unwrap_used)]

mod host;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use host::{Host, ip};
use net::Netns;
use net::dns::{DnsSockets, Forwarder, Upstreams, serve};
use netplan::dns::wire::{encode_name, kind, records};
use netplan::dns::{ContainerName, Zone, container_records};

fn zone(name: &str, addr: &str) -> Zone {
    let container = ContainerName { name: name.into(), aliases: vec![], addrs: vec![ip(addr)] };
    Zone::of_networks(vec![Arc::new(container_records("front", &[container]))])
}

fn query(name: &str) -> Vec<u8> {
    let mut bytes = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend(encode_name(name));
    bytes.extend(kind::A.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}

/// Code and addresses of an answer.
fn addresses(reply: &[u8]) -> (u8, Vec<String>) {
    let (list, answers) = records(reply).unwrap();
    let text = |r: &netplan::dns::wire::Record| {
        let octets: [u8; 4] = reply[r.data..r.end].try_into().unwrap();
        std::net::Ipv4Addr::from(octets).to_string()
    };
    (reply[3] & 0xf, list[..answers].iter().map(text).collect())
}

fn ask_udp(server: SocketAddr, name: &str) -> (u8, Vec<String>) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    socket.connect(server).unwrap();
    socket.send(&query(name)).unwrap();
    let mut buffer = [0; 1500];
    let length = socket.recv(&mut buffer).unwrap();
    addresses(&buffer[..length])
}

fn ask_tcp(server: SocketAddr, name: &str) -> (u8, Vec<String>) {
    let mut stream = TcpStream::connect(server).unwrap();
    let bytes = query(name);
    stream.write_all(&(bytes.len() as u16).to_be_bytes()).unwrap();
    stream.write_all(&bytes).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply).unwrap();
    addresses(&reply)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn one(addr: &str) -> (u8, Vec<String>) {
    (0, vec![addr.to_string()])
}

/// An upstream that knows every name as 192.0.2.1, and counts.
fn upstream() -> (SocketAddr, Arc<std::sync::atomic::AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let asked = count.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let mut reply = buffer[..length].to_vec();
            reply[2] |= 0x80;
            reply[7] = 1;
            reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
            let _ = socket.send_to(&reply, client);
        }
    });
    (addr, count)
}

#[test]
fn a_container_resolves_names_at_its_usual_address() {
    Host::enter(|| {
        let (upstream, asked) = upstream();
        let container = Netns::create().unwrap();
        net::loopback_up(&container).unwrap();
        let runtime = runtime();
        let _guard = runtime.enter();
        let shared = Arc::new(ArcSwap::from_pointee(zone("web", "172.18.0.2")));
        let forward = Arc::new(Forwarder::new(Upstreams::Fixed(vec![upstream])));
        let sockets = DnsSockets::embedded(&container).unwrap();
        let server = serve(sockets, shared.clone(), Some(forward)).unwrap();
        let at: SocketAddr = "127.0.0.11:53".parse().unwrap();
        let udp = |name: &str| container.run(|| Ok(ask_udp(at, name))).unwrap();
        let tcp = |name: &str| container.run(|| Ok(ask_tcp(at, name))).unwrap();
        assert_eq!(udp("web"), one("172.18.0.2"));
        assert_eq!(tcp("WEB.front"), one("172.18.0.2"));
        assert_eq!(udp("example.com"), one("192.0.2.1"), "from the host's resolver");
        assert_eq!(udp("example.com"), one("192.0.2.1"), "from memory");
        assert_eq!(tcp("other.example.com"), one("192.0.2.1"));
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 2);
        shared.store(Arc::new(zone("web", "172.18.0.9")));
        assert_eq!(udp("web"), one("172.18.0.9"), "the zone was swapped");
        let own = container.run(|| Ok(UdpSocket::bind("0.0.0.0:53"))).unwrap();
        assert!(own.is_ok(), "the container may serve DNS itself");

        // The daemon comes back: new sockets take over.
        drop(server);
        let sockets = DnsSockets::embedded(&container).unwrap();
        let _server = serve(sockets, shared, None).unwrap();
        assert_eq!(udp("web"), one("172.18.0.9"));
        assert_eq!(udp("example.com"), (2, vec![]), "an internal network has no upstream");
    });
}

/// A program that others wrote agrees.
#[test]
fn dig_resolves() {
    Host::enter(|| {
        let runtime = runtime();
        let _guard = runtime.enter();
        let shared = Arc::new(ArcSwap::from_pointee(zone("web", "172.18.0.2")));
        let sockets = DnsSockets::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = sockets.addr().unwrap().port();
        let _server = serve(sockets, shared, None).unwrap();
        let line = format!("@127.0.0.1 -p {port} +short web");
        let args: Vec<&str> = line.split(' ').collect();
        if let Some(out) = host::program("dig", &args) {
            assert_eq!(out.trim(), "172.18.0.2");
        }
    });
}

#[test]
fn many_queries_a_second() {
    Host::enter(|| {
        let runtime = runtime();
        let _guard = runtime.enter();
        let shared = Arc::new(ArcSwap::from_pointee(zone("web", "172.18.0.2")));
        let sockets = DnsSockets::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let server = sockets.addr().unwrap();
        let _server = serve(sockets, shared, None).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        client.connect(server).unwrap();
        let (bytes, mut buffer) = (query("web"), [0; 512]);
        let start = Instant::now();
        let (rounds, window) = (400, 50);
        for _ in 0..rounds {
            for _ in 0..window {
                client.send(&bytes).unwrap();
            }
            for _ in 0..window {
                client.recv(&mut buffer).unwrap();
            }
        }
        let rate = f64::from(rounds * window) / start.elapsed().as_secs_f64();
        println!("{rate:.0} queries a second, client and server together");
        assert!(rate > 2000.0, "{rate}");
    });
}
