//! Bridges and the attachment of containers to them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::instance::{Instance, OwnedKind, delete_link};
use crate::netlink::Netlink;
use crate::netns::Netns;
use crate::rtnl::{self, RouteSpec};
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
}

/// Brings the loopback of a namespace up (`--network none`).
pub fn loopback_up(netns: &Netns) -> Result<(), Error> {
    netns.run(|| Netlink::route()?.request(rtnl::up("lo")))
}

/// The subnets the host has routes to, to keep new networks away from them.
pub fn host_subnets() -> Result<Vec<IpNet>, Error> {
    Ok(rtnl::routes(&mut Netlink::route()?)?.into_iter().map(|r| r.to).collect())
}

impl Instance {
    /// The subnets this machine has routes to, without those that lead to the instance's own bridges.
    pub fn subnets_of_others(&self) -> Result<Vec<IpNet>, Error> {
        let own = self.owned()?;
        let mut nl = Netlink::route()?;
        let links = rtnl::links(&mut nl)?;
        let is_own = |name: &str| own.iter().any(|o| o.ifname == name);
        let own: Vec<u32> = links.iter().filter(|l| is_own(&l.name)).map(|l| l.index).collect();
        let routes = rtnl::routes(&mut nl)?.into_iter();
        let foreign = routes.filter(|r| r.index.is_none_or(|index| !own.contains(&index)));
        Ok(foreign.map(|r| r.to).collect())
    }
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
