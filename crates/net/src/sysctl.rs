//! Kernel switches of the calling thread's network namespace.

use std::fs;
use std::path::Path;

use crate::error::{Context, Error};

/// Writes a switch such as `net/ipv4/ip_forward` unless it has the value already.
pub fn set(name: &str, value: &str) -> Result<(), Error> {
    let path = Path::new("/proc/sys").join(name);
    let what = || format!("cannot set {} to {value}", name.replace('/', "."));
    let now = fs::read_to_string(&path).context(what)?;
    if now.trim() == value { Ok(()) } else { fs::write(&path, value).context(what) }
}

/// Like [`set`], but a kernel that has no such switch is fine (IPv6 switched off, `br_netfilter`
/// not loaded).
pub fn set_if_present(name: &str, value: &str) -> Result<(), Error> {
    if Path::new("/proc/sys").join(name).exists() { set(name, value) } else { Ok(()) }
}

/// What a host needs to carry container networks: forwarding, and netfilter for bridged frames
/// where the kernel can (so that answers within one bridge find their translation).
pub fn prepare_host() -> Result<(), Error> {
    set("net/ipv4/ip_forward", "1")?;
    // Only links whose own switch is on send redirects then: ours have it off.
    set("net/ipv4/conf/all/send_redirects", "0")?;
    set_if_present("net/ipv6/conf/all/forwarding", "1")?;
    set_if_present("net/bridge/bridge-nf-call-iptables", "1")?;
    set_if_present("net/bridge/bridge-nf-call-ip6tables", "1")
}
