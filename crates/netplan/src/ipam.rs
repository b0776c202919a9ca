//! Address pools: which subnet a network gets and which address a container.
//!
//! Rules after moby `daemon/libnetwork/ipam` and `ipamutils`: the same default pools, the lowest
//! free address first, the gateway is the first address of the subnet unless it is given.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

#[cfg(test)]
mod tests;

/// What a network's pool is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSpec {
    pub subnet: IpNet,
    /// Addresses handed out freely come from here; the whole subnet when absent.
    pub range: Option<IpNet>,
    /// The first address of the range, or of the subnet, when absent.
    pub gateway: Option<IpAddr>,
    /// Addresses that are never handed out (`--aux-address`).
    pub reserved: Vec<IpAddr>,
    pub order: Order,
}

impl PoolSpec {
    /// A subnet with all defaults.
    pub fn of(subnet: IpNet) -> PoolSpec {
        PoolSpec { subnet, range: None, gateway: None, reserved: Vec::new(), order: Order::Lowest }
    }
}

/// Which free address goes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The lowest free one, as Docker does.
    Lowest,
    /// The next after the last handed out, so that an address rests before it is used again:
    /// what Pods want (peers may still have connections to the old owner).
    Rotating,
}

/// Why an address or a subnet cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IpamError {
    /// A user's subnet, range or gateway does not make sense; the text says how.
    Invalid(String),
    /// Docker's text: `no available IPv4 addresses on this network's address pools`.
    Exhausted(IpNet),
    /// Docker's text: `Address already in use`.
    InUse(IpAddr),
    /// The wanted address is not in the subnet.
    Outside(IpAddr, IpNet),
    /// Docker's text: `Pool overlaps with other one on this address space`.
    Overlaps(IpNet, IpNet),
    /// Docker's text: `all predefined address pools have been fully subnetted`.
    NoSubnetLeft,
}

impl std::error::Error for IpamError {}

impl fmt::Display for IpamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IpamError::Invalid(text) => f.write_str(text),
            IpamError::Exhausted(_) => {
                f.write_str("no available IPv4 addresses on this network's address pools")
            }
            IpamError::InUse(_) => f.write_str("Address already in use"),
            IpamError::Outside(addr, net) => {
                write!(f, "no configured subnet contains IP address {addr} (subnet {net})")
            }
            IpamError::Overlaps(..) => {
                f.write_str("Pool overlaps with other one on this address space")
            }
            IpamError::NoSubnetLeft => {
                f.write_str("all predefined address pools have been fully subnetted")
            }
        }
    }
}

/// The addresses of one subnet and who has them taken. A value: the owner of the fact (the
/// engine's network record, a node's pod store) rebuilds it by claiming what is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    subnet: IpNet,
    range: IpNet,
    gateway: IpAddr,
    order: Order,
    used: BTreeSet<u128>,
    last: Option<u128>,
}

impl Pool {
    /// Checks the spec and reserves the gateway and the reserved addresses.
    pub fn new(spec: &PoolSpec) -> Result<Pool, IpamError> {
        let subnet = spec.subnet.trunc();
        let range = spec.range.unwrap_or(subnet).trunc();
        if !subnet.contains(&range) {
            return Err(IpamError::Invalid(format!(
                "invalid range {range}: not within the subnet {subnet}"
            )));
        }
        let gateway = spec.gateway.unwrap_or_else(|| address(&range, first_host(&range)));
        let mut pool =
            Pool { subnet, range, gateway, order: spec.order, used: BTreeSet::new(), last: None };
        pool.claim(gateway)?;
        for addr in &spec.reserved {
            pool.claim(*addr)?;
        }
        Ok(pool)
    }

    pub fn subnet(&self) -> IpNet {
        self.subnet
    }

    pub fn gateway(&self) -> IpAddr {
        self.gateway
    }

    /// Takes the next free address of the range.
    pub fn allocate(&mut self) -> Result<IpAddr, IpamError> {
        let (low, high) = self.bounds();
        let start = match (self.order, self.last) {
            (Order::Rotating, Some(last)) if last < high => last + 1,
            _ => low,
        };
        let free = self.free_between(start, high).or_else(|| self.free_between(low, start));
        let number = free.ok_or(IpamError::Exhausted(self.subnet))?;
        self.used.insert(number);
        self.last = Some(number);
        Ok(address(&self.subnet, number))
    }

    /// Takes one particular address of the subnet (also outside of the range).
    pub fn claim(&mut self, addr: IpAddr) -> Result<(), IpamError> {
        if !self.subnet.contains(&addr) {
            return Err(IpamError::Outside(addr, self.subnet));
        }
        if self.used.insert(number(addr)) { Ok(()) } else { Err(IpamError::InUse(addr)) }
    }

    /// Gives an address back. The gateway stays.
    pub fn release(&mut self, addr: IpAddr) {
        if addr != self.gateway {
            self.used.remove(&number(addr));
        }
    }

    /// How many addresses are taken, the gateway included.
    pub fn used(&self) -> usize {
        self.used.len()
    }

    /// Lowest and highest number that may be handed out: the network's own address and the
    /// IPv4 broadcast address of the subnet are not.
    fn bounds(&self) -> (u128, u128) {
        let low = number(self.range.network()).max(first_host(&self.subnet));
        let high = number(self.range.broadcast()).min(last_host(&self.subnet));
        (low, high)
    }

    fn free_between(&self, low: u128, high: u128) -> Option<u128> {
        if low > high {
            return None;
        }
        let mut candidate = low;
        for taken in self.used.range(low..=high) {
            if *taken > candidate {
                break;
            }
            candidate = taken.checked_add(1)?;
        }
        (candidate <= high).then_some(candidate)
    }
}

fn number(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// The address of this number in the family of `net`.
fn address(net: &IpNet, number: u128) -> IpAddr {
    match net {
        IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))),
        IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

fn point_to_point(net: &IpNet) -> bool {
    net.max_prefix_len() - net.prefix_len() <= 1
}

fn first_host(net: &IpNet) -> u128 {
    number(net.network()) + if point_to_point(net) { 0 } else { 1 }
}

fn last_host(net: &IpNet) -> u128 {
    let broadcast = net.addr().is_ipv4() && !point_to_point(net);
    number(net.broadcast()) - u128::from(broadcast)
}

/// Docker's default pools for local networks, in order: 172.17 to 172.31 as /16, then
/// 192.168.0.0/16 in /20 (moby `ipamutils.GetLocalScopeDefaultNetworks`).
pub fn default_subnets() -> impl Iterator<Item = IpNet> {
    let large = (17..32).map(|b| v4(172, b, 0, 16));
    let small = (0..16).map(|i| v4(192, 168, i * 16, 20));
    large.chain(small)
}

fn v4(a: u8, b: u8, c: u8, prefix: u8) -> IpNet {
    let net = Ipv4Net::new(Ipv4Addr::new(a, b, c, 0), prefix).expect("a prefix of at most 32");
    IpNet::V4(net)
}

/// The first default pool that meets none of `taken` (networks of any owner and host routes;
/// a default route is no obstacle and is ignored).
pub fn free_subnet(taken: &[IpNet]) -> Result<IpNet, IpamError> {
    default_subnets().find(|s| overlap(s, taken).is_none()).ok_or(IpamError::NoSubnetLeft)
}

/// The first unique local /64 under `prefix` (for example `fd00:b0::/48`) that meets none of
/// `taken`.
pub fn free_subnet6(prefix: Ipv6Net, taken: &[IpNet]) -> Result<IpNet, IpamError> {
    let mut subnets =
        prefix.subnets(64).map_err(|_| IpamError::Invalid(format!("{prefix} holds no /64")))?;
    subnets
        .by_ref()
        .take(65_536)
        .map(IpNet::V6)
        .find(|s| overlap(s, taken).is_none())
        .ok_or(IpamError::NoSubnetLeft)
}

/// Refuses a user's subnet that meets one of `networks`.
pub fn check_subnet(subnet: &IpNet, networks: &[IpNet]) -> Result<(), IpamError> {
    match overlap(subnet, networks) {
        Some(other) => Err(IpamError::Overlaps(*subnet, other)),
        None => Ok(()),
    }
}

fn overlap(subnet: &IpNet, taken: &[IpNet]) -> Option<IpNet> {
    let meets = |t: &&IpNet| t.prefix_len() > 0 && (t.contains(subnet) || subnet.contains(*t));
    taken.iter().find(meets).copied()
}
