//! Bridges, attachments and their traffic on the real kernel, inside namespaces made here.

#![allow(clippy::unwrap_used)]

mod host;

use std::io::{Read, Write};
use std::time::Instant;

use host::{Host, attach_spec, ip, net};
use net::{BridgeSpec, Instance, Netns, OwnedKind};

#[test]
fn containers_reach_each_other_and_leave_nothing() {
    Host::enter(|| {
        let t = Instance::new("t1");
        let bridge = t.bridge_name("aaaaaaaa");
        let spec = BridgeSpec {
            ifname: bridge.clone(),
            id: "aaaaaaaa".into(),
            gateways: vec![net("172.30.0.1/16"), net("fd00:30::1/64")],
            mtu: Some(1400),
        };
        assert_eq!(t.ensure_bridge(&spec).unwrap(), 1400);
        assert_eq!(t.ensure_bridge(&spec).unwrap(), 1400, "again is fine");
        let (a, b) = (Netns::create().unwrap(), Netns::create().unwrap());
        let mut two = attach_spec("b", &bridge, "172.30.0.3/16", "172.30.0.1");
        two.addrs.push(net("fd00:30::3/64"));
        let attached =
            t.attach(&a, &attach_spec("a", &bridge, "172.30.0.2/16", "172.30.0.1")).unwrap();
        assert_eq!((attached.mac.to_string().as_str(), attached.mtu), ("02:42:ac:1e:00:02", 1400));
        t.attach(&b, &two).unwrap();
        host::echo_between(&a, &b, ip("172.30.0.3"));
        let host_end = host::listen(&b, ip("fd00:30::3"));
        let mut stream = std::net::TcpStream::connect(host_end.addr).unwrap();
        stream.write_all(b"over IPv6").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "over IPv6");
        let stats = net::stats(&a).unwrap();
        assert!(stats[0].ifname == "eth0" && stats[0].rx_packets > 0, "{stats:?}");

        let owned = t.owned().unwrap();
        assert_eq!(owned.len(), 3);
        assert_eq!(Instance::new("t2").owned().unwrap(), []);
        let gone = t.retain(|o| o.kind == OwnedKind::Bridge || o.id == "a").unwrap();
        assert_eq!(gone.len(), 1, "what no record knows goes: {gone:?}");
        t.detach("a").unwrap();
        t.detach("a").unwrap();
        t.retain(|_| false).unwrap();
        assert_eq!(t.owned().unwrap(), []);
    });
}

#[test]
fn a_failed_attachment_leaves_nothing() {
    Host::enter(|| {
        let t = Instance::new("t1");
        let bridge = host::bridge(&t, "172.30.0.1/16");
        let a = Netns::create().unwrap();
        let unreachable = attach_spec("a", &bridge, "172.30.0.2/16", "10.9.9.9");
        let error = t.attach(&a, &unreachable).unwrap_err().to_string();
        assert!(error.contains("cannot add the route to 0.0.0.0/0"), "{error}");
        assert_eq!(t.owned().unwrap().len(), 1);
        let error = t.attach(&a, &attach_spec("a", "nope", "172.30.0.2/16", "172.30.0.1"));
        assert!(error.unwrap_err().to_string().contains("nope"));
    });
}

#[test]
fn attaching_is_quick() {
    Host::enter(|| {
        let t = Instance::new("t1");
        let bridge = host::bridge(&t, "172.30.0.1/16");
        let spaces: Vec<Netns> = (0..50).map(|_| Netns::create().unwrap()).collect();
        let start = Instant::now();
        for (i, netns) in spaces.iter().enumerate() {
            let addr = format!("172.30.1.{}/16", i + 1);
            t.attach(netns, &attach_spec(&format!("e{i}"), &bridge, &addr, "172.30.0.1")).unwrap();
        }
        let each = start.elapsed() / 50;
        println!("attach: {each:?} each");
        let start = Instant::now();
        drop(Netns::create().unwrap());
        println!("create a namespace: {:?}", start.elapsed());
        assert!(each.as_millis() < 50, "{each:?}");
    });
}

#[test]
fn pinned_namespaces() {
    Host::enter(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pod-1");
        let made = Netns::create().unwrap();
        made.pin(&path).unwrap();
        drop(made);
        net::loopback_up(&Netns::open(&path).unwrap()).unwrap();
        Netns::unpin(&path).unwrap();
        Netns::unpin(&path).unwrap();
        assert!(!path.exists());
    });
}
