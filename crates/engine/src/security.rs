//! Capabilities and security options, from Docker's words to the runtime's.

use runtime::{Capabilities, Seccomp};

use crate::config::{HostConfig, items};
use crate::error::{EngineError, Result};

/// Every capability of Linux, without the prefix, by number.
const ALL: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// moby `daemon/pkg/oci/caps/defaults.go`.
const DEFAULT: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// The name without prefix, upper case; `ALL` for all; `None` when there is no such capability.
pub fn capability(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    (name == "ALL" || ALL.contains(&name)).then(|| name.to_owned())
}

/// The names with prefix that a process gets.
fn granted(privileged: bool, add: &[String], drop: &[String]) -> Vec<String> {
    let named =
        |list: &[String]| -> Vec<String> { list.iter().filter_map(|c| capability(c)).collect() };
    let (add, drop) = (named(add), named(drop));
    let has_all = |list: &[String]| list.iter().any(|c| c == "ALL");
    let keep = |cap: &str| {
        let added = add.iter().any(|c| c == cap);
        let dropped = drop.iter().any(|c| c == cap);
        match () {
            () if privileged => true,
            () if has_all(&add) => !dropped,
            () if has_all(&drop) => added,
            () => added || (DEFAULT.contains(&cap) && !dropped),
        }
    };
    ALL.iter().filter(|cap| keep(cap)).map(|cap| format!("CAP_{cap}")).collect()
}

/// The capability sets of a first process. An unprivileged user has them only in the bounding
/// set (moby `daemon/pkg/oci/oci.go`, `SetCapabilities`).
pub fn capabilities(host: &HostConfig, uid: u32) -> Capabilities {
    let names = granted(host.privileged, items(&host.cap_add), items(&host.cap_drop));
    sets(names, uid)
}

/// Every capability, for `exec --privileged`.
pub fn all_capabilities() -> Capabilities {
    sets(granted(true, &[], &[]), 0)
}

fn sets(names: Vec<String>, uid: u32) -> Capabilities {
    let held = if uid == 0 { names.clone() } else { Vec::new() };
    Capabilities {
        bounding: names,
        effective: held.clone(),
        permitted: held,
        inheritable: Vec::new(),
        ambient: Vec::new(),
    }
}

fn option<'a>(host: &'a HostConfig, key: &str) -> Option<&'a str> {
    items(&host.security_opt).iter().find_map(|o| {
        let (k, v) = o.split_once(['=', ':']).unwrap_or((o, ""));
        (k == key).then_some(v)
    })
}

pub fn no_new_privileges(host: &HostConfig) -> bool {
    matches!(option(host, "no-new-privileges"), Some("" | "true"))
}

/// The profile travels as its JSON text inside the option, as the CLI sends it.
pub fn seccomp(host: &HostConfig) -> Result<Seccomp> {
    match option(host, "seccomp") {
        _ if host.privileged => Ok(Seccomp::Unconfined),
        None | Some("builtin") => Ok(Seccomp::RuntimeDefault),
        Some("unconfined") => Ok(Seccomp::Unconfined),
        Some(profile) if profile.trim_start().starts_with('{') => {
            Ok(Seccomp::Profile(profile.to_owned()))
        }
        Some(_) => Err(EngineError::invalid("Decoding seccomp profile failed: not a JSON object")),
    }
}

#[cfg(test)]
mod tests {
    use super::granted;

    fn of(add: &[&str], drop: &[&str]) -> Vec<String> {
        let own = |l: &[&str]| l.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
        granted(false, &own(add), &own(drop))
    }

    #[test]
    fn add_and_drop() {
        assert_eq!(of(&[], &[]).len(), 14);
        assert_eq!(of(&["net_admin"], &["ALL"]), ["CAP_NET_ADMIN"]);
        assert_eq!(of(&["CAP_SYS_ADMIN"], &["MKNOD"]).len(), 14);
        assert_eq!(of(&["ALL"], &["CAP_SYS_ADMIN"]).len(), super::ALL.len() - 1);
        assert_eq!(of(&[], &["all"]).len(), 0);
    }
}
