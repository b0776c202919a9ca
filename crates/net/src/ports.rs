//! Host ports: reserved in our book and held at the system, so that no other process gets a port
//! whose packets go to a container.

use std::fs;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};

use netplan::nft::Proto;
use netplan::ports::{PortBook, PortError, Wish};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, Shutdown, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6,
    bind, listen, setsockopt, shutdown, socket, sockopt,
};

/// The host ports of an instance.
#[derive(Debug)]
pub struct HostPorts {
    book: PortBook,
}

/// A port number held on some addresses, until it is released.
#[derive(Debug)]
pub struct Reservation {
    pub ips: Vec<IpAddr>,
    pub proto: Proto,
    pub port: u16,
    /// Bound and never read: packets for containers are redirected before they get here, and
    /// what is not redirected is refused.
    _sockets: Vec<OwnedFd>,
}

impl Default for HostPorts {
    /// An empty book with the ephemeral range of the system.
    fn default() -> HostPorts {
        HostPorts { book: PortBook::new(ephemeral_range()) }
    }
}

impl HostPorts {
    /// Reserves one port number on all of `ips`.
    pub fn reserve(
        &mut self,
        ips: &[IpAddr],
        proto: Proto,
        wish: Wish,
    ) -> Result<Reservation, PortError> {
        let mut sockets = Vec::new();
        let port = self.book.reserve(ips, proto, wish, |port| {
            sockets = hold_all(ips, proto, port)?;
            Ok(())
        })?;
        Ok(Reservation { ips: ips.to_vec(), proto, port, _sockets: sockets })
    }

    /// Gives a port back.
    pub fn release(&mut self, reservation: Reservation) {
        self.book.release(&reservation.ips, reservation.proto, reservation.port);
    }
}

/// `net.ipv4.ip_local_port_range`, as Docker takes it; Linux' default when it cannot be read.
fn ephemeral_range() -> (u16, u16) {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_whitespace().filter_map(|n| n.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(low), Some(high)) if low <= high => (low, high),
        _ => (32768, 60999),
    }
}

fn hold_all(ips: &[IpAddr], proto: Proto, port: u16) -> Result<Vec<OwnedFd>, PortError> {
    let mut sockets = Vec::with_capacity(ips.len());
    for ip in ips {
        match hold(*ip, proto, port) {
            Ok(fd) => sockets.push(fd),
            // A kernel without SCTP has nobody who could use the port.
            Err(Errno::EPROTONOSUPPORT) if proto == Proto::Sctp => {}
            Err(Errno::EADDRINUSE) => return Err(PortError::InUse(*ip, port, proto)),
            Err(e) => return Err(PortError::System(*ip, port, proto, e.desc().into())),
        }
    }
    Ok(sockets)
}

fn hold(ip: IpAddr, proto: Proto, port: u16) -> nix::Result<OwnedFd> {
    let family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let (kind, protocol) = match proto {
        Proto::Tcp => (SockType::Stream, SockProtocol::Tcp),
        Proto::Udp => (SockType::Datagram, SockProtocol::Udp),
        Proto::Sctp => (SockType::Stream, SockProtocol::Sctp),
    };
    let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC, Some(protocol))?;
    if proto == Proto::Tcp {
        // Old connections of a previous owner do not stand in the way; listening tells whether
        // anybody else has the port.
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    }
    match SocketAddr::new(ip, port) {
        SocketAddr::V4(addr) => bind_v4(&fd, addr)?,
        SocketAddr::V6(addr) => bind_v6(&fd, addr)?,
    }
    if proto == Proto::Tcp {
        listen(&fd, Backlog::new(1)?)?;
        // Not listening, but bound: others cannot have the port, and a connection that no rule
        // redirects (from ::1, say) is refused at once instead of hanging.
        setsockopt(&fd, sockopt::ReuseAddr, &false)?;
        shutdown(fd.as_raw_fd(), Shutdown::Read)?;
    }
    Ok(fd)
}

fn bind_v4(fd: &OwnedFd, addr: SocketAddrV4) -> nix::Result<()> {
    bind(fd.as_raw_fd(), &SockaddrIn::from(addr))
}

fn bind_v6(fd: &OwnedFd, addr: SocketAddrV6) -> nix::Result<()> {
    setsockopt(fd, sockopt::Ipv6V6Only, &true)?;
    bind(fd.as_raw_fd(), &SockaddrIn6::from(addr))
}
