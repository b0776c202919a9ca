//! Serving names: one server for container names and for the cluster's zone.
//!
//! What a name means is decided by `netplan::dns`; here are the sockets, what lies behind an
//! alias out of the zone, and the way to the host's resolvers for everything else. All servers of
//! a daemon share its runtime: a container costs two sockets and two tasks, no thread.

mod cache;
mod forward;
mod server;

pub use forward::{Forwarder, Upstreams, resolvers};
pub use server::{DnsServer, SharedZone, serve};

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use netplan::nft::{ChainKind, Family, Field, Hook, Proto, Ruleset, Target, dnat, eq, priority};

use crate::error::{Context, Error};
use crate::netns::Netns;
use crate::nft::Firewall;

/// Where a container finds its resolver, as in Docker.
pub const EMBEDDED: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// The two sockets of a server, on one address and port.
#[derive(Debug)]
pub struct DnsSockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl DnsSockets {
    /// Binds in the calling thread's namespace. Port 0 picks one that is free for both.
    pub fn bind(addr: SocketAddr) -> Result<DnsSockets, Error> {
        /// A port that is free for UDP may be taken for TCP; then another is picked.
        const ATTEMPTS: usize = 16;
        let what = || format!("cannot serve DNS on {addr}");
        let mut result = DnsSockets::bind_both(addr);
        for _ in 0..ATTEMPTS {
            match result {
                Err(ref e) if addr.port() == 0 && e.kind() == std::io::ErrorKind::AddrInUse => {
                    result = DnsSockets::bind_both(addr);
                }
                _ => break,
            }
        }
        result.context(what)
    }

    fn bind_both(addr: SocketAddr) -> std::io::Result<DnsSockets> {
        let udp = UdpSocket::bind(addr)?;
        let tcp = TcpListener::bind(udp.local_addr()?)?;
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        Ok(DnsSockets { udp, tcp })
    }

    /// Binds inside a container at 127.0.0.11, and redirects port 53 there to it: so the
    /// container itself may still bind port 53. After a restart of the daemon the new sockets
    /// take the place of the old ones.
    pub fn embedded(container: &Netns) -> Result<DnsSockets, Error> {
        container.run(|| {
            let sockets = DnsSockets::bind(SocketAddr::new(EMBEDDED, 0))?;
            Firewall::open()?.apply(&redirect(sockets.addr()?))?;
            Ok(sockets)
        })
    }

    /// The address both sockets are bound to.
    pub fn addr(&self) -> Result<SocketAddr, Error> {
        self.udp.local_addr().context(|| "cannot read a socket's address".into())
    }
}

/// The table inside a container's namespace.
fn redirect(to: SocketAddr) -> Ruleset {
    const CHAIN: &str = "output";
    let mut ruleset = Ruleset::default();
    let table = ruleset.table(Family::Ip, "boxship-dns");
    table.base(CHAIN, ChainKind::Nat, Hook::Output, priority::DSTNAT);
    for proto in [Proto::Udp, Proto::Tcp] {
        let port = [eq(Field::L4proto, proto), eq(Field::Dport, 53)];
        let to = dnat(Target::Fixed(to.ip(), Some(to.port())));
        let rule = [vec![eq(Field::Daddr, EMBEDDED)], port.to_vec(), vec![to]].concat();
        table.rule(CHAIN, rule);
    }
    ruleset
}
