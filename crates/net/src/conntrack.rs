//! Tracked UDP connections: list, and forget those that lead nowhere
//! (`linux/netfilter/nfnetlink_conntrack.h`).

use std::net::{IpAddr, SocketAddr};

use crate::Error;
use crate::netlink::{Attrs, DUMP, Message, Netlink};

/// A tracked connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// As the client sent it.
    pub source: SocketAddr,
    /// As the client sent it: for a Service the Service's address.
    pub destination: SocketAddr,
    /// Who answers: for a Service the endpoint.
    pub answering: SocketAddr,
}

const UDP: u8 = libc::IPPROTO_UDP as u8;
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const PROTO_NUMBER: u16 = 1;
const PROTO_SOURCE: u16 = 2;
const PROTO_DESTINATION: u16 = 3;

fn message(get_or_delete: u16, family: u8, what: &str) -> Message {
    const SUBSYSTEM: u16 = 1;
    Message::new(SUBSYSTEM << 8 | get_or_delete, 0, what).raw(&[family, 0, 0, 0])
}

/// All tracked UDP connections of the calling thread's namespace.
pub fn udp_flows() -> Result<Vec<Flow>, Error> {
    Ok(dump()?.into_iter().map(|(flow, _)| flow).collect())
}

/// Forgets the UDP connections that `stale` picks. Gives their number.
pub fn forget_udp(stale: impl Fn(&Flow) -> bool) -> Result<usize, Error> {
    const DELETE: u16 = 2;
    let picked: Vec<(Flow, Vec<u8>)> = dump()?.into_iter().filter(|(f, _)| stale(f)).collect();
    let mut nl = Netlink::netfilter()?;
    for (flow, tuple) in &picked {
        let family = if flow.source.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let what = format!("cannot forget the connection to {}", flow.destination);
        let mut m = message(DELETE, family as u8, &what);
        m.nest(TUPLE_ORIGINAL, |m| m.inline(tuple));
        match nl.request(m) {
            // It went by itself.
            Err(e) if e.errno() == Some(libc::ENOENT) => {}
            other => other?,
        }
    }
    Ok(picked.len())
}

/// Flows with the bytes of their original tuple, by which the kernel finds them again.
fn dump() -> Result<Vec<(Flow, Vec<u8>)>, Error> {
    const GET: u16 = 1;
    let mut nl = Netlink::netfilter()?;
    let replies = nl.query(message(GET, 0, "cannot list tracked connections"), DUMP)?;
    Ok(replies.iter().filter_map(|(_, payload)| parse(payload.get(4..)?)).collect())
}

fn parse(bytes: &[u8]) -> Option<(Flow, Vec<u8>)> {
    let attrs = Attrs::new(bytes);
    let original = attrs.nest(TUPLE_ORIGINAL);
    let protocol = original.nest(TUPLE_PROTO).get(PROTO_NUMBER)?;
    if protocol != [UDP] {
        return None;
    }
    let (source, destination) = tuple(original)?;
    let (answering, _) = tuple(attrs.nest(TUPLE_REPLY))?;
    let flow = Flow { source, destination, answering };
    Some((flow, attrs.get(TUPLE_ORIGINAL)?.to_vec()))
}

fn tuple(tuple: Attrs<'_>) -> Option<(SocketAddr, SocketAddr)> {
    let (ip, proto) = (tuple.nest(TUPLE_IP), tuple.nest(TUPLE_PROTO));
    // Attributes 1 and 2 are IPv4 source and destination, 3 and 4 those of IPv6.
    let addr = |v4: u16, v6: u16| ip.get(v4).and_then(ip4).or_else(|| ip.get(v6).and_then(ip6));
    let port = |kind: u16| Some(u16::from_be_bytes(proto.get(kind)?.try_into().ok()?));
    let source = SocketAddr::new(addr(1, 3)?, port(PROTO_SOURCE)?);
    Some((source, SocketAddr::new(addr(2, 4)?, port(PROTO_DESTINATION)?)))
}

fn ip4(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from)
}

fn ip6(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}
