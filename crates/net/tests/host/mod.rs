//! A stand-in for a host: a network namespace of its own, in which a test runs.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use ipnet::IpNet;
use net::{AttachSpec, BridgeSpec, Instance, Neighbours, Netns};

pub struct Host;

impl Host {
    /// Runs a test in a fresh namespace with loopback and forwarding; the namespace goes when
    /// the last handle of the test does.
    pub fn enter<F: FnOnce() + Send>(test: F) {
        let netns = Netns::create().expect("tests of this crate need root");
        net::loopback_up(&netns).unwrap();
        netns
            .run(|| {
                net::sysctl::prepare_host().unwrap();
                net::sysctl::prepare_host_ipv6().unwrap();
                test();
                Ok(())
            })
            .unwrap();
    }
}

pub fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

pub fn net(s: &str) -> IpNet {
    s.parse().unwrap()
}

pub fn bridge(t: &Instance, gateway: &str) -> String {
    let id = gateway.replace(['.', '/', ':'], "");
    let ifname = t.bridge_name(&id);
    let gateways = vec![net(gateway)];
    t.ensure_bridge(&BridgeSpec { ifname: ifname.clone(), id, gateways, mtu: None }).unwrap();
    ifname
}

pub fn attach_spec(id: &str, bridge: &str, addr: &str, gateway: &str) -> AttachSpec {
    AttachSpec {
        id: id.into(),
        bridge: bridge.into(),
        ifname: "eth0".into(),
        addrs: vec![net(addr)],
        gateways: vec![ip(gateway)],
        mac: None,
        mtu: None,
        neighbours: Neighbours::Reachable,
    }
}

/// A server in a namespace that sends everything back, one connection after the other.
pub struct Echo {
    pub addr: SocketAddr,
}

/// Starts an echo server; its thread ends with the test process.
pub fn listen(netns: &Netns, addr: IpAddr) -> Echo {
    listen_on(netns, SocketAddr::new(addr, 0))
}

pub fn listen_on(netns: &Netns, addr: SocketAddr) -> Echo {
    let listener = netns.run(|| Ok(TcpListener::bind(addr).unwrap())).unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut bytes = Vec::new();
            if stream.read_to_end(&mut bytes).is_ok() {
                let _ = stream.write_all(&bytes);
            }
        }
    });
    Echo { addr }
}

/// Sends a text to an echo server from a namespace; `None` when it cannot be reached.
pub fn echo_from(netns: &Netns, to: SocketAddr) -> Option<String> {
    netns.run(|| Ok(echo_here(to))).unwrap()
}

/// The same from the calling thread's namespace.
pub fn echo_here(to: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_millis(400)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(b"hello").ok()?;
    stream.shutdown(std::net::Shutdown::Write).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

pub fn echo_between(from: &Netns, to: &Netns, addr: IpAddr) {
    let echo = listen(to, addr);
    assert_eq!(echo_from(from, echo.addr).as_deref(), Some("hello"));
}

/// Output of a program in the calling thread's namespace; `None` (with a note) when the program
/// is not there.
pub fn program(name: &str, args: &[&str]) -> Option<String> {
    match Command::new(name).args(args).output() {
        Ok(out) => {
            assert!(
                out.status.success(),
                "{name} {args:?}: {}",
                String::from_utf8_lossy(&out.stderr)
            );
            Some(String::from_utf8_lossy(&out.stdout).into_owned())
        }
        Err(e) => {
            println!("skipped: no program {name} ({e})");
            None
        }
    }
}
