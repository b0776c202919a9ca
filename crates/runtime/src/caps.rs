//! Capability names and sets. Pure, except [`own_bounding`].

use crate::error::{Error, Result};
use crate::spec::Capabilities;

/// In the kernel's order: the index is the capability's number.
pub const NAMES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Docker's default set (moby `daemon/pkg/oci/caps/defaults.go`).
pub const DOCKER_DEFAULT: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// Bit masks, ready for the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapSets {
    pub bounding: u64,
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
    pub ambient: u64,
}

/// A warning names a capability that was asked for and that `allowed` lacks.
pub fn sets(spec: &Capabilities, allowed: u64) -> Result<(CapSets, Vec<String>)> {
    let bounding = mask(&spec.bounding)?;
    let permitted = mask(&spec.permitted)? & allowed;
    let sets = CapSets {
        bounding: bounding & allowed,
        effective: mask(&spec.effective)? & permitted,
        permitted,
        inheritable: mask(&spec.inheritable)? & allowed,
        ambient: mask(&spec.ambient)? & permitted & mask(&spec.inheritable)?,
    };
    let warnings = names(bounding & !allowed)
        .map(|name| format!("capability `{name}` is not available on this machine"))
        .collect();
    Ok((sets, warnings))
}

pub fn mask(names: &[String]) -> Result<u64> {
    names.iter().try_fold(0, |mask, name| Ok(mask | 1 << number(name)?))
}

fn number(name: &str) -> Result<usize> {
    NAMES
        .iter()
        .position(|known| *known == name)
        .ok_or_else(|| Error::invalid(format!("unknown capability `{name}`")))
}

pub fn names(mask: u64) -> impl Iterator<Item = &'static str> {
    NAMES.iter().enumerate().filter(move |(bit, _)| mask >> bit & 1 == 1).map(|(_, name)| *name)
}

/// What this process may pass on.
pub fn own_bounding() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}
