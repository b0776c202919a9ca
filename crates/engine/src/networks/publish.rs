//! Published ports: which port of the machine leads to which port of a container.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use netplan::bridge::Published;
use netplan::nft::Proto;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, ipproto, socket_with,
};
use serde::{Deserialize, Serialize};

use crate::config::{HostConfig, items};
use crate::error::{EngineError, Result};
use crate::ports::{parse_port, parse_range};

/// One row of `docker port`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// `80/tcp`
    pub container: String,
    pub host_ip: String,
    pub host_port: u16,
}

/// Host ports held for a member: bound but never listened on, so that nobody else takes them.
pub(super) struct Holds(#[allow(dead_code)] pub Vec<OwnedFd>);

impl std::fmt::Debug for Holds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Holds({})", self.0.len())
    }
}

/// A port that is wanted: inside, and the range to choose from outside.
struct Wanted {
    container: String,
    port: u16,
    proto: Proto,
    host_ip: IpAddr,
    range: (u16, u16),
}

/// Takes the host ports that a configuration asks for.
pub(super) fn take(
    host: &HostConfig,
    exposed: impl Iterator<Item = String>,
    name: &str,
) -> Result<(Vec<PublishedPort>, Vec<OwnedFd>)> {
    let (mut ports, mut holds) = (Vec::new(), Vec::new());
    for wanted in wanted(host, exposed)? {
        let (host_port, fd) = hold(&wanted, name)?;
        holds.push(fd);
        ports.push(PublishedPort {
            container: wanted.container,
            host_ip: wanted.host_ip.to_string(),
            host_port,
        });
    }
    Ok((ports, holds))
}

/// Takes ports again that a running container has; one that somebody grabbed meanwhile is lost
/// to the hold but not to the firewall.
pub(super) fn retake(ports: &[PublishedPort]) -> Vec<OwnedFd> {
    let one = |p: &PublishedPort| {
        let (_, proto) = parse_port(&p.container)?;
        let (host_ip, proto) = (p.host_ip.parse().ok()?, Proto::parse(proto)?);
        open(SocketAddr::new(host_ip, p.host_port), proto).ok().map(|(_, fd)| fd)
    };
    ports.iter().filter_map(one).collect()
}

fn wanted(host: &HostConfig, exposed: impl Iterator<Item = String>) -> Result<Vec<Wanted>> {
    let mut out = Vec::new();
    let any = IpAddr::from([0, 0, 0, 0]);
    for (spec, bindings) in host.port_bindings.iter().flatten() {
        for binding in items(bindings) {
            let bad = || EngineError::invalid(format!("invalid port specification: \"{spec}\""));
            let host_ip = match binding.host_ip.as_str() {
                "" => any,
                ip => ip.parse().map_err(|_| bad())?,
            };
            let range = match binding.host_port.as_str() {
                "" => (0, 0),
                text => parse_range(text).ok_or_else(bad)?,
            };
            out.push(one(spec, host_ip, range).ok_or_else(bad)?);
        }
    }
    if host.publish_all_ports {
        let bound = |spec: &String| {
            host.port_bindings
                .as_ref()
                .is_some_and(|b| b.get(spec).is_some_and(|l| !items(l).is_empty()))
        };
        out.extend(exposed.filter(|s| !bound(s)).filter_map(|spec| one(&spec, any, (0, 0))));
    }
    Ok(out)
}

fn one(spec: &str, host_ip: IpAddr, range: (u16, u16)) -> Option<Wanted> {
    let (port, proto) = parse_port(spec)?;
    let container = format!("{port}/{proto}");
    Some(Wanted { container, port, proto: Proto::parse(proto)?, host_ip, range })
}

fn hold(wanted: &Wanted, name: &str) -> Result<(u16, OwnedFd)> {
    let mut last = None;
    for port in wanted.range.0..=wanted.range.1 {
        match open(SocketAddr::new(wanted.host_ip, port), wanted.proto) {
            Ok(held) => return Ok(held),
            Err(e) => last = Some(e),
        }
    }
    let why = match last {
        Some(rustix::io::Errno::ADDRINUSE) | None => format!(
            "Bind for {}:{} failed: port is already allocated",
            wanted.host_ip, wanted.range.0
        ),
        Some(e) => format!(
            "failed to bind host port {}:{} for port {}: {e}",
            wanted.host_ip, wanted.range.0, wanted.port
        ),
    };
    Err(EngineError::system(format!(
        "failed to set up container networking: driver failed programming external connectivity \
         on endpoint {name}: {why}"
    )))
}

fn open(addr: SocketAddr, proto: Proto) -> rustix::io::Result<(u16, OwnedFd)> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, protocol) = match proto {
        Proto::Udp => (SocketType::DGRAM, ipproto::UDP),
        Proto::Sctp => (SocketType::STREAM, ipproto::SCTP),
        _ => (SocketType::STREAM, ipproto::TCP),
    };
    let fd = socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol))?;
    bind(&fd, &addr)?;
    let bound = SocketAddr::try_from(getsockname(&fd)?)?;
    Ok((bound.port(), fd))
}

/// The firewall's view of the ports.
pub(super) fn rules(ports: &[PublishedPort], addrs: &[IpAddr]) -> Vec<Published> {
    let one = |p: &PublishedPort| {
        let (container_port, proto) = parse_port(&p.container)?;
        let host_ip: IpAddr = p.host_ip.parse().ok()?;
        let same_family = |a: &&IpAddr| a.is_ipv4() == host_ip.is_ipv4();
        let container_ip = *addrs.iter().find(same_family)?;
        let proto = Proto::parse(proto)?;
        Some(Published { proto, host_ip, host_port: p.host_port, container_ip, container_port })
    };
    ports.iter().filter_map(one).collect()
}
