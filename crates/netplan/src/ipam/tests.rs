use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;

fn net(s: &str) -> IpNet {
    s.parse().unwrap()
}

fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

#[test]
fn docker_defaults() {
    let mut pool = Pool::new(&PoolSpec::of(net("172.17.0.0/16"))).unwrap();
    assert_eq!(pool.gateway(), ip("172.17.0.1"));
    assert_eq!(pool.allocate(), Ok(ip("172.17.0.2")));
    assert_eq!(pool.allocate(), Ok(ip("172.17.0.3")));
    pool.release(ip("172.17.0.2"));
    assert_eq!(pool.allocate(), Ok(ip("172.17.0.2")), "the lowest free one");
    assert_eq!(pool.claim(ip("172.17.0.3")), Err(IpamError::InUse(ip("172.17.0.3"))));
    assert!(matches!(pool.claim(ip("10.0.0.1")), Err(IpamError::Outside(..))));
}

#[test]
fn range_gateway_and_reserved() {
    let spec = PoolSpec {
        range: Some(net("10.1.4.0/30")),
        gateway: Some(ip("10.1.0.254")),
        reserved: vec![ip("10.1.4.1")],
        ..PoolSpec::of(net("10.1.0.0/16"))
    };
    let mut pool = Pool::new(&spec).unwrap();
    let got: Vec<IpAddr> = (0..3).map(|_| pool.allocate().unwrap()).collect();
    assert_eq!(got, [ip("10.1.4.0"), ip("10.1.4.2"), ip("10.1.4.3")]);
    assert_eq!(pool.allocate(), Err(IpamError::Exhausted(net("10.1.0.0/16"))));
}

#[test]
fn small_subnets_and_rotation() {
    let mut pool = Pool::new(&PoolSpec::of(net("10.0.0.0/29"))).unwrap();
    let all: Vec<IpAddr> = std::iter::from_fn(|| pool.allocate().ok()).collect();
    assert_eq!(all.len(), 5, "8 minus network, broadcast and gateway");
    let spec = PoolSpec { order: Order::Rotating, ..PoolSpec::of(net("10.0.0.0/29")) };
    let mut pool = Pool::new(&spec).unwrap();
    let first = pool.allocate().unwrap();
    pool.release(first);
    assert_eq!(pool.allocate(), Ok(ip("10.0.0.3")));
    assert!(Pool::new(&PoolSpec::of(net("fd00::/64"))).unwrap().allocate() == Ok(ip("fd00::2")));
}

#[test]
fn default_pools_avoid_what_is_there() {
    assert_eq!(free_subnet(&[]), Ok(net("172.17.0.0/16")));
    let taken = [net("0.0.0.0/0"), net("172.17.5.0/24"), net("172.18.0.0/15")];
    assert_eq!(free_subnet(&taken), Ok(net("172.20.0.0/16")));
    assert_eq!(free_subnet(&[net("172.16.0.0/12")]), Ok(net("192.168.0.0/20")));
    let all = [net("172.16.0.0/12"), net("192.168.0.0/16")];
    assert_eq!(free_subnet(&all), Err(IpamError::NoSubnetLeft));
    assert_eq!(
        free_subnet6("fd00:b0::/48".parse().unwrap(), &[net("fd00:b0::/64")]),
        Ok(net("fd00:b0:0:1::/64"))
    );
    assert!(check_subnet(&net("172.17.0.0/24"), &[net("172.17.0.0/16")]).is_err());
}

proptest! {
    /// Nothing is handed out twice, nothing outside of the subnet, and what is given back can be
    /// had again.
    #[test]
    fn never_twice(ops in proptest::collection::vec(any::<Option<u8>>(), 1..200)) {
        let mut pool = Pool::new(&PoolSpec::of(net("10.9.0.0/26"))).unwrap();
        let mut held: Vec<IpAddr> = vec![];
        for op in ops {
            match op {
                Some(pick) if !held.is_empty() => {
                    let addr = held.swap_remove(usize::from(pick) % held.len());
                    pool.release(addr);
                }
                _ => match pool.allocate() {
                    Ok(addr) => {
                        prop_assert!(!held.contains(&addr) && addr != pool.gateway());
                        prop_assert!(pool.subnet().contains(&addr));
                        held.push(addr);
                    }
                    Err(_) => prop_assert_eq!(held.len(), 61),
                },
            }
        }
    }
}
