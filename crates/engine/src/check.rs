//! Checks a container's configuration before anything is made of it: refusals and warnings.
//!
//! Rules and texts: moby `daemon/container.go`, `daemon/daemon_unix.go`,
//! `api/types/container/hostconfig.go`. Every key that is understood but has no effect here
//! gives a warning; none is dropped in silence.

use crate::config::{Config, HostConfig, items};
use crate::error::{EngineError, Result};
use crate::plan::check_restart_policy;

const MIB: i64 = 1 << 20;
const DEFAULT_SHM: i64 = 64 * MIB;

/// What the checks need to know of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    pub cpus: u32,
    pub cgroup_v2: bool,
}

/// Refuses what cannot be; gives the warnings for what will be different from the wish.
pub fn check(config: &Config, host: &HostConfig, machine: &Machine) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    check_config(config)?;
    check_restart_policy(&host.restart_policy, host.auto_remove).map_err(EngineError::invalid)?;
    check_memory(host, &mut warnings)?;
    check_cpu(host, machine)?;
    check_modes(host)?;
    check_logging(host)?;
    warn_of_logging(host, &mut warnings);
    check_security(host)?;
    check_ports(host, &mut warnings)?;
    unsupported(host, &mut warnings)?;
    Ok(warnings)
}

fn invalid<T>(message: impl Into<String>) -> Result<T> {
    Err(EngineError::invalid(message))
}

fn check_config(config: &Config) -> Result<()> {
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        return invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            config.working_dir
        ));
    }
    if !config.stop_signal.is_empty() && crate::signal::parse(&config.stop_signal).is_none() {
        return invalid(format!("Invalid signal: {}", config.stop_signal));
    }
    for env in items(&config.env) {
        if env.starts_with('=') || env.is_empty() {
            return invalid(format!("invalid environment variable: {env}"));
        }
        if env.contains('\0') {
            return invalid("invalid environment variable: it contains a NUL byte");
        }
    }
    if let Some(check) = &config.healthcheck {
        check_healthcheck(check)?;
    }
    Ok(())
}

fn check_healthcheck(check: &crate::config::Healthcheck) -> Result<()> {
    match items(&check.test).first().map(String::as_str) {
        None | Some("" | "NONE" | "CMD" | "CMD-SHELL") => {}
        Some(word) => return invalid(format!("unknown type '{word}' in healthcheck")),
    }
    for (name, value) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ] {
        if value != 0 && value < 1_000_000 {
            return invalid(format!("{name} in Healthcheck cannot be less than 1ms"));
        }
    }
    match check.retries {
        r if r < 0 => invalid("Retries in Healthcheck cannot be negative"),
        _ => Ok(()),
    }
}

fn check_memory(host: &HostConfig, warnings: &mut Vec<String>) -> Result<()> {
    let (memory, swap) = (host.memory, host.memory_swap);
    if memory > 0 && memory < 6 * MIB {
        return invalid("Minimum memory limit allowed is 6MB");
    }
    if memory == 0 && swap > 0 {
        return invalid(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        );
    }
    if memory > 0 && swap > 0 && swap < memory {
        return invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if host.memory_reservation > 0 && host.memory_reservation < 6 * MIB {
        return invalid("Minimum memory reservation allowed is 6MB");
    }
    if memory > 0 && memory < host.memory_reservation {
        return invalid(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        );
    }
    if let Some(swappiness) = host.memory_swappiness
        && !(-1..=100).contains(&swappiness)
    {
        return invalid(format!(
            "Invalid value: {swappiness}, valid memory swappiness range is 0-100"
        ));
    }
    if host.oom_kill_disable == Some(true) && memory == 0 {
        warnings.push(
            "OOM killer is disabled for the container, but no memory limit is set, this can \
             result in the system running out of resources."
                .into(),
        );
    }
    match host.oom_score_adj {
        -1000..=1000 => Ok(()),
        n => invalid(format!("Invalid value {n}, range for oom score adj is [-1000, 1000]")),
    }
}

fn check_cpu(host: &HostConfig, machine: &Machine) -> Result<()> {
    if host.nano_cpus != 0 {
        if host.cpu_period > 0 {
            return invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set");
        }
        if host.cpu_quota > 0 {
            return invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
        }
        if host.nano_cpus < 0 || host.nano_cpus > i64::from(machine.cpus) * 1_000_000_000 {
            return invalid(format!(
                "range of CPUs is from 0.01 to {0}.00, as there are only {0} CPUs available",
                machine.cpus
            ));
        }
    }
    if host.cpu_period != 0 && !(1000..=1_000_000).contains(&host.cpu_period) {
        return invalid(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        );
    }
    if host.cpu_quota > 0 && host.cpu_quota < 1000 {
        return invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    if host.cpu_shares < 0 {
        return invalid(format!(
            "invalid CPU shares ({}): value must be a positive integer",
            host.cpu_shares
        ));
    }
    if host.blkio_weight > 0 && !(10..=1000).contains(&host.blkio_weight) {
        return invalid("Range of blkio weight is from 10 to 1000");
    }
    for (name, set) in [("CPU", &host.cpuset_cpus), ("Memory", &host.cpuset_mems)] {
        if !set.is_empty() && !set.bytes().all(|b| b.is_ascii_digit() || b == b',' || b == b'-') {
            return invalid(format!("Invalid value {set} for cpuset {}", name.to_lowercase()));
        }
    }
    Ok(())
}

fn check_modes(host: &HostConfig) -> Result<()> {
    let ok_or_container = |mode: &str, plain: &[&str]| {
        plain.contains(&mode) || mode.strip_prefix("container:").is_some_and(|c| !c.is_empty())
    };
    if !ok_or_container(&host.pid_mode, &["", "host"]) {
        return invalid(format!("invalid PID mode: {}", host.pid_mode));
    }
    if !ok_or_container(&host.ipc_mode, &["", "none", "private", "shareable", "host"]) {
        return invalid(format!("invalid IPC mode: {}", host.ipc_mode));
    }
    if !matches!(host.uts_mode.as_str(), "" | "host") {
        return invalid(format!("invalid UTS mode: {}", host.uts_mode));
    }
    if !matches!(host.cgroupns_mode.as_str(), "" | "host" | "private") {
        return invalid(format!("invalid cgroup namespace mode: {}", host.cgroupns_mode));
    }
    if !matches!(host.userns_mode.as_str(), "" | "host") {
        return invalid(format!("invalid user namespace mode: {}", host.userns_mode));
    }
    if !matches!(host.isolation.as_str(), "" | "default") {
        return invalid(format!("invalid isolation mode: {}", host.isolation));
    }
    if !matches!(host.runtime.as_str(), "" | "runc" | "io.containerd.runc.v2") {
        return invalid(format!("unknown or invalid runtime name: {}", host.runtime));
    }
    if host.shm_size < 0 {
        return invalid("SHM size can not be less than 0");
    }
    let links = items(&host.links);
    if !links.is_empty() && host.network_mode == "host" {
        return invalid(
            "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
        );
    }
    Ok(())
}

/// Options by driver; moby `daemon/logger/{jsonfilelog,local}`.
const LOG_OPTIONS: &[(&str, &[&str])] = &[
    (
        "json-file",
        &["max-file", "max-size", "compress", "labels", "labels-regex", "env", "env-regex", "tag"],
    ),
    ("local", &["max-file", "max-size", "compress"]),
    ("none", &[]),
];
/// Options of every driver.
const LOG_DELIVERY: &[&str] = &["mode", "max-buffer-size"];

fn check_logging(host: &HostConfig) -> Result<()> {
    let kind = match host.log_config.kind.as_str() {
        "" => "json-file",
        kind => kind,
    };
    let Some((_, known)) = LOG_OPTIONS.iter().find(|(name, _)| *name == kind) else {
        return invalid(format!("logger: no log driver named '{kind}' is registered"));
    };
    for (key, value) in host.log_config.config.iter().flatten() {
        if !known.contains(&key.as_str()) && !LOG_DELIVERY.contains(&key.as_str()) {
            return invalid(format!("unknown log opt '{key}' for {kind} log driver"));
        }
        let fine = match key.as_str() {
            "max-file" => value.parse::<u32>().is_ok_and(|n| n > 0),
            "max-size" | "max-buffer-size" => crate::units::bytes(value).is_some(),
            "compress" => matches!(value.as_str(), "true" | "false"),
            "mode" => matches!(value.as_str(), "blocking" | "non-blocking"),
            _ => true,
        };
        if !fine {
            return invalid(format!("invalid value for {key}: {value}"));
        }
    }
    Ok(())
}

/// What is taken because every client may send it, and does nothing here.
fn warn_of_logging(host: &HostConfig, warnings: &mut Vec<String>) {
    for (key, value) in host.log_config.config.iter().flatten() {
        let idle = match key.as_str() {
            "compress" => value == "true",
            "mode" => value == "non-blocking",
            "max-file" | "max-size" => false,
            _ => true,
        };
        if idle {
            warnings.push(format!("log opt '{key}' has no effect on this engine."));
        }
    }
}

fn check_security(host: &HostConfig) -> Result<()> {
    for option in items(&host.security_opt) {
        let (key, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        let fine = match key {
            "no-new-privileges" => matches!(value, "" | "true" | "false"),
            "seccomp" | "apparmor" | "label" => !value.is_empty() || key == "label",
            "systempaths" => value == "unconfined",
            "writable-cgroups" => matches!(value, "" | "true" | "false"),
            _ => false,
        };
        if !fine {
            return invalid(format!("invalid --security-opt 2: \"{option}\""));
        }
    }
    for cap in items(&host.cap_add).iter().chain(items(&host.cap_drop)) {
        if crate::security::capability(cap).is_none() {
            return invalid(format!("invalid capability: \"{cap}\""));
        }
    }
    for limit in items(&host.ulimits) {
        if limit.soft > limit.hard && limit.hard != -1 {
            return invalid(format!(
                "invalid ulimit {}: ulimit soft limit must be less than or equal to hard limit: \
                 {} > {}",
                limit.name, limit.soft, limit.hard
            ));
        }
    }
    Ok(())
}

fn check_ports(host: &HostConfig, warnings: &mut Vec<String>) -> Result<()> {
    let bindings = host.port_bindings.as_ref();
    let mut any = false;
    for (port, targets) in bindings.into_iter().flatten() {
        if crate::ports::parse_port(port).is_none() {
            return invalid(format!("invalid port specification: \"{port}\""));
        }
        for target in items(targets) {
            any = true;
            if !target.host_port.is_empty()
                && crate::ports::parse_range(&target.host_port).is_none()
            {
                return invalid(format!("invalid port specification: \"{}\"", target.host_port));
            }
            if !target.host_ip.is_empty() && target.host_ip.parse::<std::net::IpAddr>().is_err() {
                return invalid(format!("invalid IP address: {}", target.host_ip));
            }
        }
    }
    if any && (host.network_mode == "host" || host.network_mode.starts_with("container:")) {
        warnings.push("Published ports are discarded when using host network mode".to_owned());
    }
    Ok(())
}

/// moby `daemon/devices.go`; Go prints the lists without quotes and commas.
fn no_device_driver(requests: &[crate::config::DeviceRequest]) -> String {
    let Some(first) = requests.first() else { return String::new() };
    let sets = items(&first.capabilities).iter().map(|set| format!("[{}]", set.join(" ")));
    let sets = sets.collect::<Vec<_>>().join(" ");
    format!("could not select device driver \"{}\" with capabilities: [{sets}]", first.driver)
}

/// Keys this engine does not act on: refused where the caller relies on them, else warned of.
fn unsupported(host: &HostConfig, warnings: &mut Vec<String>) -> Result<()> {
    if !items(&host.device_requests).is_empty() {
        return invalid(no_device_driver(items(&host.device_requests)));
    }
    let ignored: [(&str, bool); 9] = [
        ("CpuRealtimePeriod", host.cpu_realtime_period != 0),
        ("CpuRealtimeRuntime", host.cpu_realtime_runtime != 0),
        ("KernelMemory", host.kernel_memory != 0),
        ("KernelMemoryTCP", host.kernel_memory_tcp != 0),
        ("CpuCount", host.cpu_count != 0),
        ("CpuPercent", host.cpu_percent != 0),
        ("IOMaximumIOps", host.io_maximum_iops != 0),
        ("IOMaximumBandwidth", host.io_maximum_bandwidth != 0),
        ("BlkioWeightDevice", !items(&host.blkio_weight_device).is_empty()),
    ];
    if !items(&host.links).is_empty() {
        warnings.push(
            "Links add no names here; put the containers on a network of their own instead.".into(),
        );
    }
    for (key, _) in ignored.iter().filter(|(_, set)| *set) {
        warnings.push(format!("{key} is not supported by this engine and was discarded."));
    }
    if host.storage_opt.as_ref().is_some_and(|o| !o.is_empty()) {
        return invalid(
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
        );
    }
    if !matches!(host.volume_driver.as_str(), "" | "local") {
        return invalid(format!("plugin \"{}\" not found", host.volume_driver));
    }
    for option in items(&host.security_opt) {
        if option.starts_with("apparmor") && !option.ends_with("unconfined") {
            warnings.push("AppArmor is not available here, the profile was discarded.".into());
        }
    }
    Ok(())
}

/// Fills the host configuration's defaults, as `inspect` shows them afterwards.
pub fn with_defaults(mut host: HostConfig, machine: &Machine) -> HostConfig {
    let set = |field: &mut String, default: &str| {
        if field.is_empty() {
            default.clone_into(field);
        }
    };
    set(&mut host.log_config.kind, "json-file");
    host.log_config.config.get_or_insert_default();
    if !machine.cgroup_v2 {
        host.oom_kill_disable.get_or_insert(false);
    }
    set(&mut host.ipc_mode, "private");
    set(&mut host.cgroupns_mode, if machine.cgroup_v2 { "private" } else { "host" });
    set(&mut host.restart_policy.name, "no");
    set(&mut host.runtime, "runc");
    if matches!(host.network_mode.as_str(), "" | "default") {
        host.network_mode = "bridge".to_owned();
    }
    if host.shm_size == 0 {
        host.shm_size = DEFAULT_SHM;
    }
    if host.memory > 0 && host.memory_swap == 0 {
        host.memory_swap = host.memory.saturating_mul(2);
    }
    host.memory_swappiness = host.memory_swappiness.filter(|s| *s != -1);
    host.pids_limit = host.pids_limit.filter(|p| *p > 0 || *p == -1);
    if host.masked_paths.is_none() {
        host.masked_paths = Some(paths(host.privileged, MASKED));
    }
    if host.readonly_paths.is_none() {
        host.readonly_paths = Some(paths(host.privileged, READONLY));
    }
    host
}

fn paths(privileged: bool, list: &[&str]) -> Vec<String> {
    if privileged { Vec::new() } else { list.iter().map(|p| (*p).to_owned()).collect() }
}

/// moby `daemon/pkg/oci/defaults.go`.
const MASKED: &[&str] = &[
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
];
const READONLY: &[&str] =
    &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
