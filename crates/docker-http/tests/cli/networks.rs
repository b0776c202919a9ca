//! Networks, names, published ports.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::bench::Bench;

#[test]
fn names_and_isolation() {
    let Some(b) = Bench::start("net") else { return };
    b.ok(&["network", "create", "n1"]);
    b.ok(&[
        "run",
        "-d",
        "--name",
        "db",
        "--network",
        "n1",
        "--network-alias",
        "store",
        "busybox",
        "sleep",
        "1000",
    ]);
    let ip = b.ok(&["inspect", "-f", "{{.NetworkSettings.Networks.n1.IPAddress}}", "db"]);
    for name in ["db", "store"] {
        let found = b.ok(&["run", "--rm", "--network", "n1", "busybox", "nslookup", name]);
        assert!(found.contains(&ip), "{name}: {found}");
    }
    let ping = ["run", "--rm", "--network", "n1", "busybox", "ping", "-c1", "-W2", "db"];
    assert!(b.ok(&ping).contains("1 packets received"));
    let busy = b.docker(&["network", "rm", "n1"]);
    assert!(busy.err.contains("has active endpoints"), "{}", busy.err);
    b.ok(&["run", "-d", "--name", "other", "busybox", "sleep", "1000"]);
    b.ok(&["network", "connect", "n1", "other"]);
    assert!(b.ok(&["exec", "other", "ping", "-c1", "-W2", "db"]).contains("1 packets received"));
    b.ok(&["network", "disconnect", "n1", "other"]);
    assert_ne!(b.docker(&["exec", "other", "ping", "-c1", "-W1", "db"]).code, 0);
    assert_eq!(
        b.ok(&["run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net"]),
        "lo"
    );
    let shared = ["run", "--rm", "--network", "container:db", "busybox", "ip", "-4", "addr"];
    assert!(b.ok(&shared).contains(&ip));
}

#[test]
fn published_ports() {
    let Some(b) = Bench::start("por") else { return };
    let serve = "while true; do echo -e 'HTTP/1.0 200 OK\\r\\n\\r\\npong' | nc -l -p 80; done";
    b.ok(&["run", "-d", "--name", "web", "-p", "127.0.0.1::80", "busybox", "sh", "-c", serve]);
    let port = b.ok(&["port", "web", "80/tcp"]);
    let mut answer = String::new();
    // The shell may still be on its way to its first `nc`.
    for _ in 0..200 {
        let ask = TcpStream::connect(port.as_str()).and_then(|mut s| {
            s.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            s.read_to_string(&mut answer)
        });
        if ask.is_ok() && answer.contains("pong") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(answer.contains("pong"), "{answer}");
    let taken = b.docker(&["run", "--rm", "-p", &format!("{port}:80"), "busybox", "true"]);
    assert_eq!(taken.code, 125, "{}", taken.err);
    assert!(taken.err.contains("port is already allocated"), "{}", taken.err);
}

#[test]
fn networks_made_at_once_do_not_overlap() {
    let Some(b) = Bench::start("nwo") else { return };
    let create = |i: usize| b.command(&["network", "create", &format!("many{i}")]).spawn().unwrap();
    for mut client in (0..8).map(create).collect::<Vec<_>>() {
        assert!(client.wait().unwrap().success());
    }
    let names: Vec<String> = (0..8).map(|i| format!("many{i}")).collect();
    let mut words = vec!["network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}"];
    words.extend(names.iter().map(String::as_str));
    let subnets = b.ok(&words);
    let different: std::collections::BTreeSet<&str> = subnets.lines().collect();
    assert_eq!(different.len(), 8, "{subnets}");
}
