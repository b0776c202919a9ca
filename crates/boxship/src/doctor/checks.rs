//! The checks. Each looks at one thing and says what it found.

use super::{Finding, Wanted};
use crate::presence::{self, Presence};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_string()
}

/// The value of a line `name: value` of `/proc` files.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_string())
}

/// An instance that runs here holds what it needs itself.
fn runs(wanted: &Wanted) -> bool {
    matches!(presence::of(&wanted.dir), Ok(Presence::Running(_)))
}

pub(super) fn user(_: &Wanted) -> Finding {
    match nix::unistd::geteuid().is_root() {
        true => Finding::ok("root"),
        false => Finding::fail("not root", "containers need root: use sudo"),
    }
}

/// Names by bit (`linux/capability.h`): those an engine cannot do without.
static NEEDED: [(u32, &str); 12] = [
    (0, "CAP_CHOWN"),
    (1, "CAP_DAC_OVERRIDE"),
    (3, "CAP_FOWNER"),
    (5, "CAP_KILL"),
    (6, "CAP_SETGID"),
    (7, "CAP_SETUID"),
    (8, "CAP_SETPCAP"),
    (12, "CAP_NET_ADMIN"),
    (18, "CAP_SYS_CHROOT"),
    (19, "CAP_SYS_PTRACE"),
    (21, "CAP_SYS_ADMIN"),
    (27, "CAP_MKNOD"),
];
const SYS_RESOURCE: u32 = 24;

pub(super) fn capabilities(_: &Wanted) -> Finding {
    capabilities_of(&read("/proc/self/status"))
}

fn capabilities_of(status: &str) -> Finding {
    let held = field(status, "CapEff").and_then(|hex| u64::from_str_radix(&hex, 16).ok());
    let held = held.unwrap_or_default();
    let lacks = |bit: u32| held & (1 << bit) == 0;
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(bit, _)| lacks(*bit)).map(|(_, n)| *n).collect();
    if !missing.is_empty() {
        return Finding::fail(
            format!("without {}", missing.join(", ")),
            "a container or service manager took them away: run it on the machine itself, or privileged",
        );
    }
    if lacks(SYS_RESOURCE) {
        return Finding::warn(
            "without CAP_SYS_RESOURCE",
            "limits of open files and oom scores of containers stay within this machine's own",
        );
    }
    Finding::ok("all that are needed")
}

/// What the runtime counts on (pidfd_open, clone3, openat2, close_range) is there since this.
const OLDEST: (u32, u32) = (5, 9);

pub(super) fn kernel(_: &Wanted) -> Finding {
    let release = read("/proc/sys/kernel/osrelease");
    let mut numbers = release.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    match version >= OLDEST {
        true => Finding::ok(format!("Linux {release}")),
        false => Finding::fail(format!("Linux {release}"), "Linux 5.9 or newer is needed"),
    }
}

pub(super) fn cgroups(_: &Wanted) -> Finding {
    cgroups_of(&read("/proc/self/mountinfo"), &read("/sys/fs/cgroup/cgroup.controllers"))
}

fn cgroups_of(mounts: &str, unified: &str) -> Finding {
    let controllers = ["cpu", "memory", "pids"];
    let v2: Vec<&str> = unified.split_whitespace().collect();
    if controllers.iter().all(|c| v2.contains(c)) {
        return Finding::ok("version 2");
    }
    let options = |line: &str| line.rsplit(' ').next().unwrap_or_default().to_string();
    let v1: Vec<String> =
        mounts.lines().filter(|line| line.contains(" - cgroup ")).map(options).collect();
    let has = |c: &&str| v1.iter().any(|all| all.split(',').any(|one| one == *c));
    let missing: Vec<&str> = controllers.iter().filter(|c| !has(c)).copied().collect();
    match missing.as_slice() {
        [] => Finding::ok("version 1"),
        missing => Finding::fail(
            format!("no controller for {}", missing.join(", ")),
            "mount cgroup2 on /sys/fs/cgroup (systemd does), or run outside of a container without them",
        ),
    }
}

pub(super) fn overlayfs(_: &Wanted) -> Finding {
    let known = read("/proc/filesystems").lines().any(|line| line.ends_with("\toverlay"));
    match known {
        true => Finding::ok("known to the kernel"),
        false => Finding::fail("not known to the kernel", "`modprobe overlay`"),
    }
}

pub(super) fn nf_tables(_: &Wanted) -> Finding {
    match net::Firewall::open() {
        Ok(_) => Finding::ok("answers"),
        Err(e) => Finding::fail(e.to_string(), "`modprobe nf_tables nft_chain_nat`, and root"),
    }
}

pub(super) fn br_netfilter(_: &Wanted) -> Finding {
    let switch = read("/proc/sys/net/bridge/bridge-nf-call-iptables");
    match switch.as_str() {
        "" => Finding::warn(
            "not there",
            "`modprobe br_netfilter`: without it a pod does not reach itself or a pod of its node through a Service",
        ),
        _ => Finding::ok("there"),
    }
}

pub(super) fn ip_forward(_: &Wanted) -> Finding {
    let path = "/proc/sys/net/ipv4/ip_forward";
    match (read(path).as_str(), std::fs::File::options().write(true).open(path)) {
        ("1", _) => Finding::ok("on"),
        (_, Ok(_)) => Finding::ok("off; switched on at the start"),
        (_, Err(e)) => Finding::fail(
            format!("off, and cannot be switched on: {e}"),
            "`sysctl -w net.ipv4.ip_forward=1`",
        ),
    }
}

pub(super) fn addresses(_: &Wanted) -> Finding {
    match crate::networks::others() {
        Ok(all) => {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            Finding::ok(format!("new instances keep away from {}", all.join(", ")))
        }
        Err(e) => Finding::fail(e.to_string(), "the routes of the machine cannot be read"),
    }
}

pub(super) fn api_port(wanted: &Wanted) -> Finding {
    match TcpListener::bind(wanted.listen) {
        Ok(_) => Finding::ok(format!("{} is free", wanted.listen)),
        Err(_) if runs(wanted) => Finding::ok("this instance runs"),
        Err(e) => Finding::fail(
            format!("{}: {e}", wanted.listen),
            "somebody else answers there: choose another with --listen",
        ),
    }
}

pub(super) fn docker_socket(wanted: &Wanted) -> Finding {
    let path = wanted.docker.trim_start_matches("unix://");
    match UnixStream::connect(path) {
        Err(_) => Finding::ok(format!("{path} is free")),
        Ok(_) if runs(wanted) => Finding::ok("this instance runs"),
        Ok(_) => Finding::fail(
            format!("somebody answers at {path}"),
            "another engine has it: choose another with --docker-host",
        ),
    }
}

const FEW_FILES: u64 = 65_536;

pub(super) fn open_files(_: &Wanted) -> Finding {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((_, hard)) if hard >= FEW_FILES => Finding::ok(format!("up to {hard}")),
        Ok((_, hard)) => Finding::warn(
            format!("up to {hard}"),
            "containers that open more fail: raise it (ulimit -Hn, LimitNOFILE= of the unit)",
        ),
        Err(e) => Finding::warn(e.to_string(), "the limit cannot be read"),
    }
}

const LITTLE_MEMORY: u64 = 256 << 10;

pub(super) fn memory(_: &Wanted) -> Finding {
    let text = read("/proc/meminfo");
    let number = |name| -> Option<u64> { field(&text, name)?.split(' ').next()?.parse().ok() };
    let (free, all) = (number("MemAvailable").unwrap_or(0), number("MemTotal").unwrap_or(0));
    let found = format!("{} of {} MB available", free >> 10, all >> 10);
    match free >= LITTLE_MEMORY {
        true => Finding::ok(found),
        false => {
            Finding::warn(found, "a node alone needs about 50 MB, your containers come on top")
        }
    }
}

/// Less free space than this: writing is about to fail.
const NO_SPACE: u64 = 256 << 20;
/// Less than this: images will not fit.
const LITTLE_SPACE: u64 = 4 << 30;

pub(super) fn disk(wanted: &Wanted) -> Finding {
    let existing = wanted.dir.ancestors().find(|dir| dir.exists());
    let dir: PathBuf = existing.unwrap_or(Path::new("/")).to_path_buf();
    let stat = match statvfs(&dir) {
        Ok(stat) => stat,
        Err(e) => {
            return Finding::fail(format!("{}: {e}", dir.display()), "choose another --data-dir");
        }
    };
    let free = stat.blocks_available() * stat.fragment_size();
    let found = format!("{:.1} GB free at {}", free as f64 / 1e9, dir.display());
    match free {
        _ if stat.files() > 0 && stat.files_available() == 0 => Finding::fail(
            format!("no inodes left at {}", dir.display()),
            "remove files, or choose another --data-dir",
        ),
        free if free < NO_SPACE => Finding::fail(
            found,
            "make room (`docker system prune -a`), or choose another --data-dir",
        ),
        free if free < LITTLE_SPACE => Finding::warn(found, "images and containers need room"),
        _ => Finding::ok(found),
    }
}

/// 2025: no machine that runs this is older, and certificates would not be valid yet.
const EARLIEST: u64 = 1_735_689_600;

pub(super) fn clock(wanted: &Wanted) -> Finding {
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if since < EARLIEST {
        return Finding::fail("it shows a year before 2025", "set it (`timedatectl set-ntp true`)");
    }
    let newest = std::fs::read_dir(wanted.dir.join("store")).into_iter().flatten().flatten();
    let newest = newest.filter_map(|e| e.metadata().ok()?.modified().ok()).max();
    match newest.and_then(|at| at.duration_since(now).ok()).map(|ahead| ahead.as_secs()) {
        Some(secs) if secs > 60 => Finding::warn(
            format!("{secs} s behind what the instance wrote last"),
            "it was set back: leases and certificates may look as if they were of the future",
        ),
        _ => Finding::ok("plausible"),
    }
}

pub(super) fn resolver(_: &Wanted) -> Finding {
    let text = read("/etc/resolv.conf");
    let servers: Vec<&str> =
        text.lines().filter_map(|l| l.strip_prefix("nameserver")).map(str::trim).collect();
    match servers.as_slice() {
        [] => Finding::warn(
            "/etc/resolv.conf names no server",
            "pods resolve the cluster's names only, and pulls need one",
        ),
        servers => Finding::ok(servers.join(", ")),
    }
}

/// Where distributions keep it.
static BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

pub(super) fn ca_bundle(_: &Wanted) -> Finding {
    let named = std::env::var("SSL_CERT_FILE").ok();
    let all = named.iter().map(String::as_str).chain(BUNDLES);
    match all.into_iter().find(|path| Path::new(path).exists()) {
        Some(path) => Finding::ok(path),
        None => Finding::warn(
            "none",
            "pulls over HTTPS cannot check who answers: install ca-certificates, or name one in SSL_CERT_FILE",
        ),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
