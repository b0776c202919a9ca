//! Containers on networks: a veth pair, its addresses and its routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use ipnet::IpNet;

use crate::instance::{Instance, OwnedKind, delete_link};
use crate::netlink::{Message, Netlink};
use crate::netns::Netns;
use crate::rtnl::{self, End, RouteSpec};
use crate::{Error, Mac, sysctl};

/// How a container gets onto a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachSpec {
    /// Id of the endpoint, to find the veth again.
    pub id: String,
    /// Interface name of the bridge.
    pub bridge: String,
    /// Name inside the container, for example `eth0`.
    pub ifname: String,
    /// Addresses with the prefix lengths of their subnets.
    pub addrs: Vec<IpNet>,
    /// Default gateways, at most one for each family; none for internal networks and for
    /// networks after the first.
    pub gateways: Vec<IpAddr>,
    /// [`Mac::for_addr`] of the first address when absent.
    pub mac: Option<Mac>,
    /// The bridge's when absent.
    pub mtu: Option<u32>,
    pub neighbours: Neighbours,
}

/// How containers of one network see each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbours {
    /// Directly over the bridge (Docker's default).
    Reachable,
    /// Not at all (Docker's `enable_icc=false`).
    Isolated,
    /// Through the host, which has a route to each of them. Then every packet meets the
    /// firewall's translations, also on hosts that keep bridged frames away from it: what Pods
    /// want. The bridge has no ports; it holds the gateway's address (for IPv6 the gateway is
    /// `fe80::1`).
    Routed,
}

/// What an attachment became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The host's end of the veth pair.
    pub host_ifname: String,
    /// Index of the link inside the container.
    pub index: u32,
    pub mac: Mac,
    pub mtu: u32,
}

impl Instance {
    /// Gives a namespace an interface on a network, with addresses and default routes, and its
    /// loopback. When it fails nothing is left behind.
    pub fn attach(&self, netns: &Netns, spec: &AttachSpec) -> Result<Attached, Error> {
        let mut host = Netlink::route()?;
        let host_ifname = self.veth_name(&spec.id);
        let result = self
            .make_veth(&mut host, &host_ifname, netns, spec)
            .and_then(|mtu| configure(netns, spec, &host_ifname, mtu))
            .and_then(|made| Instance::wait(&mut host, &host_ifname, spec).map(|()| made));
        if result.is_err() {
            let _ = delete_link(&mut host, &host_ifname);
        }
        result
    }

    /// The host's end first: it brings the bridge's port up, and that the bridge.
    fn wait(nl: &mut Netlink, host_ifname: &str, spec: &AttachSpec) -> Result<(), Error> {
        wait_until_carrying(nl, host_ifname)?;
        match spec.neighbours {
            Neighbours::Routed => Ok(()),
            _ => wait_until_carrying(nl, &spec.bridge),
        }
    }

    /// Takes an endpoint off its network; one that is gone (with its namespace) is fine.
    pub fn detach(&self, endpoint_id: &str) -> Result<(), Error> {
        delete_link(&mut Netlink::route()?, &self.veth_name(endpoint_id))
    }

    /// Makes the pair and sets up the host's end. Gives the MTU.
    fn make_veth(
        &self,
        nl: &mut Netlink,
        host_ifname: &str,
        netns: &Netns,
        spec: &AttachSpec,
    ) -> Result<u32, Error> {
        let bridge = rtnl::link(nl, &spec.bridge)?;
        let mtu = spec.mtu.unwrap_or(bridge.mtu);
        let mac = spec.mac.or_else(|| spec.addrs.first().map(|a| Mac::for_addr(a.addr())));
        let near = End { name: host_ifname, mtu, mac: None };
        let far = End { name: &spec.ifname, mtu, mac };
        let on_bridge = spec.neighbours != Neighbours::Routed;
        // A veth of this name is left over from a crash: the id is ours alone.
        delete_link(nl, host_ifname)?;
        let mut requests = vec![
            rtnl::veth(&near, on_bridge.then_some(bridge.index), &far, netns.as_fd()),
            rtnl::no_link_local(host_ifname),
            rtnl::up_with_alias(host_ifname, &self.alias(OwnedKind::Veth, &spec.id)),
        ];
        if on_bridge {
            let isolated = spec.neighbours == Neighbours::Isolated;
            requests.push(rtnl::bridge_port(host_ifname, isolated));
        }
        nl.requests(requests)?;
        if !on_bridge {
            route_to_container(nl, host_ifname, spec)?;
        }
        Ok(mtu)
    }
}

/// The gateway of routed IPv6 neighbours: link-local, because a host answers neighbour
/// solicitations only on the link that has the address.
const ROUTER6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// The host's side of a routed container: a route to each address, from the gateway.
fn route_to_container(nl: &mut Netlink, ifname: &str, spec: &AttachSpec) -> Result<(), Error> {
    // Both as on a bridge: published ports on 127.0.0.1, no redirects of translated packets.
    sysctl::set(&format!("net/ipv4/conf/{ifname}/route_localnet"), "1")?;
    sysctl::set(&format!("net/ipv4/conf/{ifname}/send_redirects"), "0")?;
    let index = rtnl::link(nl, ifname)?.index;
    let mut requests = Vec::new();
    for net in &spec.addrs {
        let source = spec.gateways.iter().find(|g| g.is_ipv4() && net.addr().is_ipv4()).copied();
        requests.push(rtnl::add_route(&RouteSpec {
            to: host_net(net.addr()),
            via: None,
            source,
            index,
        }));
        if net.addr().is_ipv6() {
            let router = IpNet::new(ROUTER6.into(), 64).expect("a prefix of at most 128");
            requests.push(rtnl::address(index, router));
        }
    }
    nl.requests(requests)
}

fn host_net(addr: IpAddr) -> IpNet {
    IpNet::from(addr)
}

/// The part that happens inside the namespace.
fn configure(
    netns: &Netns,
    spec: &AttachSpec,
    host_ifname: &str,
    mtu: u32,
) -> Result<Attached, Error> {
    let mut nl = netns.run(Netlink::route)?;
    let link = rtnl::link(&mut nl, &spec.ifname)?;
    let mut requests = vec![rtnl::up("lo")];
    if spec.addrs.iter().all(|a| a.addr().is_ipv4()) {
        requests.push(rtnl::no_link_local(&spec.ifname));
    }
    requests.push(rtnl::up(&spec.ifname));
    requests.extend(addresses_and_routes(spec, link.index));
    nl.requests(requests)?;
    wait_until_carrying(&mut nl, &spec.ifname)?;
    Ok(Attached { host_ifname: host_ifname.to_string(), index: link.index, mac: link.mac, mtu })
}

fn addresses_and_routes(spec: &AttachSpec, index: u32) -> Vec<Message> {
    if spec.neighbours != Neighbours::Routed {
        let addresses = spec.addrs.iter().map(|net| rtnl::address(index, *net));
        let routes = spec.gateways.iter().map(|gateway| default_route(*gateway, index));
        return addresses.chain(routes).collect();
    }
    let addresses = spec.addrs.iter().map(|net| rtnl::address(index, host_net(net.addr())));
    let routes = spec.gateways.iter().flat_map(|gateway| match gateway {
        IpAddr::V4(_) => {
            let to = host_net(*gateway);
            let direct = rtnl::add_route(&RouteSpec { to, via: None, source: None, index });
            vec![direct, default_route(*gateway, index)]
        }
        IpAddr::V6(_) => vec![default_route(ROUTER6.into(), index)],
    });
    addresses.chain(routes).collect()
}

/// Makes gateways the default routes of a container over one of its interfaces; those of other
/// interfaces are replaced. For a container whose first network was disconnected.
pub fn set_default_routes(netns: &Netns, ifname: &str, via: &[IpAddr]) -> Result<(), Error> {
    let mut nl = netns.run(Netlink::route)?;
    let index = rtnl::link(&mut nl, ifname)?.index;
    nl.requests(via.iter().map(|gateway| default_route(*gateway, index)).collect())
}

fn default_route(gateway: IpAddr, index: u32) -> Message {
    let everywhere: IpAddr = match gateway {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let to = IpNet::new(everywhere, 0).expect("a prefix of no bits");
    rtnl::add_route(&RouteSpec { to, via: Some(gateway), source: None, index })
}

/// A veth pair that is up is not yet in use: the kernel's link watcher comes by a little later,
/// and until then packets are lost (the first ARP request too, which costs a whole second). New
/// kernels (6.8) run it when they are asked for the link; older ones are given some time.
fn wait_until_carrying(nl: &mut Netlink, ifname: &str) -> Result<(), Error> {
    const PAUSE: Duration = Duration::from_micros(500);
    const PATIENCE: usize = 100;
    for _ in 0..PATIENCE {
        if rtnl::link(nl, ifname)?.carries {
            break;
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}
