//! Names and their records.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::wire::{encode_name, kind};

/// The data of one record. Names are lower case, without the last dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(String),
    Ptr(String),
    Ns(String),
    Txt(String),
    Srv { priority: u16, weight: u16, port: u16, target: String },
}

impl From<IpAddr> for Data {
    fn from(addr: IpAddr) -> Data {
        match addr {
            IpAddr::V4(v4) => Data::A(v4),
            IpAddr::V6(v6) => Data::Aaaa(v6),
        }
    }
}

impl Data {
    pub fn kind(&self) -> u16 {
        match self {
            Data::A(_) => kind::A,
            Data::Aaaa(_) => kind::AAAA,
            Data::Cname(_) => kind::CNAME,
            Data::Ptr(_) => kind::PTR,
            Data::Ns(_) => kind::NS,
            Data::Txt(_) => kind::TXT,
            Data::Srv { .. } => kind::SRV,
        }
    }

    /// The record's data in wire form.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Data::A(addr) => addr.octets().to_vec(),
            Data::Aaaa(addr) => addr.octets().to_vec(),
            Data::Cname(name) | Data::Ptr(name) | Data::Ns(name) => encode_name(name),
            Data::Txt(text) => {
                let text = &text.as_bytes()[..text.len().min(255)];
                [&[text.len() as u8], text].concat()
            }
            Data::Srv { priority, weight, port, target } => {
                let numbers = [*priority, *weight, *port].map(u16::to_be_bytes).concat();
                [numbers, encode_name(target)].concat()
            }
        }
    }
}

/// Records by name. One network, or one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records(HashMap<String, Vec<Data>>);

impl Records {
    /// Adds a record; the same one twice is one.
    pub fn add(&mut self, name: &str, data: Data) {
        let list = self.0.entry(name.to_ascii_lowercase()).or_default();
        if !list.contains(&data) {
            list.push(data);
        }
    }

    /// Says that a name exists, with all names above it up to `origin`.
    pub fn exists(&mut self, name: &str, origin: &str) {
        let mut name = name;
        while name.len() > origin.len() && !self.0.contains_key(name) {
            self.0.insert(name.to_string(), Vec::new());
            name = name.split_once('.').map_or("", |(_, above)| above);
        }
    }

    pub fn get(&self, name: &str) -> Option<&[Data]> {
        self.0.get(name).map(Vec::as_slice)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Everything one server answers from. Layers are shared: a container on two networks has a zone
/// of two layers, and a change of one network is one new layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zone {
    pub layers: Vec<Arc<Records>>,
    /// Names under these that we do not have do not exist; others are asked for elsewhere.
    pub origins: Vec<String>,
    /// Addresses whose reverse names are ours in the same way.
    pub reverse: Vec<IpNet>,
    /// `1-2-3-4.NAMESPACE.pod.DOMAIN` is the address itself.
    pub pods: Option<PodNames>,
    pub ttl: u32,
    pub serial: u32,
}

/// Where the names of Pod addresses are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodNames {
    /// `.pod.DOMAIN`
    pub suffix: String,
    pub namespaces: BTreeSet<String>,
}

impl Zone {
    /// All data of a name, in the order of the layers; `None` when no layer has the name.
    pub fn find(&self, name: &str) -> Option<Vec<Data>> {
        let mut found: Option<Vec<Data>> = self.pod(name).map(|data| vec![data]);
        for layer in &self.layers {
            for data in layer.get(name).into_iter().flatten() {
                let list = found.get_or_insert_default();
                if !list.contains(data) {
                    list.push(data.clone());
                }
            }
            if layer.get(name).is_some() {
                found.get_or_insert_default();
            }
        }
        found
    }

    fn pod(&self, name: &str) -> Option<Data> {
        let pods = self.pods.as_ref()?;
        let (address, namespace) = name.strip_suffix(&pods.suffix)?.split_once('.')?;
        if !pods.namespaces.contains(namespace) {
            return None;
        }
        let v4 = address.replace('-', ".").parse::<Ipv4Addr>().map(IpAddr::from);
        let addr = v4.or_else(|_| address.replace('-', ":").parse::<Ipv6Addr>().map(IpAddr::from));
        addr.ok().map(Data::from)
    }

    /// The origin that answers for a name even when it does not exist.
    pub fn origin_of(&self, name: &str) -> Option<&str> {
        let under = |origin: &&String| {
            name.strip_suffix(origin.as_str()).is_some_and(|r| r.is_empty() || r.ends_with('.'))
        };
        if let Some(origin) = self.origins.iter().find(under) {
            return Some(origin);
        }
        let addr = address_of(name)?;
        let ours = self.reverse.iter().any(|net| net.contains(&addr));
        ours.then_some(if addr.is_ipv4() { "in-addr.arpa" } else { "ip6.arpa" })
    }
}

/// The reverse name of an address.
pub fn reverse_name(addr: IpAddr) -> String {
    match addr {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let digits = v6.octets().into_iter().rev().flat_map(|b| [b & 0xf, b >> 4]);
            let dotted: String = digits.map(|d| format!("{d:x}.")).collect();
            format!("{dotted}ip6.arpa")
        }
    }
}

/// The address a reverse name is of.
fn address_of(name: &str) -> Option<IpAddr> {
    if let Some(rest) = name.strip_suffix(".in-addr.arpa") {
        let parts: Vec<&str> = rest.split('.').rev().collect();
        return parts.join(".").parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    }
    let digits: Vec<&str> = name.strip_suffix(".ip6.arpa")?.split('.').rev().collect();
    if digits.len() != 32 || digits.iter().any(|d| d.len() != 1) {
        return None;
    }
    u128::from_str_radix(&digits.concat(), 16).ok().map(|n| IpAddr::V6(Ipv6Addr::from(n)))
}
