//! Limits to files, for v1 and v2. Pure.
//!
//! v2 conversions follow runc's libcontainer/cgroups (`ConvertCPUSharesToCgroupV2Value`,
//! `ConvertMemorySwapToCgroupV2Value`, `ConvertBlkIOToIOWeightValue`).

use super::Layout;
use crate::error::{Error, Result};
use crate::resources::{Resources, Throttle, ThrottleKind};
use crate::spec::{DeviceKind, DeviceRule};
use std::path::{Path, PathBuf};

/// What has to be done for one container's cgroup, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CgroupPlan {
    /// To be made, parents first within each hierarchy.
    pub dirs: Vec<PathBuf>,
    pub writes: Vec<Write>,
    /// `cgroup.procs` files the first process writes itself into.
    pub procs: Vec<PathBuf>,
    /// v2: the directory to be born into.
    pub unified: Option<PathBuf>,
    /// v2: device rules for a BPF program on that directory.
    pub device_program: Vec<DeviceRule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub file: PathBuf,
    pub value: String,
    /// Best effort: a kernel without the file (swap accounting ...) gets a warning.
    pub optional: bool,
}

/// Accounting and walls every container gets; the others only when a limit asks for them.
const V1_ALWAYS: &[&str] = &["cpu", "cpuacct", "memory", "pids", "devices", "freezer", "blkio"];

/// `fresh` plans a new cgroup, otherwise only the changes of live limits.
pub fn plan(
    layout: &Layout,
    cgroup: &str,
    resources: &Resources,
    rules: &[DeviceRule],
) -> Result<CgroupPlan> {
    check_path(cgroup)?;
    check_swap(resources)?;
    if layout.is_v2() {
        return v2_plan(layout, cgroup, resources, rules);
    }
    if !resources.unified.is_empty() {
        return Err(Error::invalid("unified cgroup settings need cgroup v2"));
    }
    let mut plan = CgroupPlan::default();
    for controller in v1_controllers(resources) {
        let Some(root) = layout.v1_root(controller) else {
            if wanted_by_limit(controller, resources) {
                return Err(Error::invalid(format!("cgroup v1 has no `{controller}` here")));
            }
            continue;
        };
        let dir = root.join(cgroup.trim_start_matches('/'));
        let procs = dir.join("cgroup.procs");
        if !plan.procs.contains(&procs) {
            plan.dirs.push(dir);
            plan.procs.push(procs);
        }
    }
    plan.writes = v1_writes(layout, cgroup, resources)?;
    plan.writes.extend(v1_device_writes(layout, cgroup, rules));
    Ok(plan)
}

fn check_path(cgroup: &str) -> Result<()> {
    let clean = cgroup.starts_with('/')
        && cgroup.len() > 1
        && cgroup[1..].split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if clean { Ok(()) } else { Err(Error::invalid(format!("`{cgroup}` is no cgroup path"))) }
}

/// moby `daemon/daemon_unix.go` (verifyPlatformContainerResources).
fn check_swap(r: &Resources) -> Result<()> {
    match (r.memory, r.memory_swap) {
        (Some(memory), Some(both)) if both > 0 && both < memory => {
            Err(Error::invalid("Minimum memoryswap limit should be larger than memory limit"))
        }
        _ => Ok(()),
    }
}

fn v1_controllers(resources: &Resources) -> Vec<&'static str> {
    let mut out = V1_ALWAYS.to_vec();
    out.extend(["cpuset", "hugetlb"].iter().filter(|name| wanted_by_limit(name, resources)));
    out
}

fn wanted_by_limit(controller: &str, r: &Resources) -> bool {
    match controller {
        "cpuset" => r.cpuset_cpus.is_some() || r.cpuset_mems.is_some(),
        "hugetlb" => !r.hugetlb.is_empty(),
        "memory" => r.memory.is_some() || r.memory_swap.is_some(),
        "cpu" => r.cpu_quota.is_some() || r.cpu_shares.is_some(),
        "pids" => r.pids.is_some(),
        "blkio" => r.blkio_weight.is_some() || !r.blkio_throttle.is_empty(),
        _ => false,
    }
}

/// Collects writes into one directory.
struct Files<'a> {
    dir: &'a Path,
    out: &'a mut Vec<Write>,
}

impl Files<'_> {
    fn set(&mut self, file: &str, value: Option<impl ToString>) {
        self.push(file, value, false);
    }

    fn try_set(&mut self, file: &str, value: Option<impl ToString>) {
        self.push(file, value, true);
    }

    fn push(&mut self, file: &str, value: Option<impl ToString>, optional: bool) {
        let Some(value) = value else { return };
        self.out.push(Write { file: self.dir.join(file), value: value.to_string(), optional });
    }
}

/// Limits only; also what a live update writes.
pub(super) fn v1_writes(layout: &Layout, cgroup: &str, r: &Resources) -> Result<Vec<Write>> {
    let mut out = Vec::new();
    let below = cgroup.trim_start_matches('/');
    for (name, fill) in V1_FILES {
        if let Some(root) = layout.v1_root(name) {
            fill(&mut Files { dir: &root.join(below), out: &mut out }, r);
        }
    }
    Ok(out)
}

type Fill = fn(&mut Files<'_>, &Resources);

/// Which function writes the files of which controller.
const V1_FILES: &[(&str, Fill)] = &[
    ("cpuset", v1_cpuset),
    ("memory", v1_memory),
    ("cpu", v1_cpu),
    ("pids", pids_max),
    ("blkio", v1_blkio),
    ("hugetlb", v1_hugetlb),
];

fn v1_cpuset(files: &mut Files<'_>, r: &Resources) {
    let some = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
    files.set("cpuset.cpus", some(&r.cpuset_cpus));
    files.set("cpuset.mems", some(&r.cpuset_mems));
}

fn v1_memory(files: &mut Files<'_>, r: &Resources) {
    files.set("memory.limit_in_bytes", r.memory);
    files.try_set("memory.memsw.limit_in_bytes", r.memory_swap);
    files.set("memory.soft_limit_in_bytes", r.memory_reservation);
    files.try_set("memory.swappiness", r.memory_swappiness);
    files.set("memory.oom_control", r.oom_kill_disable.then_some(1));
}

fn v1_cpu(files: &mut Files<'_>, r: &Resources) {
    files.set("cpu.shares", r.cpu_shares);
    files.set("cpu.cfs_period_us", r.cpu_period);
    files.set("cpu.cfs_quota_us", r.cpu_quota);
}

fn pids_max(files: &mut Files<'_>, r: &Resources) {
    files.set("pids.max", r.pids.map(max_or));
}

fn v1_blkio(files: &mut Files<'_>, r: &Resources) {
    files.try_set("blkio.weight", r.blkio_weight);
    for throttle in &r.blkio_throttle {
        let file = match throttle.kind {
            ThrottleKind::ReadBps => "blkio.throttle.read_bps_device",
            ThrottleKind::WriteBps => "blkio.throttle.write_bps_device",
            ThrottleKind::ReadIops => "blkio.throttle.read_iops_device",
            ThrottleKind::WriteIops => "blkio.throttle.write_iops_device",
        };
        let Throttle { major, minor, rate, .. } = throttle;
        files.set(file, Some(format!("{major}:{minor} {rate}")));
    }
}

fn v1_hugetlb(files: &mut Files<'_>, r: &Resources) {
    for limit in &r.hugetlb {
        let file = format!("hugetlb.{}.limit_in_bytes", limit.page_size);
        files.set(&file, Some(limit.limit));
    }
}

fn v1_device_writes(layout: &Layout, cgroup: &str, rules: &[DeviceRule]) -> Vec<Write> {
    let Some(root) = layout.v1_root("devices") else { return Vec::new() };
    let dir = root.join(cgroup.trim_start_matches('/'));
    let file = |allow| dir.join(if allow { "devices.allow" } else { "devices.deny" });
    rules
        .iter()
        .map(|rule| Write { file: file(rule.allow), value: rule_text(rule), optional: false })
        .collect()
}

fn rule_text(rule: &DeviceRule) -> String {
    let number = |n: Option<u32>| n.map_or("*".to_string(), |n| n.to_string());
    let kind = match rule.kind {
        DeviceKind::All | DeviceKind::Fifo => return "a".to_string(),
        DeviceKind::Char => 'c',
        DeviceKind::Block => 'b',
    };
    format!("{kind} {}:{} {}", number(rule.major), number(rule.minor), rule.access)
}

fn max_or(value: i64) -> String {
    if value <= 0 { "max".to_string() } else { value.to_string() }
}

fn v2_plan(
    layout: &Layout,
    cgroup: &str,
    r: &Resources,
    rules: &[DeviceRule],
) -> Result<CgroupPlan> {
    let dir = layout.dir("", cgroup).ok_or_else(|| Error::invalid("no cgroup2 mount"))?;
    Ok(CgroupPlan {
        dirs: vec![dir.clone()],
        writes: v2_writes(&dir, r)?,
        procs: Vec::new(),
        unified: Some(dir),
        device_program: rules.to_vec(),
    })
}

pub(super) fn v2_writes(dir: &Path, r: &Resources) -> Result<Vec<Write>> {
    let mut out = Vec::new();
    let mut files = Files { dir, out: &mut out };
    files.set("memory.max", r.memory.map(max_or));
    files.set("memory.low", r.memory_reservation.map(max_or));
    files.try_set("memory.swap.max", v2_swap(r)?);
    files.set("cpu.weight", r.cpu_shares.filter(|s| *s != 0).map(weight_of_shares));
    files.set("cpu.max", v2_cpu_max(r));
    files.set("cpuset.cpus", r.cpuset_cpus.as_ref());
    files.set("cpuset.mems", r.cpuset_mems.as_ref());
    pids_max(&mut files, r);
    files.try_set("io.weight", r.blkio_weight.map(|w| 1 + (u64::from(w) - 10) * 9999 / 990));
    for Throttle { kind, major, minor, rate } in &r.blkio_throttle {
        let key = match kind {
            ThrottleKind::ReadBps => "rbps",
            ThrottleKind::WriteBps => "wbps",
            ThrottleKind::ReadIops => "riops",
            ThrottleKind::WriteIops => "wiops",
        };
        let rate = if *rate == 0 { "max".to_string() } else { rate.to_string() };
        files.set("io.max", Some(format!("{major}:{minor} {key}={rate}")));
    }
    for limit in &r.hugetlb {
        files.set(&format!("hugetlb.{}.max", limit.page_size), Some(limit.limit));
    }
    for (file, value) in &r.unified {
        if file.contains('/') {
            return Err(Error::invalid(format!("`{file}` is no cgroup file")));
        }
        files.set(file, Some(value));
    }
    Ok(out)
}

/// v2 counts swap alone, docker counts memory plus swap.
fn v2_swap(r: &Resources) -> Result<Option<String>> {
    let Some(both) = r.memory_swap else { return Ok(None) };
    match r.memory {
        _ if both <= 0 => Ok(Some("max".to_string())),
        Some(memory) if memory > 0 && memory <= both => Ok(Some((both - memory).to_string())),
        _ => {
            Err(Error::invalid("a memory and swap limit needs a memory limit that is not above it"))
        }
    }
}

/// Shares 2..262144 to weights 1..10000, linear.
fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

fn v2_cpu_max(r: &Resources) -> Option<String> {
    let period = r.cpu_period.unwrap_or(100_000);
    match (r.cpu_quota, r.cpu_period) {
        (None, None) => None,
        (Some(quota), _) if quota > 0 => Some(format!("{quota} {period}")),
        _ => Some(format!("max {period}")),
    }
}
