use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;

use super::wire::{Record, code, encode_name, expand_name, kind, records, u16_at};
use super::*;
use crate::nft::Proto;

fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

fn sample() -> Zone {
    let service = |name: &str, kind| DnsService {
        namespace: "default".into(),
        name: name.into(),
        kind,
        ports: vec![DnsPort { name: "http".into(), proto: Proto::Tcp, port: 80 }],
    };
    let endpoint = |addr: &str, host: Option<&str>| DnsEndpoint {
        addr: ip(addr),
        hostname: host.map(Into::into),
    };
    zone(&DnsInput {
        domain: "cluster.local".into(),
        serial: 7,
        dns_ips: vec![ip("10.96.0.10")],
        services: vec![
            service("web", ServiceKind::ClusterIp(vec![ip("10.96.0.1"), ip("fd00:96::1")])),
            service(
                "db",
                ServiceKind::Headless(vec![
                    endpoint("10.244.1.5", Some("db-0")),
                    endpoint("10.244.1.6", None),
                ]),
            ),
            service("out", ServiceKind::ExternalName("example.com.".into())),
            service("alias", ServiceKind::ExternalName("web.default.svc.cluster.local".into())),
        ],
        namespaces: vec!["default".into()],
        reverse: vec!["10.96.0.0/12".parse().unwrap(), "10.244.0.0/16".parse().unwrap()],
    })
}

fn query(name: &str, kind: u16, id: u16) -> Vec<u8> {
    let mut bytes = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes[..2].copy_from_slice(&id.to_be_bytes());
    bytes.extend(encode_name(name));
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}

fn text_name(wire: &[u8]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while wire[at] != 0 {
        let end = at + 1 + usize::from(wire[at]);
        text.push_str(std::str::from_utf8(&wire[at + 1..end]).unwrap());
        text.push('.');
        at = end;
    }
    text
}

fn text_data(bytes: &[u8], r: &Record) -> String {
    let data = &bytes[r.data..r.end];
    let name = |at| text_name(&expand_name(bytes, at).unwrap());
    match r.kind {
        kind::A => format!("A {}", IpAddr::from(<[u8; 4]>::try_from(data).unwrap())),
        kind::AAAA => format!("AAAA {}", IpAddr::from(<[u8; 16]>::try_from(data).unwrap())),
        kind::CNAME => format!("CNAME {}", name(r.data)),
        kind::PTR => format!("PTR {}", name(r.data)),
        kind::NS => format!("NS {}", name(r.data)),
        kind::TXT => format!("TXT {}", String::from_utf8_lossy(&data[1..])),
        kind::SOA => "SOA".to_string(),
        kind::SRV => {
            let n = |i: usize| u16_at(data, i).unwrap();
            format!("SRV {} {} {} {}", n(0), n(2), n(4), name(r.data + 6))
        }
        other => format!("TYPE{other}"),
    }
}

/// A response in one line: code, then `owner data` of every record.
fn show(bytes: &[u8]) -> String {
    let (list, _) = records(bytes).unwrap();
    let mut text = format!("{}", bytes[3] & 0xf);
    for r in list.iter().filter(|r| r.kind != kind::OPT) {
        let owner = text_name(&expand_name(bytes, r.name).unwrap());
        text.push_str(&format!(" | {owner} {}", text_data(bytes, r)));
    }
    text
}

fn ask(zone: &Zone, name: &str, kind: u16) -> String {
    match answer(zone, &query(name, kind, 0), Transport::Udp) {
        Answer::Reply(bytes) => show(&bytes),
        other => format!("{other:?}").split('(').next().unwrap().to_string(),
    }
}

#[test]
fn cluster_records() {
    let z = sample();
    let (a, srv, ptr) = (kind::A, kind::SRV, kind::PTR);
    let web = "web.default.svc.cluster.local";
    let table = [
        (web, a, "0 | web.default.svc.cluster.local. A 10.96.0.1"),
        (web, kind::AAAA, "0 | web.default.svc.cluster.local. AAAA fd00:96::1"),
        (web, kind::TXT, "0 | cluster.local. SOA"),
        ("nope.default.svc.cluster.local", a, "3 | cluster.local. SOA"),
        ("default.svc.cluster.local", a, "0 | cluster.local. SOA"),
        ("svc.cluster.local", a, "0 | cluster.local. SOA"),
        ("_tcp.web.default.svc.cluster.local", srv, "0 | cluster.local. SOA"),
        (
            "_http._tcp.db.default.svc.cluster.local",
            srv,
            "0 | _http._tcp.db.default.svc.cluster.local. SRV 0 50 80 \
             db-0.db.default.svc.cluster.local. | _http._tcp.db.default.svc.cluster.local. SRV 0 50 \
             80 10-244-1-6.db.default.svc.cluster.local. | db-0.db.default.svc.cluster.local. A \
             10.244.1.5 | 10-244-1-6.db.default.svc.cluster.local. A 10.244.1.6",
        ),
        (
            "db-0.db.default.svc.cluster.local",
            a,
            "0 | db-0.db.default.svc.cluster.local. A 10.244.1.5",
        ),
        (
            "1.0.96.10.in-addr.arpa",
            ptr,
            "0 | 1.0.96.10.in-addr.arpa. PTR web.default.svc.cluster.local.",
        ),
        (
            "5.1.244.10.in-addr.arpa",
            ptr,
            "0 | 5.1.244.10.in-addr.arpa. PTR db-0.db.default.svc.cluster.local.",
        ),
        ("9.1.244.10.in-addr.arpa", ptr, "3 | in-addr.arpa. SOA"),
        ("8.8.8.8.in-addr.arpa", ptr, "Forward"),
        (
            "10-244-1-9.default.pod.cluster.local",
            a,
            "0 | 10-244-1-9.default.pod.cluster.local. A 10.244.1.9",
        ),
        ("10-244-1-9.nope.pod.cluster.local", a, "3 | cluster.local. SOA"),
        ("example.com", a, "Forward"),
        (
            "out.default.svc.cluster.local",
            kind::CNAME,
            "0 | out.default.svc.cluster.local. CNAME example.com.",
        ),
        ("out.default.svc.cluster.local", a, "Chase"),
        (
            "alias.default.svc.cluster.local",
            a,
            "0 | alias.default.svc.cluster.local. CNAME web.default.svc.cluster.local. | \
             web.default.svc.cluster.local. A 10.96.0.1",
        ),
        ("cluster.local", kind::SOA, "0 | cluster.local. SOA"),
        ("cluster.local", kind::NS, "0 | cluster.local. NS ns.dns.cluster.local."),
        ("ns.dns.cluster.local", a, "0 | ns.dns.cluster.local. A 10.96.0.10"),
        ("dns-version.cluster.local", kind::TXT, "0 | dns-version.cluster.local. TXT 1.1.0"),
        ("xcluster.local", a, "Forward"),
    ];
    for (name, kind, wanted) in table {
        assert_eq!(ask(&z, name, kind), wanted, "{name} {kind}");
    }
}

#[test]
fn several_addresses_take_turns() {
    let z = sample();
    let first = |id| match answer(
        &z,
        &query("db.default.svc.cluster.local", kind::A, id),
        Transport::Udp,
    ) {
        Answer::Reply(bytes) => show(&bytes).split(" | ").nth(1).unwrap().to_string(),
        other => panic!("{other:?}"),
    };
    assert_ne!(first(0), first(1));
    assert_eq!(first(0), first(2));
}

#[test]
fn the_case_of_the_client_comes_back() {
    let bytes = query("WeB.default.SVC.cluster.local", kind::A, 0x1234);
    let Answer::Reply(reply) = answer(&sample(), &bytes, Transport::Udp) else { panic!() };
    assert_eq!(reply[..2], [0x12, 0x34]);
    assert_eq!(reply[12..bytes.len()], bytes[12..]);
    assert_eq!(reply[2] & 0x85, 0x85, "a response, authoritative, recursion desired");
    assert!(show(&reply).starts_with("0 | WeB.default.SVC.cluster.local. A"));
}

fn with_opt(mut bytes: Vec<u8>, size: u16, version: u8) -> Vec<u8> {
    bytes[11] = 1;
    bytes.extend([0, 0, 41]);
    bytes.extend(size.to_be_bytes());
    bytes.extend([0, version, 0x80, 0, 0, 0]);
    bytes
}

#[test]
fn large_answers_are_cut_over_udp_only() {
    let endpoints =
        (0..200).map(|i| DnsEndpoint { addr: IpAddr::from([10, 244, 2, i]), hostname: None });
    let service = DnsService {
        namespace: "default".into(),
        name: "big".into(),
        kind: ServiceKind::Headless(endpoints.collect()),
        ports: vec![],
    };
    let z = zone(&DnsInput {
        domain: "cluster.local".into(),
        services: vec![service],
        ..Default::default()
    });
    let plain = query("big.default.svc.cluster.local", kind::A, 0);
    let size = |bytes: &[u8], transport| match answer(&z, bytes, transport) {
        Answer::Reply(reply) => (reply.len(), reply[2] & 2 != 0, records(&reply).unwrap().1),
        other => panic!("{other:?}"),
    };
    let (length, cut, count) = size(&plain, Transport::Udp);
    assert!(length <= 512 && cut && count > 25);
    let (length, cut, _) = size(&with_opt(plain.clone(), 1232, 0), Transport::Udp);
    assert!(length <= 1232 && cut && length > 1000);
    let (_, cut, count) = size(&plain, Transport::Tcp);
    assert!(!cut && count == 200);
}

#[test]
fn edns_and_odd_requests() {
    let z = sample();
    let plain = query("web.default.svc.cluster.local", kind::A, 3);
    let reply = |bytes: &[u8]| match answer(&z, bytes, Transport::Udp) {
        Answer::Reply(reply) => reply,
        other => panic!("{other:?}"),
    };
    let with = reply(&with_opt(plain.clone(), 4096, 0));
    assert_eq!(u16_at(&with, 10), Ok(1), "an OPT comes back");
    let bad = reply(&with_opt(plain.clone(), 4096, 1));
    let (list, answers) = records(&bad).unwrap();
    assert_eq!((answers, list[0].ttl >> 24), (0, 1), "BADVERS");
    let mut notify = plain.clone();
    notify[2] = 4 << 3;
    assert_eq!(reply(&notify)[3] & 0xf, code::NOT_IMPLEMENTED);
    assert_eq!(reply(&query("cluster.local", kind::AXFR, 0))[3] & 0xf, code::REFUSED);
    let mut two = plain.clone();
    two[5] = 2;
    assert_eq!(reply(&two)[3] & 0xf, code::FORMAT);
    let mut response = plain.clone();
    response[2] |= 0x80;
    assert_eq!(answer(&z, &response, Transport::Udp), Answer::Ignore);
    assert_eq!(answer(&z, &plain[..9], Transport::Udp), Answer::Ignore);
}

#[test]
fn an_alias_out_of_the_zone_is_finished_with_the_upstreams_answer() {
    let z = sample();
    let bytes = query("out.default.svc.cluster.local", kind::A, 9);
    let Answer::Chase(chase) = answer(&z, &bytes, Transport::Udp) else { panic!() };
    assert_eq!(chase.target, "example.com");
    let mut upstream = chase.query.clone();
    upstream[2] |= 0x80;
    upstream[7] = 2;
    // example.com CNAME www.example.com, then its address; both names compressed.
    upstream.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 6, 3, b'w', b'w', b'w', 0xc0, 12]);
    let www = upstream.len() - 6;
    upstream.extend([0xc0, www as u8, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    let reply = finish(&z, &bytes, Transport::Udp, &chase, Some(&upstream));
    assert_eq!(
        show(&reply),
        "0 | out.default.svc.cluster.local. CNAME example.com. | example.com. CNAME \
         www.example.com. | www.example.com. A 192.0.2.1"
    );
    let reply = finish(&z, &bytes, Transport::Udp, &chase, None);
    assert_eq!(show(&reply), "2 | out.default.svc.cluster.local. CNAME example.com.");
}

#[test]
fn container_names() {
    let name = |name: &str, alias: &str, addr: &str| ContainerName {
        name: name.into(),
        aliases: vec![alias.into()],
        addrs: vec![ip(addr)],
    };
    let front = [name("web", "app", "172.18.0.2"), name("web2", "app", "172.18.0.3")];
    let back = [name("DB", "postgres", "172.19.0.2")];
    let layers = vec![
        Arc::new(container_records("front", &front)),
        Arc::new(container_records("back", &back)),
    ];
    let z = Zone::of_networks(layers.clone());
    assert_eq!(ask(&z, "web", kind::A), "0 | web. A 172.18.0.2");
    assert_eq!(ask(&z, "web.front", kind::A), "0 | web.front. A 172.18.0.2");
    assert_eq!(ask(&z, "web", kind::AAAA), "0");
    assert_eq!(ask(&z, "app", kind::A), "0 | app. A 172.18.0.2 | app. A 172.18.0.3");
    assert_eq!(ask(&z, "db", kind::A), "0 | db. A 172.19.0.2");
    assert_eq!(
        ask(&z, "2.0.18.172.in-addr.arpa", kind::PTR),
        "0 | 2.0.18.172.in-addr.arpa. PTR web.front."
    );
    assert_eq!(ask(&z, "example.com", kind::A), "Forward");
    assert_eq!(ask(&Zone::of_networks(layers[..1].to_vec()), "db", kind::A), "Forward");
}

proptest! {
    /// Nothing a client sends makes the server panic, and what it says is readable and in size.
    #[test]
    fn hostile_queries(bytes in proptest::collection::vec(any::<u8>(), 0..80), cut in 0usize..60) {
        let z = sample();
        let mut close = with_opt(query("web.default.svc.cluster.local", kind::A, 0), 700, 0);
        for (i, b) in bytes.iter().enumerate() {
            let at = (i * 7 + usize::from(*b)) % close.len();
            close[at] ^= b;
        }
        close.truncate(close.len() - cut.min(close.len()));
        for input in [&bytes, &close] {
            if let Answer::Reply(reply) = answer(&z, input, Transport::Udp) {
                prop_assert!(reply.len() <= 4096 && records(&reply).is_ok());
            }
        }
    }

    /// Nor does anything an upstream server sends.
    #[test]
    fn hostile_upstreams(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let z = sample();
        let request = query("out.default.svc.cluster.local", kind::A, 9);
        let Answer::Chase(chase) = answer(&z, &request, Transport::Udp) else { panic!() };
        let reply = finish(&z, &request, Transport::Udp, &chase, Some(&bytes));
        prop_assert!(records(&reply).is_ok());
        for at in 0..bytes.len() {
            let _ = expand_name(&bytes, at);
        }
    }
}
