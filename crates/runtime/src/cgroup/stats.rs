//! Statistics from the files of a cgroup.

use super::Layout;
use crate::seen::{CpuStats, IoStats, MemoryStats, PidsStats, Stats};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Missing files count as zero: a cgroup may vanish while it is read.
pub fn read(layout: &Layout, cgroup: &str) -> Stats {
    let dir = |controller: &str| layout.dir(controller, cgroup).unwrap_or_default();
    let at = crate::sys::now();
    let pids = pids(&dir("pids"));
    match layout.is_v2() {
        true => {
            let dir = dir("");
            Stats { at, cpu: v2_cpu(&dir), memory: v2_memory(&dir), pids, io: v2_io(&dir) }
        }
        false => Stats {
            at,
            cpu: v1_cpu(&dir("cpuacct"), &dir("cpu")),
            memory: v1_memory(&dir("memory")),
            pids,
            io: v1_io(&dir("blkio")),
        },
    }
}

/// How often the kernel killed here for memory.
pub fn oom_kills(layout: &Layout, cgroup: &str) -> u64 {
    let Some(dir) = layout.dir("memory", cgroup) else { return 0 };
    let file = if layout.is_v2() { "memory.events" } else { "memory.oom_control" };
    pairs(&dir, file).remove("oom_kill").unwrap_or(0)
}

fn text(dir: &Path, file: &str) -> String {
    fs::read_to_string(dir.join(file)).unwrap_or_default()
}

fn number(dir: &Path, file: &str) -> Option<u64> {
    match text(dir, file).trim() {
        "max" => Some(u64::MAX),
        other => other.parse().ok(),
    }
}

/// `name number` lines.
fn pairs(dir: &Path, file: &str) -> BTreeMap<String, u64> {
    text(dir, file)
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, value)| Some((name.to_string(), value.trim().parse().ok()?)))
        .collect()
}

fn pids(dir: &Path) -> PidsStats {
    let limit = number(dir, "pids.max").filter(|limit| *limit != u64::MAX);
    PidsStats { current: number(dir, "pids.current").unwrap_or(0), limit }
}

fn v1_cpu(acct: &Path, cpu: &Path) -> CpuStats {
    let throttle = pairs(cpu, "cpu.stat");
    let get = |name: &str| throttle.get(name).copied().unwrap_or(0);
    let one = |file| number(acct, file).unwrap_or(0);
    let per_cpu = text(acct, "cpuacct.usage_percpu");
    CpuStats {
        total: one("cpuacct.usage"),
        user: one("cpuacct.usage_user"),
        system: one("cpuacct.usage_sys"),
        periods: get("nr_periods"),
        throttled_periods: get("nr_throttled"),
        throttled: get("throttled_time"),
        per_cpu: per_cpu.split_whitespace().filter_map(|n| n.parse().ok()).collect(),
    }
}

fn v2_cpu(dir: &Path) -> CpuStats {
    let stat = pairs(dir, "cpu.stat");
    let get = |name: &str| stat.get(name).copied().unwrap_or(0);
    CpuStats {
        total: get("usage_usec") * 1000,
        user: get("user_usec") * 1000,
        system: get("system_usec") * 1000,
        periods: get("nr_periods"),
        throttled_periods: get("nr_throttled"),
        throttled: get("throttled_usec") * 1000,
        per_cpu: Vec::new(),
    }
}

fn v1_memory(dir: &Path) -> MemoryStats {
    let stat = pairs(dir, "memory.stat");
    let usage = number(dir, "memory.usage_in_bytes").unwrap_or(0);
    let inactive = stat.get("total_inactive_file").copied().unwrap_or(0);
    // v1 writes "no limit" as the largest page-aligned i64.
    let limit =
        number(dir, "memory.limit_in_bytes").filter(|limit| *limit < (i64::MAX as u64) - 8191);
    MemoryStats {
        usage,
        max_usage: number(dir, "memory.max_usage_in_bytes"),
        limit: limit.unwrap_or(u64::MAX),
        failcnt: number(dir, "memory.failcnt").unwrap_or(0),
        oom_kills: pairs(dir, "memory.oom_control").remove("oom_kill").unwrap_or(0),
        working_set: usage.saturating_sub(inactive),
        stat,
    }
}

fn v2_memory(dir: &Path) -> MemoryStats {
    let stat = pairs(dir, "memory.stat");
    let events = pairs(dir, "memory.events");
    let usage = number(dir, "memory.current").unwrap_or(0);
    let inactive = stat.get("inactive_file").copied().unwrap_or(0);
    MemoryStats {
        usage,
        max_usage: None,
        limit: number(dir, "memory.max").unwrap_or(u64::MAX),
        failcnt: events.get("max").copied().unwrap_or(0),
        oom_kills: events.get("oom_kill").copied().unwrap_or(0),
        working_set: usage.saturating_sub(inactive),
        stat,
    }
}

fn device(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn v1_io(dir: &Path) -> Vec<IoStats> {
    let mut out: BTreeMap<(u32, u32), IoStats> = BTreeMap::new();
    for file in ["blkio.throttle.io_service_bytes", "blkio.throttle.io_serviced"] {
        for line in text(dir, file).lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [name, operation, value] = words[..] else { continue };
            let (Some(id), Ok(value)) = (device(name), value.parse::<u64>()) else { continue };
            let stats =
                out.entry(id).or_insert(IoStats { major: id.0, minor: id.1, ..Default::default() });
            match (file.ends_with("bytes"), operation) {
                (true, "Read") => stats.read_bytes = value,
                (true, "Write") => stats.write_bytes = value,
                (false, "Read") => stats.reads = value,
                (false, "Write") => stats.writes = value,
                _ => {}
            }
        }
    }
    out.into_values().collect()
}

fn v2_io(dir: &Path) -> Vec<IoStats> {
    text(dir, "io.stat").lines().filter_map(v2_io_line).collect()
}

fn v2_io_line(line: &str) -> Option<IoStats> {
    let mut words = line.split(' ');
    let (major, minor) = device(words.next()?)?;
    let mut stats = IoStats { major, minor, ..Default::default() };
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        let value = value.parse().unwrap_or(0);
        match key {
            "rbytes" => stats.read_bytes = value,
            "wbytes" => stats.write_bytes = value,
            "rios" => stats.reads = value,
            "wios" => stats.writes = value,
            _ => {}
        }
    }
    Some(stats)
}
