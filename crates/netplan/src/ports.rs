//! Which host port a published container port gets (rules and texts after moby
//! `daemon/libnetwork/portallocator`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::nft::Proto;

#[cfg(test)]
mod tests;

/// Which port is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Exact(u16),
    /// The first free one of a range, both ends included (`-p 8000-8010:80`).
    Range(u16, u16),
    /// Any of the ephemeral range (`-p 80`, `-P`).
    Any,
}

/// Why there is no port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortError {
    /// Another container of ours has it.
    Allocated(IpAddr, u16),
    /// Another process has it.
    InUse(IpAddr, u16, Proto),
    /// Every port of the range is taken.
    AllAllocated,
    /// A range whose end is before its start, or that has port 0.
    InvalidRange(u16, u16),
    /// The host does not have this address, or the system refused otherwise.
    System(IpAddr, u16, Proto, String),
}

impl std::error::Error for PortError {}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortError::Allocated(ip, port) => {
                write!(f, "Bind for {ip}:{port} failed: port is already allocated")
            }
            PortError::InUse(ip, port, proto) => {
                let at = std::net::SocketAddr::new(*ip, *port);
                write!(f, "failed to bind host port {at}/{proto}: address already in use")
            }
            PortError::AllAllocated => f.write_str("all ports are allocated"),
            PortError::InvalidRange(low, high) => write!(f, "invalid port range: {low}-{high}"),
            PortError::System(ip, port, proto, cause) => {
                let at = std::net::SocketAddr::new(*ip, *port);
                write!(f, "failed to bind host port {at}/{proto}: {cause}")
            }
        }
    }
}

/// The host ports that our containers have. A value: the engine rebuilds it from its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortBook {
    ephemeral: (u16, u16),
    taken: BTreeMap<(Proto, IpAddr), BTreeSet<u16>>,
    /// Where the search in a range goes on, so that a port rests before it is used again.
    last: BTreeMap<(Proto, u16, u16), u16>,
}

impl PortBook {
    /// A book with the host's ephemeral range (`net.ipv4.ip_local_port_range`).
    pub fn new(ephemeral: (u16, u16)) -> PortBook {
        PortBook { ephemeral, taken: BTreeMap::new(), last: BTreeMap::new() }
    }

    /// Reserves one port number on all addresses. `usable` is asked for each free candidate of a
    /// range, so that ports of other processes are passed over.
    pub fn reserve(
        &mut self,
        ips: &[IpAddr],
        proto: Proto,
        wish: Wish,
        mut usable: impl FnMut(u16) -> Result<(), PortError>,
    ) -> Result<u16, PortError> {
        let (low, high) = match wish {
            Wish::Exact(port) => {
                if let Some(ip) = self.conflict(ips, proto, port) {
                    return Err(PortError::Allocated(ip, port));
                }
                usable(port)?;
                self.take(ips, proto, port);
                return Ok(port);
            }
            Wish::Range(low, high) if low == 0 || high < low => {
                return Err(PortError::InvalidRange(low, high));
            }
            Wish::Range(low, high) => (low, high),
            Wish::Any => self.ephemeral,
        };
        let last = self.last.get(&(proto, low, high)).copied().unwrap_or(high);
        let order = (low..=high).filter(|p| *p > last).chain(low..=high.min(last));
        let mut refusal = PortError::AllAllocated;
        for port in order {
            if self.conflict(ips, proto, port).is_some() {
                continue;
            }
            match usable(port) {
                Ok(()) => {
                    self.last.insert((proto, low, high), port);
                    self.take(ips, proto, port);
                    return Ok(port);
                }
                Err(error @ PortError::InUse(..)) => refusal = error,
                Err(error) => return Err(error),
            }
        }
        Err(refusal)
    }

    /// Gives a port back.
    pub fn release(&mut self, ips: &[IpAddr], proto: Proto, port: u16) {
        for ip in ips {
            if let Some(ports) = self.taken.get_mut(&(proto, *ip)) {
                ports.remove(&port);
            }
        }
    }

    fn take(&mut self, ips: &[IpAddr], proto: Proto, port: u16) {
        for ip in ips {
            self.taken.entry((proto, *ip)).or_default().insert(port);
        }
    }

    /// The address whose reservation stands in the way: the same address, or one of the two is
    /// the unspecified address of the family.
    fn conflict(&self, ips: &[IpAddr], proto: Proto, port: u16) -> Option<IpAddr> {
        let held = self.taken.iter().filter(|((p, _), ports)| *p == proto && ports.contains(&port));
        held.map(|((_, ip), _)| *ip).find(|held| ips.iter().any(|ip| meets(*ip, *held)))
    }
}

fn meets(a: IpAddr, b: IpAddr) -> bool {
    a == b || (a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified()))
}

/// The addresses on which a port without a host address is published: all of both families, as
/// far as the container has an address in the family.
pub fn default_addresses(v4: Option<IpAddr>, v6: Option<IpAddr>) -> Vec<IpAddr> {
    let all4 = v4.map(|_| IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let all6 = v6.map(|_| IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    all4.into_iter().chain(all6).collect()
}
