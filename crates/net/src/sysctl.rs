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

/// What a host needs to carry IPv4 container networks: forwarding, and netfilter for bridged
/// frames where the kernel can (so that answers within one bridge find their translation).
pub fn prepare_host() -> Result<(), Error> {
    set("net/ipv4/ip_forward", "1")?;
    // Only links whose own switch is on send redirects then: ours have it off.
    set("net/ipv4/conf/all/send_redirects", "0")?;
    set_if_present("net/bridge/bridge-nf-call-iptables", "1")
}

/// The same for IPv6, when the first IPv6 network is made. A forwarding host stops taking router
/// advertisements; links that took them go on doing so.
pub fn prepare_host_ipv6() -> Result<(), Error> {
    let links = fs::read_dir("/proc/sys/net/ipv6/conf")
        .context(|| "cannot read the IPv6 switches (is IPv6 switched off?)".into())?;
    for link in links.flatten() {
        let name = link.file_name();
        let switch = format!("net/ipv6/conf/{}/accept_ra", name.to_string_lossy());
        let takes = fs::read_to_string(Path::new("/proc/sys").join(&switch)).unwrap_or_default();
        if takes.trim() == "1" && name != "all" && name != "lo" {
            set(&switch, "2")?;
        }
    }
    set("net/ipv6/conf/all/forwarding", "1")?;
    set_if_present("net/bridge/bridge-nf-call-ip6tables", "1")
}
