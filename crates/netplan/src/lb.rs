//! Addresses for Services of type LoadBalancer on one machine.
//!
//! Each gets its own address of a /24 that the instance routes to its Pod bridge, so it answers
//! from the host (the output hook translates) and from Pods (they send it to their gateway)
//! without a tunnel or a further privilege. Addresses of 127.0.0.0/8 would answer from the host
//! only: inside a Pod they are the Pod's own. From other machines a Service is reached by its
//! NodePort or by external IPs.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// Why a Service gets no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAddress {
    /// `spec.loadBalancerIP` is not in the pool.
    Outside(IpAddr),
    /// Another Service has it.
    Taken(IpAddr),
    Exhausted,
}

/// The address for a Service: the one it has or asks for, else the lowest free one.
pub fn allocate(
    pool: Ipv4Net,
    used: &BTreeSet<IpAddr>,
    wanted: Option<IpAddr>,
) -> Result<IpAddr, NoAddress> {
    match wanted {
        Some(ip) if !IpNet::V4(pool).contains(&ip) => Err(NoAddress::Outside(ip)),
        Some(ip) if used.contains(&ip) => Err(NoAddress::Taken(ip)),
        Some(ip) => Ok(ip),
        None => {
            let mut hosts = pool.hosts().map(IpAddr::V4);
            hosts.find(|ip| !used.contains(ip)).ok_or(NoAddress::Exhausted)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let pool: Ipv4Net = "10.112.2.0/24".parse().unwrap();
        let ip = |s: &str| -> IpAddr { s.parse().unwrap() };
        let mut used = BTreeSet::new();
        assert_eq!(allocate(pool, &used, None), Ok(ip("10.112.2.1")));
        used.insert(ip("10.112.2.1"));
        assert_eq!(allocate(pool, &used, None), Ok(ip("10.112.2.2")));
        assert_eq!(allocate(pool, &used, Some(ip("10.112.2.9"))), Ok(ip("10.112.2.9")));
        let taken = Err(NoAddress::Taken(ip("10.112.2.1")));
        assert_eq!(allocate(pool, &used, Some(ip("10.112.2.1"))), taken);
        assert!(matches!(allocate(pool, &used, Some(ip("1.1.1.1"))), Err(NoAddress::Outside(_))));
        used.extend(pool.hosts().map(IpAddr::V4));
        assert_eq!(allocate(pool, &used, None), Err(NoAddress::Exhausted));
    }
}
