//! What docker and CRI runtimes give every container unless told otherwise
//! (moby `daemon/pkg/oci/defaults.go`). Callers put these into their specifications.

use crate::caps;
use crate::spec::{Capabilities, Device, DeviceKind, DeviceRule, Mount, MountKind};

fn mount(target: &str, kind: MountKind, flags: &[&str]) -> Mount {
    let flags = flags.iter().map(|flag| flag.to_string()).collect();
    Mount { target: target.to_string(), kind, readonly: false, flags }
}

fn tmpfs(options: &[&str]) -> MountKind {
    MountKind::Tmpfs { options: options.iter().map(|text| text.to_string()).collect() }
}

/// `/proc`, `/dev` and what is in it, `/sys`. `shm_size` in bytes.
pub fn mounts(shm_size: u64) -> Vec<Mount> {
    const WALLED: &[&str] = &["nosuid", "noexec", "nodev"];
    let shm = ["mode=1777".to_string(), format!("size={shm_size}")].to_vec();
    let mut sys = mount("/sys", MountKind::Sysfs, WALLED);
    sys.readonly = true;
    let mut cgroup = mount("/sys/fs/cgroup", MountKind::Cgroup, WALLED);
    cgroup.readonly = true;
    vec![
        mount("/proc", MountKind::Proc, WALLED),
        mount("/dev", tmpfs(&["mode=755", "size=65536k"]), &["nosuid", "strictatime"]),
        mount("/dev/pts", MountKind::Devpts, &["nosuid", "noexec"]),
        sys,
        cgroup,
        mount("/dev/mqueue", MountKind::Mqueue, WALLED),
        mount("/dev/shm", MountKind::Tmpfs { options: shm }, WALLED),
    ]
}

pub fn masked_paths() -> Vec<String> {
    [
        "/proc/asound",
        "/proc/acpi",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/sys/firmware",
        "/sys/devices/virtual/powercap",
    ]
    .map(str::to_string)
    .to_vec()
}

pub fn readonly_paths() -> Vec<String> {
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        .map(str::to_string)
        .to_vec()
}

/// Docker's capability set for root. Other users get it as bounding set only, as docker does.
pub fn capabilities(uid: u32) -> Capabilities {
    let all: Vec<String> = caps::DOCKER_DEFAULT.iter().map(|name| name.to_string()).collect();
    match uid {
        0 => Capabilities {
            bounding: all.clone(),
            effective: all.clone(),
            permitted: all,
            ..Capabilities::default()
        },
        _ => Capabilities { bounding: all, ..Capabilities::default() },
    }
}

/// Nodes made in every fresh `/dev`.
pub fn devices() -> Vec<Device> {
    [
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    ]
    .map(|(name, major, minor)| Device {
        path: format!("/dev/{name}"),
        kind: DeviceKind::Char,
        major,
        minor,
        mode: 0o666,
        uid: 0,
        gid: 0,
    })
    .to_vec()
}

/// Deny everything, then what every container may use.
pub fn device_rules() -> Vec<DeviceRule> {
    use DeviceKind::{All, Block, Char};
    let rule = |allow, kind, major, minor, access: &str| DeviceRule {
        allow,
        kind,
        major,
        minor,
        access: access.to_string(),
    };
    let mut rules = vec![
        rule(false, All, None, None, "rwm"),
        rule(true, Char, None, None, "m"),
        rule(true, Block, None, None, "m"),
    ];
    let chars = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];
    rules.extend(chars.map(|(a, b)| rule(true, Char, Some(a), Some(b), "rwm")));
    rules.push(rule(true, Char, Some(136), None, "rwm"));
    rules
}

const RLIMITS: &[(&str, u32)] = &[
    ("as", libc::RLIMIT_AS),
    ("core", libc::RLIMIT_CORE),
    ("cpu", libc::RLIMIT_CPU),
    ("data", libc::RLIMIT_DATA),
    ("fsize", libc::RLIMIT_FSIZE),
    ("locks", libc::RLIMIT_LOCKS),
    ("memlock", libc::RLIMIT_MEMLOCK),
    ("msgqueue", libc::RLIMIT_MSGQUEUE),
    ("nice", libc::RLIMIT_NICE),
    ("nofile", libc::RLIMIT_NOFILE),
    ("nproc", libc::RLIMIT_NPROC),
    ("rss", libc::RLIMIT_RSS),
    ("rtprio", libc::RLIMIT_RTPRIO),
    ("rttime", libc::RLIMIT_RTTIME),
    ("sigpending", libc::RLIMIT_SIGPENDING),
    ("stack", libc::RLIMIT_STACK),
];

/// The kernel's number of a resource by docker's name.
pub fn rlimit_number(name: &str) -> Option<u32> {
    RLIMITS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}
