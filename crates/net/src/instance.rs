//! What an instance calls its links, and how it finds them again.
//!
//! A link's name carries a short form of the instance's name (15 bytes are all there is); its
//! alias, which `ip link` shows, says in full whose it is and what for. Listing, reset and
//! recovery go by the alias, so no state file can disagree with the kernel.

use crate::netlink::Netlink;
use crate::{Error, rtnl};

/// The name under which an instance creates everything (`--name`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    name: String,
    tag: String,
}

/// A link that an instance made: a bridge, or the host's end of a veth pair.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owned {
    pub ifname: String,
    pub kind: OwnedKind,
    /// The id given at creation (of the network, or of the endpoint).
    pub id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnedKind {
    Bridge,
    Veth,
}

impl OwnedKind {
    fn word(self) -> &'static str {
        match self {
            OwnedKind::Bridge => "bridge",
            OwnedKind::Veth => "veth",
        }
    }
}

impl Instance {
    pub fn new(name: &str) -> Instance {
        Instance { name: name.to_string(), tag: tag(name) }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name of the firewall table of the container networks.
    pub fn table(&self) -> String {
        format!("boxship-{}", self.name)
    }

    /// Name of the firewall table of the service proxy.
    pub fn kube_table(&self) -> String {
        format!("boxship-{}.kube", self.name)
    }

    /// Interface name for the bridge of a network: the same for the same id.
    pub fn bridge_name(&self, network_id: &str) -> String {
        format!("{}-{}", self.tag, short(network_id))
    }

    /// Interface name for the host's end of an endpoint's veth pair.
    pub fn veth_name(&self, endpoint_id: &str) -> String {
        format!("{}v{}", self.tag, short(endpoint_id))
    }

    pub(crate) fn alias(&self, kind: OwnedKind, id: &str) -> String {
        format!("boxship/{}/{}/{id}", self.name, kind.word())
    }

    fn owned_from(&self, link: &rtnl::LinkSeen) -> Option<Owned> {
        let rest = link.alias.strip_prefix(&format!("boxship/{}/", self.name))?;
        let (word, id) = rest.split_once('/')?;
        let kind = [OwnedKind::Bridge, OwnedKind::Veth].into_iter().find(|k| k.word() == word)?;
        Some(Owned { ifname: link.name.clone(), kind, id: id.to_string() })
    }

    /// The links of this instance, bridges first.
    pub fn owned(&self) -> Result<Vec<Owned>, Error> {
        let links = rtnl::links(&mut Netlink::route()?)?;
        let mut owned: Vec<Owned> = links.iter().filter_map(|l| self.owned_from(l)).collect();
        owned.sort_by(|a, b| (a.kind, &a.ifname).cmp(&(b.kind, &b.ifname)));
        Ok(owned)
    }

    /// Deletes every link of this instance for which `keep` says no, and gives those deleted.
    /// After a crash `keep` is what the records still know; for a reset it is nothing.
    pub fn retain(&self, keep: impl Fn(&Owned) -> bool) -> Result<Vec<Owned>, Error> {
        let mut gone = self.owned()?;
        gone.retain(|owned| !keep(owned));
        // Veths before bridges: a bridge that still has ports goes as well, but noisily.
        gone.reverse();
        let mut nl = Netlink::route()?;
        for owned in &gone {
            delete_link(&mut nl, &owned.ifname)?;
        }
        Ok(gone)
    }
}

/// Deletes a link; one that is not there any more is fine.
pub(crate) fn delete_link(nl: &mut Netlink, name: &str) -> Result<(), Error> {
    match nl.request(rtnl::delete(name)) {
        Err(e) if e.errno() != Some(libc::ENODEV) => Err(e),
        _ => Ok(()),
    }
}

/// At most six bytes: the name itself, or its start and a digest.
fn tag(name: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric();
    if name.len() <= 6 && name.chars().all(|c| plain(&c)) {
        return name.to_string();
    }
    let start: String = name.chars().filter(plain).take(2).collect();
    format!("{start}{:04x}", digest(name) & 0xffff)
}

/// Eight hexadecimal digits: the start of an id that is one, else a digest.
fn short(id: &str) -> String {
    match id.get(..8) {
        Some(start) if start.bytes().all(|b| b.is_ascii_hexdigit()) => start.to_ascii_lowercase(),
        _ => format!("{:08x}", digest(id) & 0xffff_ffff),
    }
}

/// FNV-1a: stable over versions, unlike the hasher of the standard library.
fn digest(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_an_interface() {
        for name in ["demo", "boxship", "a-very-long-instance-name", "é"] {
            let instance = Instance::new(name);
            let id = "4f5e6d7c8b9a";
            for ifname in [instance.bridge_name(id), instance.veth_name("default/pod-0")] {
                assert!(ifname.len() <= 15 && ifname.is_ascii(), "{ifname}");
            }
        }
        assert_eq!(Instance::new("demo").bridge_name("4f5e6d7c8b9a"), "demo-4f5e6d7c");
        assert_ne!(
            Instance::new("long-name-1").veth_name("x"),
            Instance::new("long-name-2").veth_name("x")
        );
    }
}
