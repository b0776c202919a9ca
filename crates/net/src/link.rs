//! Bridges and the attachment of containers to them.

use std::fmt;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use ipnet::IpNet;

use crate::instance::{Instance, OwnedKind, delete_link};
use crate::netlink::{Message, Netlink};
use crate::netns::Netns;
use crate::rtnl::{self, End, RouteSpec};
use crate::{Error, sysctl};

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Docker's form for an address: `02:42` and the IPv4 address, or the end of the IPv6 one.
    /// Unique on a network because the address is.
    pub fn for_addr(addr: IpAddr) -> Mac {
        let octets = rtnl::octets(addr);
        let mut mac = [0x02, 0x42, 0, 0, 0, 0];
        mac[2..].copy_from_slice(&octets[octets.len() - 4..]);
        Mac(mac)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Mac, String> {
        let bad = || format!("invalid MAC address {text:?}");
        let parts: Result<Vec<u8>, _> =
            text.split([':', '-']).map(|p| u8::from_str_radix(p, 16)).collect();
        parts.map_err(|_| bad())?.try_into().map(Mac).map_err(|_| bad())
    }
}

/// A bridge that shall exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeSpec {
    /// Interface name: [`Instance::bridge_name`], or one that the user chose.
    pub ifname: String,
    /// Id of the network, to find the bridge again.
    pub id: String,
    /// The gateways with their prefix lengths, one for each family.
    pub gateways: Vec<IpNet>,
    /// The MTU of the default route when absent.
    pub mtu: Option<u32>,
}

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

/// How containers on one bridge see each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbours {
    /// Directly over the bridge (Docker's default).
    Reachable,
    /// Not at all (Docker's `enable_icc=false`).
    Isolated,
    /// Through the host, which answers for their addresses (a private VLAN with proxy ARP): so
    /// every IPv4 packet meets the firewall's translations, whether or not the host lets it see
    /// bridged ones. What Pods want. Not for bridges that also have isolated ports.
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

/// Counters of one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStats {
    pub ifname: String,
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
}

impl Instance {
    /// Makes a bridge, or brings an existing one into the wanted state. Gives its MTU.
    pub fn ensure_bridge(&self, spec: &BridgeSpec) -> Result<u32, Error> {
        let mut nl = Netlink::route()?;
        let mtu = match spec.mtu {
            Some(mtu) => mtu,
            None => default_mtu(&mut nl)?,
        };
        if rtnl::find_link(&mut nl, &spec.ifname)?.is_none() {
            let mac = spec.gateways.first().map(|g| Mac::for_addr(g.addr())).unwrap_or_default();
            nl.request(rtnl::bridge(&spec.ifname, mac, mtu))?;
        }
        Instance::bridge_switches(&spec.ifname)?;
        let index = rtnl::link(&mut nl, &spec.ifname)?.index;
        let alias = self.alias(OwnedKind::Bridge, &spec.id);
        let mut requests = vec![rtnl::up_with_alias(&spec.ifname, &alias)];
        requests.extend(spec.gateways.iter().map(|net| rtnl::address(index, *net)));
        nl.requests(requests)?;
        Ok(mtu)
    }

    fn bridge_switches(ifname: &str) -> Result<(), Error> {
        let switch = |name: &str| format!("net/ipv4/conf/{ifname}/{name}");
        // Lets the host reach published ports on 127.0.0.1; the firewall guards the other way.
        sysctl::set(&switch("route_localnet"), "1")?;
        // A translated packet often leaves where it came from. A redirect would be wrong, and it
        // would use up the rate of the refusals that a client waits for.
        sysctl::set(&switch("send_redirects"), "0")?;
        // The host asks for neighbours of forwarded packets from its link-local address, which
        // must not be held back for a second to see whether somebody else has it.
        sysctl::set_if_present(&format!("net/ipv6/conf/{ifname}/accept_dad"), "0")
    }

    /// Deletes a bridge; one that is not there is fine.
    pub fn remove_bridge(&self, ifname: &str) -> Result<(), Error> {
        delete_link(&mut Netlink::route()?, ifname)
    }

    /// Gives a namespace an interface on a bridge, with addresses and default routes, and its
    /// loopback. When it fails nothing is left behind.
    pub fn attach(&self, netns: &Netns, spec: &AttachSpec) -> Result<Attached, Error> {
        let mut host = Netlink::route()?;
        let host_ifname = self.veth_name(&spec.id);
        let result = self
            .make_veth(&mut host, &host_ifname, netns, spec)
            .and_then(|made| configure(netns, spec, made))
            .and_then(|made| wait_until_carrying(&mut host, &host_ifname).map(|()| made));
        if result.is_err() {
            let _ = delete_link(&mut host, &host_ifname);
        }
        result
    }

    fn make_veth(
        &self,
        nl: &mut Netlink,
        host_ifname: &str,
        netns: &Netns,
        spec: &AttachSpec,
    ) -> Result<Attached, Error> {
        let bridge = rtnl::link(nl, &spec.bridge)?;
        let mtu = spec.mtu.unwrap_or(bridge.mtu);
        let mac = spec.mac.or_else(|| spec.addrs.first().map(|a| Mac::for_addr(a.addr())));
        let near = End { name: host_ifname, mtu, mac: None };
        let far = End { name: &spec.ifname, mtu, mac };
        if spec.neighbours == Neighbours::Routed {
            sysctl::set(&format!("net/ipv4/conf/{}/proxy_arp_pvlan", spec.bridge), "1")?;
        }
        // A veth of this name is left over from a crash: the id is ours alone.
        delete_link(nl, host_ifname)?;
        nl.requests(vec![
            rtnl::veth(&near, Some(bridge.index), &far, netns.as_fd()),
            rtnl::no_link_local(host_ifname),
            rtnl::up_with_alias(host_ifname, &self.alias(OwnedKind::Veth, &spec.id)),
            rtnl::bridge_port(host_ifname, spec.neighbours != Neighbours::Reachable),
        ])?;
        let mac = mac.unwrap_or_default();
        Ok(Attached { host_ifname: host_ifname.to_string(), index: 0, mac, mtu })
    }

    /// Takes an endpoint off its network; one that is gone (with its namespace) is fine.
    pub fn detach(&self, endpoint_id: &str) -> Result<(), Error> {
        delete_link(&mut Netlink::route()?, &self.veth_name(endpoint_id))
    }
}

/// Makes gateways the default routes of a container over one of its interfaces; those of other
/// interfaces are replaced. For a container whose first network was disconnected.
pub fn set_default_routes(netns: &Netns, ifname: &str, via: &[IpAddr]) -> Result<(), Error> {
    let mut nl = netns.run(Netlink::route)?;
    let index = rtnl::link(&mut nl, ifname)?.index;
    nl.requests(via.iter().map(|gateway| default_route(*gateway, index)).collect())
}

fn default_route(gateway: IpAddr, index: u32) -> Message {
    let to = everywhere(gateway);
    rtnl::add_route(&RouteSpec { to, via: Some(gateway), source: None, index })
}

/// The part that happens inside the namespace.
fn configure(netns: &Netns, spec: &AttachSpec, made: Attached) -> Result<Attached, Error> {
    let mut nl = netns.run(Netlink::route)?;
    let link = rtnl::link(&mut nl, &spec.ifname)?;
    let mut requests = vec![rtnl::up("lo")];
    if spec.addrs.iter().all(|a| a.addr().is_ipv4()) {
        requests.push(rtnl::no_link_local(&spec.ifname));
    }
    requests.push(rtnl::up(&spec.ifname));
    requests.extend(spec.addrs.iter().map(|net| rtnl::address(link.index, *net)));
    requests.extend(spec.gateways.iter().map(|gateway| default_route(*gateway, link.index)));
    nl.requests(requests)?;
    wait_until_carrying(&mut nl, &spec.ifname)?;
    Ok(Attached { index: link.index, mac: link.mac, ..made })
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

fn everywhere(family: IpAddr) -> IpNet {
    let any: IpAddr = match family {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    IpNet::new(any, 0).expect("a prefix of no bits")
}

/// Brings the loopback of a namespace up (`--network none`).
pub fn loopback_up(netns: &Netns) -> Result<(), Error> {
    netns.run(|| Netlink::route()?.request(rtnl::up("lo")))
}

/// The subnets the host has routes to, to keep new networks away from them.
pub fn host_subnets() -> Result<Vec<IpNet>, Error> {
    Ok(rtnl::routes(&mut Netlink::route()?)?.into_iter().map(|r| r.to).collect())
}

/// The MTU of the link of the default route; 1500 when there is none.
fn default_mtu(nl: &mut Netlink) -> Result<u32, Error> {
    let routes = rtnl::routes(nl)?;
    let index = routes.iter().find(|r| r.to.prefix_len() == 0).and_then(|r| r.index);
    let links = rtnl::links(nl)?;
    Ok(links.iter().find(|l| Some(l.index) == index).map_or(1500, |l| l.mtu))
}

/// Leads a subnet of Service addresses to a bridge: connections of the host itself leave with
/// `source` and meet the firewall's translation also when the host has no default route. It goes
/// with the bridge.
pub fn add_subnet_route(subnet: IpNet, bridge: &str, source: IpAddr) -> Result<(), Error> {
    let mut nl = Netlink::route()?;
    let index = rtnl::link(&mut nl, bridge)?.index;
    let source = Some(source);
    nl.request(rtnl::add_route(&RouteSpec { to: subnet, via: None, source, index }))
}

/// Counters of the links of a namespace, without the loopback.
pub fn stats(netns: &Netns) -> Result<Vec<LinkStats>, Error> {
    let links = netns.run(|| rtnl::links(&mut Netlink::route()?))?;
    Ok(links.into_iter().filter(|l| l.name != "lo").map(stats_of).collect())
}

fn stats_of(link: rtnl::LinkSeen) -> LinkStats {
    let at = |i: usize| link.stats.get(i).copied().unwrap_or_default();
    LinkStats {
        rx_packets: at(0),
        tx_packets: at(1),
        rx_bytes: at(2),
        tx_bytes: at(3),
        rx_errors: at(4),
        tx_errors: at(5),
        rx_dropped: at(6),
        tx_dropped: at(7),
        ifname: link.name,
    }
}
