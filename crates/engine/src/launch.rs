//! From a record to the runtime's specification: pure.
//!
//! Defaults follow moby `daemon/pkg/oci/defaults.go` and `daemon/oci_linux.go`.

use std::path::{Path, PathBuf};

use runtime::{
    ContainerSpec, DeviceKind, DeviceRule, HugetlbLimit, LogFormat, LogSpec, Mount, MountKind,
    Namespace, Namespaces, ProcessSpec, Propagation, Resources, Rlimit, Rootfs, Stdin, Throttle,
    ThrottleKind, TtySize,
};

use crate::config::{HostConfig, ThrottleDevice, items};
use crate::error::{EngineError, Result};
use crate::record::{MountPoint, Record};
use crate::security;

/// What the launch needs besides the record; gathered by the hands.
#[derive(Debug, Clone)]
pub struct Ground {
    pub rootfs: Rootfs,
    /// The user, looked up inside the root file system.
    pub user: runtime::User,
    pub home: String,
    /// Where hosts, hostname and resolv.conf of this container lie; `None`: leave the image's.
    pub files: Option<PathBuf>,
    /// Whose network: decided from the network mode.
    pub net: Namespace,
    /// The sandbox whose namespaces the above may name.
    pub sandbox: Option<String>,
    /// A directory on the machine that becomes `/dev/shm`; `None`: a tmpfs of its own.
    pub shm: Option<PathBuf>,
    /// Device nodes, resolved from the machine.
    pub devices: Vec<runtime::Device>,
    pub device_rules: Vec<DeviceRule>,
    /// The engine's own cgroup, parent of containers that name none.
    pub cgroup_parent: String,
    pub log_path: PathBuf,
}

/// The whole specification.
pub fn spec(record: &Record, ground: Ground) -> Result<ContainerSpec> {
    let (config, host) = (&record.config, &record.host);
    let mounts = mounts(record, &ground)?;
    let cgroup_parent = match host.cgroup_parent.as_str() {
        "" => ground.cgroup_parent.clone(),
        parent => parent.to_owned(),
    };
    Ok(ContainerSpec {
        id: record.id.clone(),
        sandbox: ground.sandbox.clone(),
        readonly_rootfs: host.readonly_rootfs,
        process: process(record, &ground)?,
        init: host.init == Some(true),
        namespaces: namespaces(record, ground.net.clone()),
        hostname: config.hostname.clone(),
        domainname: config.domainname.clone(),
        mounts,
        masked_paths: items(&host.masked_paths).to_vec(),
        readonly_paths: items(&host.readonly_paths).to_vec(),
        devices: ground.devices,
        device_rules: if host.privileged { Vec::new() } else { ground.device_rules },
        sysctls: host.sysctls.clone().unwrap_or_default(),
        cgroup_parent,
        resources: Resources { hugetlb: hugetlb(record), ..resources(host) },
        stdin: stdin(record),
        logs: logs(record, ground.log_path),
        rootfs: ground.rootfs,
        ..ContainerSpec::default()
    })
}

fn process(record: &Record, ground: &Ground) -> Result<ProcessSpec> {
    let (config, host) = (&record.config, &record.host);
    let mut args = vec![record.path.clone()];
    args.extend(record.args.iter().cloned());
    let [rows, cols] = host.console_size;
    Ok(ProcessSpec {
        args,
        env: environment(record, &ground.home, config.tty),
        cwd: config.working_dir.clone(),
        user: ground.user.clone(),
        tty: config.tty.then_some(TtySize { rows, cols }),
        capabilities: security::capabilities(host, ground.user.uid),
        no_new_privileges: security::no_new_privileges(host),
        seccomp: security::seccomp(host)?,
        rlimits: items(&host.ulimits).iter().map(rlimit).collect(),
        oom_score_adj: (host.oom_score_adj != 0).then_some(host.oom_score_adj),
    })
}

/// Huge page limits, which only pods can ask for.
fn hugetlb(record: &Record) -> Vec<HugetlbLimit> {
    let wanted = record.pod.iter().flat_map(|p| &p.spec.resources.hugepages);
    let limit = |(page_size, limit): (&String, &u64)| HugetlbLimit {
        page_size: page_size.clone(),
        limit: *limit,
    };
    wanted.map(limit).collect()
}

fn rlimit(limit: &crate::config::Ulimit) -> Rlimit {
    // -1 is unlimited, which is all ones for the kernel as well.
    let value = |n: i64| u64::from_ne_bytes(n.to_ne_bytes());
    Rlimit { name: limit.name.clone(), soft: value(limit.soft), hard: value(limit.hard) }
}

pub const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// PATH, HOSTNAME, TERM and HOME as defaults, then the configured variables over them.
pub(crate) fn environment(record: &Record, home: &str, tty: bool) -> Vec<String> {
    let mut env = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={}", record.config.hostname)];
    if tty {
        env.push("TERM=xterm".to_owned());
    }
    let mut env = overlaid(env, items(&record.config.env));
    if !env.iter().any(|pair| pair.starts_with("HOME=")) {
        env.push(format!("HOME={home}"));
    }
    env
}

/// `over` replaces variables of the same name in place; a bare name unsets
/// (moby `daemon/internal/env`).
pub fn overlaid(mut env: Vec<String>, over: &[String]) -> Vec<String> {
    for pair in over {
        let (name, value) =
            pair.split_once('=').map_or((pair.as_str(), None), |(n, v)| (n, Some(v)));
        let at = env.iter().position(|e| e.split('=').next() == Some(name));
        match (at, value) {
            (Some(at), Some(_)) => env[at].clone_from(pair),
            (Some(at), None) => drop(env.remove(at)),
            (None, Some(_)) => env.push(pair.clone()),
            (None, None) => {}
        }
    }
    env
}

fn namespaces(record: &Record, net: Namespace) -> Namespaces {
    let host = &record.host;
    let of = |mode: &str| match mode.strip_prefix("container:") {
        Some(id) => Namespace::Container(id.to_owned()),
        None if mode == "host" => Namespace::Host,
        None if mode == "sandbox" => Namespace::Sandbox,
        None => Namespace::New,
    };
    Namespaces {
        net,
        pid: of(&host.pid_mode),
        ipc: of(&host.ipc_mode),
        uts: of(&host.uts_mode),
        cgroup: of(&host.cgroupns_mode),
        user: None,
    }
}

fn stdin(record: &Record) -> Stdin {
    match (record.config.open_stdin, record.config.stdin_once) {
        (false, _) => Stdin::Closed,
        (true, false) => Stdin::Open,
        (true, true) => Stdin::Once,
    }
}

fn logs(record: &Record, path: PathBuf) -> LogSpec {
    let config = &record.host.log_config;
    let option = |key: &str| config.config.as_ref().and_then(|c| c.get(key));
    let format = match (&record.pod, config.kind.as_str()) {
        (Some(pod), _) if pod.spec.log_path.is_some() => LogFormat::Cri,
        (Some(_), _) | (None, "none") => LogFormat::None,
        (None, _) => LogFormat::JsonFile,
    };
    if let Some(pod) = &record.pod {
        let (max_size, max_files) = (pod.spec.log_max_bytes, pod.spec.log_max_files.max(1));
        return LogSpec { format, path, max_size, max_files };
    }
    // moby `daemon/logger/local/config.go`: this driver rotates without being asked.
    let (size, files) = if config.kind == "local" { (20 << 20, 5) } else { (0, 1) };
    LogSpec {
        format,
        path,
        max_size: option("max-size").and_then(|s| crate::units::bytes(s)).unwrap_or(size),
        max_files: option("max-file").and_then(|s| s.parse().ok()).unwrap_or(files),
    }
}

/// Limits in the runtime's words; zero means none in Docker's.
pub fn resources(host: &HostConfig) -> Resources {
    let some = |n: i64| (n != 0).then_some(n);
    let positive = |n: i64| u64::try_from(n).ok().filter(|n| *n != 0);
    let text = |t: &str| (!t.is_empty()).then(|| t.to_owned());
    let (quota, period) = match host.nano_cpus {
        0 => (some(host.cpu_quota), positive(host.cpu_period)),
        nano => (Some((nano / 10_000).max(1000)), Some(100_000)),
    };
    Resources {
        memory: some(host.memory),
        memory_reservation: some(host.memory_reservation),
        memory_swap: some(host.memory_swap),
        memory_swappiness: host.memory_swappiness.and_then(|s| u64::try_from(s).ok()),
        oom_kill_disable: host.oom_kill_disable == Some(true),
        cpu_shares: positive(host.cpu_shares),
        cpu_quota: quota,
        cpu_period: period,
        cpuset_cpus: text(&host.cpuset_cpus),
        cpuset_mems: text(&host.cpuset_mems),
        pids: host.pids_limit.filter(|p| *p != 0),
        blkio_weight: (host.blkio_weight != 0).then_some(host.blkio_weight),
        blkio_throttle: throttles(host),
        ..Resources::default()
    }
}

fn throttles(host: &HostConfig) -> Vec<Throttle> {
    let of = |kind: ThrottleKind, list: &[ThrottleDevice]| -> Vec<Throttle> {
        let number = |d: &ThrottleDevice| {
            let (major, minor) = crate::devices::number(Path::new(&d.path))?;
            Some(Throttle { kind, major, minor, rate: d.rate })
        };
        list.iter().filter_map(number).collect()
    };
    [
        of(ThrottleKind::ReadBps, items(&host.blkio_device_read_bps)),
        of(ThrottleKind::WriteBps, items(&host.blkio_device_write_bps)),
        of(ThrottleKind::ReadIops, items(&host.blkio_device_read_iops)),
        of(ThrottleKind::WriteIops, items(&host.blkio_device_write_iops)),
    ]
    .concat()
}

const NOTHING: &[&str] = &["nosuid", "noexec", "nodev"];

/// The usual mounts, the container's own ones, and the three files of the network.
fn mounts(record: &Record, ground: &Ground) -> Result<Vec<Mount>> {
    let host = &record.host;
    let mut out = standard(host, ground);
    let own = &record.mounts;
    out.retain(|m| !own.iter().any(|o| o.destination == m.target));
    if let Some(files) = &ground.files {
        for (file, target) in FILES {
            if !own.iter().any(|o| o.destination == *target) {
                out.push(bind(files.join(file), target, host.readonly_rootfs));
            }
        }
    }
    // Parents before children, whatever order they were asked for in.
    let mut sorted: Vec<&MountPoint> = own.iter().collect();
    sorted.sort_by_key(|m| m.destination.split('/').count());
    for point in sorted {
        out.push(mount(point)?);
    }
    Ok(out)
}

/// Files of a container's own directory and where they appear inside.
pub const FILES: &[(&str, &str)] =
    &[("resolv.conf", "/etc/resolv.conf"), ("hostname", "/etc/hostname"), ("hosts", "/etc/hosts")];

fn standard(host: &HostConfig, ground: &Ground) -> Vec<Mount> {
    let plain = |target: &str, kind, readonly, flags: &[&str]| Mount {
        target: target.to_owned(),
        kind,
        readonly,
        flags: flags.iter().map(|f| (*f).to_owned()).collect(),
    };
    let tmpfs = |options: &[&str]| MountKind::Tmpfs {
        options: options.iter().map(|o| (*o).to_owned()).collect(),
    };
    let sys_readonly = !host.privileged;
    let dev = tmpfs(&["mode=755", "size=65536k"]);
    let mut out = vec![
        plain("/proc", MountKind::Proc, false, NOTHING),
        plain("/dev", dev, false, &["nosuid", "strictatime"]),
        plain("/dev/pts", MountKind::Devpts, false, &["nosuid", "noexec"]),
        plain("/sys", MountKind::Sysfs, sys_readonly, NOTHING),
        plain("/sys/fs/cgroup", MountKind::Cgroup, sys_readonly, NOTHING),
        plain("/dev/mqueue", MountKind::Mqueue, false, NOTHING),
    ];
    match (&ground.shm, host.ipc_mode.as_str()) {
        (Some(dir), _) => out.push(bind(dir.clone(), "/dev/shm", false)),
        (None, "host") => out.push(bind(PathBuf::from("/dev/shm"), "/dev/shm", false)),
        (None, "none") => {}
        (None, _) => {
            let size = format!("size={}", host.shm_size);
            out.push(plain("/dev/shm", tmpfs(&["mode=1777", &size]), false, NOTHING));
        }
    }
    out
}

fn bind(source: PathBuf, target: &str, readonly: bool) -> Mount {
    let kind = MountKind::Bind { source, recursive: true, propagation: Propagation::Private };
    Mount { target: target.to_owned(), kind, readonly, flags: Vec::new() }
}

fn mount(point: &MountPoint) -> Result<Mount> {
    if point.kind == "tmpfs" {
        return Ok(tmpfs_mount(point));
    }
    let mut source = PathBuf::from(&point.source);
    if !point.subpath.is_empty() {
        source = crate::contain::resolve(&source, Path::new(&point.subpath)).map_err(|e| {
            EngineError::invalid(format!("cannot access path {}: {e}", point.subpath))
        })?;
    }
    let propagation = match point.propagation.as_str() {
        "shared" | "rshared" => Propagation::Shared,
        "slave" | "rslave" => Propagation::Slave,
        _ => Propagation::Private,
    };
    Ok(Mount {
        target: point.destination.clone(),
        kind: MountKind::Bind { source, recursive: !point.non_recursive, propagation },
        readonly: !point.writable,
        flags: Vec::new(),
    })
}

/// Flag words go to the flags, the rest to the file system; `rw` and `ro` are ours.
fn tmpfs_mount(point: &MountPoint) -> Mount {
    const FLAGS: &[&str] =
        &["nosuid", "nodev", "noexec", "relatime", "noatime", "nodiratime", "strictatime"];
    let words: Vec<&str> = point.options.split(',').filter(|w| !w.is_empty()).collect();
    let mut flags: Vec<String> = NOTHING.iter().map(|f| (*f).to_owned()).collect();
    // Positive words take a default away.
    flags.retain(|flag| !words.contains(&flag.trim_start_matches("no")));
    let mut options = Vec::new();
    for word in words {
        match word {
            "ro" | "rw" | "exec" | "suid" | "dev" => {}
            word if FLAGS.contains(&word) => {
                if !flags.iter().any(|f| f == word) {
                    flags.push(word.to_owned());
                }
            }
            word => options.push(word.to_owned()),
        }
    }
    Mount {
        target: point.destination.clone(),
        kind: MountKind::Tmpfs { options },
        readonly: !point.writable,
        flags,
    }
}

/// What a container may do with devices besides those it is given; moby
/// `daemon/pkg/oci/defaults.go`: nothing but make nodes and use the harmless ones.
pub fn default_device_rules() -> Vec<DeviceRule> {
    let rule = |allow, kind, major, minor, access: &str| DeviceRule {
        allow,
        kind,
        major,
        minor,
        access: access.to_owned(),
    };
    let mut rules = vec![
        rule(false, DeviceKind::All, None, None, "rwm"),
        rule(true, DeviceKind::Char, None, None, "m"),
        rule(true, DeviceKind::Block, None, None, "m"),
    ];
    let harmless = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];
    for (major, minor) in harmless {
        rules.push(rule(true, DeviceKind::Char, Some(major), Some(minor), "rwm"));
    }
    rules.push(rule(true, DeviceKind::Char, Some(136), None, "rwm"));
    rules
}
