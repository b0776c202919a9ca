//! Requests of rtnetlink: links, addresses, routes (`linux/rtnetlink.h`, `linux/if_link.h`).

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use ipnet::IpNet;

use crate::netlink::{Attrs, CREATE, DUMP, EXCLUSIVE, Message, Netlink, REPLACE};
use crate::{Error, Mac};

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const NEWADDR: u16 = 20;
const NEWROUTE: u16 = 24;
const GETROUTE: u16 = 26;

const UP: u32 = 1;

const ADDRESS: u16 = 1;
const IFNAME: u16 = 3;
const MTU: u16 = 4;
const MASTER: u16 = 10;
const OPERSTATE: u16 = 16;
const OPER_UP: u8 = 6;
const LINKINFO: u16 = 18;
const IFALIAS: u16 = 20;
const STATS64: u16 = 23;
const AF_SPEC: u16 = 26;
const NET_NS_FD: u16 = 28;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const INFO_SLAVE_KIND: u16 = 4;
const INFO_SLAVE_DATA: u16 = 5;
const VETH_PEER: u16 = 1;
const BRPORT_MODE: u16 = 4;
const BRPORT_ISOLATED: u16 = 33;
const INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_NONE: u8 = 1;

/// The fixed header of link messages (`struct ifinfomsg`).
fn link_header(index: u32, flags: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

pub(crate) fn bridge(name: &str, mac: Mac, mtu: u32) -> Message {
    let what = format!("cannot create the bridge {name}");
    let mut m = Message::new(NEWLINK, CREATE | EXCLUSIVE, what).raw(&link_header(0, 0));
    m.text(IFNAME, name);
    m.attr(ADDRESS, &mac.0);
    m.u32(MTU, mtu);
    m.nest(LINKINFO, |m| m.text(INFO_KIND, "bridge"));
    m
}

/// One end of a veth pair.
pub(crate) struct End<'a> {
    pub(crate) name: &'a str,
    pub(crate) mtu: u32,
    pub(crate) mac: Option<Mac>,
}

impl End<'_> {
    fn fill(&self, m: &mut Message) {
        m.text(IFNAME, self.name);
        m.u32(MTU, self.mtu);
        if let Some(mac) = self.mac {
            m.attr(ADDRESS, &mac.0);
        }
    }
}

/// A veth pair, on a bridge when a master is given, with the peer in `netns`. Both are down.
pub(crate) fn veth(
    host: &End<'_>,
    master: Option<u32>,
    peer: &End<'_>,
    netns: BorrowedFd<'_>,
) -> Message {
    let what = format!("cannot create the veth pair {} and {}", host.name, peer.name);
    let mut m = Message::new(NEWLINK, CREATE | EXCLUSIVE, what).raw(&link_header(0, 0));
    host.fill(&mut m);
    if let Some(index) = master {
        m.u32(MASTER, index);
    }
    m.nest(LINKINFO, |m| {
        m.text(INFO_KIND, "veth");
        m.nest(INFO_DATA, |m| {
            m.nest(VETH_PEER, |m| {
                m.inline(&link_header(0, 0));
                peer.fill(m);
                m.attr(NET_NS_FD, &netns.as_raw_fd().to_ne_bytes());
            });
        });
    });
    m
}

/// Keeps the kernel from giving a link an IPv6 link-local address; before it comes up.
pub(crate) fn no_link_local(name: &str) -> Message {
    let what = format!("cannot switch off link-local addresses of {name}");
    let mut m = Message::new(NEWLINK, 0, what).raw(&link_header(0, 0));
    m.text(IFNAME, name);
    m.nest(AF_SPEC, |m| {
        m.nest(libc::AF_INET6 as u16, |m| m.attr(INET6_ADDR_GEN_MODE, &[ADDR_GEN_NONE]));
    });
    m
}

/// Names the owner of a link, where `ip link` shows it, and brings it up.
pub(crate) fn up_with_alias(name: &str, alias: &str) -> Message {
    let what = format!("cannot bring up {name}");
    let mut m = Message::new(NEWLINK, 0, what).raw(&link_header(0, UP));
    m.text(IFNAME, name);
    m.attr(IFALIAS, alias.as_bytes());
    m
}

/// Lets a bridge port send frames back where they came from (a container that reaches itself
/// through a published port), and cuts it off from other isolated ports when asked.
pub(crate) fn bridge_port(name: &str, isolated: bool) -> Message {
    let what = format!("cannot set up the bridge port {name}");
    let mut m = Message::new(NEWLINK, 0, what).raw(&link_header(0, 0));
    m.text(IFNAME, name);
    m.nest(LINKINFO, |m| {
        m.text(INFO_SLAVE_KIND, "bridge");
        m.nest(INFO_SLAVE_DATA, |m| {
            m.attr(BRPORT_MODE, &[1]);
            m.attr(BRPORT_ISOLATED, &[u8::from(isolated)]);
        });
    });
    m
}

pub(crate) fn up(name: &str) -> Message {
    let what = format!("cannot bring up {name}");
    let mut m = Message::new(NEWLINK, 0, what).raw(&link_header(0, UP));
    m.text(IFNAME, name);
    m
}

pub(crate) fn delete(name: &str) -> Message {
    let what = format!("cannot delete the link {name}");
    let mut m = Message::new(DELLINK, 0, what).raw(&link_header(0, 0));
    m.text(IFNAME, name);
    m
}

/// An address with the subnet it is in; ready at once, without duplicate detection.
pub(crate) fn address(index: u32, net: IpNet) -> Message {
    const LOCAL: u16 = 2;
    const PREFIX: u16 = 1;
    const BROADCAST: u16 = 4;
    const NODAD: u8 = 2;
    let what = format!("cannot add the address {net}");
    let mut header = [family(net.addr()), net.prefix_len(), NODAD, 0, 0, 0, 0, 0];
    header[4..].copy_from_slice(&index.to_ne_bytes());
    let mut m = Message::new(NEWADDR, CREATE | REPLACE, what).raw(&header);
    m.attr(LOCAL, &octets(net.addr()));
    m.attr(PREFIX, &octets(net.addr()));
    if net.addr().is_ipv4() && net.prefix_len() < 31 {
        m.attr(BROADCAST, &octets(net.broadcast()));
    }
    m
}

/// A route of the main table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RouteSpec {
    pub(crate) to: IpNet,
    pub(crate) via: Option<IpAddr>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) index: u32,
}

const TABLE_MAIN: u8 = 254;
const KIND_UNICAST: u8 = 1;
const ROUTE_DST: u16 = 1;
const ROUTE_OIF: u16 = 4;
const ROUTE_GATEWAY: u16 = 5;
const ROUTE_SOURCE: u16 = 7;

/// Through a gateway when there is one, else directly over the link.
pub(crate) fn add_route(spec: &RouteSpec) -> Message {
    const PROTO_STATIC: u8 = 4;
    const SCOPE_LINK: u8 = 253;
    let scope = if spec.via.is_some() { 0 } else { SCOPE_LINK };
    let scope = if spec.to.addr().is_ipv6() { 0 } else { scope };
    let prefix = spec.to.prefix_len();
    let header = [
        family(spec.to.addr()),
        prefix,
        0,
        0,
        TABLE_MAIN,
        PROTO_STATIC,
        scope,
        KIND_UNICAST,
        0,
        0,
        0,
        0,
    ];
    let what = format!("cannot add the route to {}", spec.to);
    let mut m = Message::new(NEWROUTE, CREATE | REPLACE, what).raw(&header);
    if prefix > 0 {
        m.attr(ROUTE_DST, &octets(spec.to.network()));
    }
    if let Some(via) = spec.via {
        m.attr(ROUTE_GATEWAY, &octets(via));
    }
    if let Some(source) = spec.source {
        m.attr(ROUTE_SOURCE, &octets(source));
    }
    m.u32(ROUTE_OIF, spec.index);
    m
}

/// A link as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkSeen {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) alias: String,
    pub(crate) kind: String,
    pub(crate) mtu: u32,
    pub(crate) mac: Mac,
    /// Whether the link carries packets (`operstate` up).
    pub(crate) carries: bool,
    /// Packets and bytes in the order of `struct rtnl_link_stats64`.
    pub(crate) stats: Vec<u64>,
}

/// One link by name; `None` when there is none.
pub(crate) fn find_link(nl: &mut Netlink, name: &str) -> Result<Option<LinkSeen>, Error> {
    let what = format!("cannot look up the link {name}");
    let mut m = Message::new(GETLINK, 0, what).raw(&link_header(0, 0));
    m.text(IFNAME, name);
    match nl.query(m, 0) {
        Ok(replies) => Ok(replies.first().and_then(|(_, payload)| parse_link(payload))),
        Err(e) if e.errno() == Some(libc::ENODEV) => Ok(None),
        Err(e) => Err(e),
    }
}

/// One link by name, which must exist.
pub(crate) fn link(nl: &mut Netlink, name: &str) -> Result<LinkSeen, Error> {
    let gone = || {
        let cause = std::io::Error::from_raw_os_error(libc::ENODEV);
        Error::new(format!("cannot find the link {name}"), cause)
    };
    find_link(nl, name)?.ok_or_else(gone)
}

/// All links of the namespace.
pub(crate) fn links(nl: &mut Netlink) -> Result<Vec<LinkSeen>, Error> {
    let m = Message::new(GETLINK, 0, "cannot list links").raw(&link_header(0, 0));
    let replies = nl.query(m, DUMP)?;
    Ok(replies.iter().filter_map(|(_, payload)| parse_link(payload)).collect())
}

fn parse_link(payload: &[u8]) -> Option<LinkSeen> {
    let word = |at: usize| Some(u32::from_ne_bytes(payload.get(at..at + 4)?.try_into().ok()?));
    let attrs = Attrs::new(payload.get(16..)?);
    let stats = attrs.get(STATS64).unwrap_or_default().chunks_exact(8);
    Some(LinkSeen {
        index: word(4)?,
        name: attrs.text(IFNAME)?,
        alias: attrs.text(IFALIAS).unwrap_or_default(),
        kind: attrs.nest(LINKINFO).text(INFO_KIND).unwrap_or_default(),
        mtu: attrs.u32(MTU).unwrap_or_default(),
        mac: attrs.get(ADDRESS).and_then(|a| a.try_into().ok().map(Mac)).unwrap_or_default(),
        carries: attrs.get(OPERSTATE) == Some(&[OPER_UP]),
        stats: stats.map(|c| u64::from_ne_bytes(c.try_into().unwrap_or_default())).collect(),
    })
}

/// A route of the main table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouteSeen {
    pub(crate) to: IpNet,
    pub(crate) index: Option<u32>,
    pub(crate) via: Option<IpAddr>,
}

/// The unicast routes of the main table, both families.
pub(crate) fn routes(nl: &mut Netlink) -> Result<Vec<RouteSeen>, Error> {
    let mut seen = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let mut header = [0; 12];
        header[0] = family as u8;
        let m = Message::new(GETROUTE, 0, "cannot list routes").raw(&header);
        let replies = nl.query(m, DUMP)?;
        seen.extend(replies.iter().filter_map(|(_, payload)| parse_route(payload)));
    }
    Ok(seen)
}

fn parse_route(payload: &[u8]) -> Option<RouteSeen> {
    let header: &[u8; 12] = payload.get(..12)?.try_into().ok()?;
    if header[4] != TABLE_MAIN || header[7] != KIND_UNICAST {
        return None;
    }
    let attrs = Attrs::new(&payload[12..]);
    let any: IpAddr = if i32::from(header[0]) == libc::AF_INET {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    let to = attrs.get(ROUTE_DST).and_then(ip_from).unwrap_or(any);
    Some(RouteSeen {
        to: IpNet::new(to, header[1]).ok()?,
        index: attrs.u32(ROUTE_OIF),
        via: attrs.get(ROUTE_GATEWAY).and_then(ip_from),
    })
}

fn ip_from(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

fn family(addr: IpAddr) -> u8 {
    let family = if addr.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    family as u8
}

pub(crate) fn octets(addr: IpAddr) -> Vec<u8> {
    match addr {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
