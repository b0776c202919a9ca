//! What the kernel says of a process: memory, processor time, context switches.

use std::fs;
use std::time::Duration;

/// Resident memory in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    pub resident: u64,
    /// The part that is the process's own: without pages of files.
    pub own: u64,
}

/// Clock ticks a second in `/proc/PID/stat`: fixed on every Linux we know.
const TICKS: u64 = 100;

/// # Errors
/// When there is no such process.
pub fn memory(pid: u32) -> Result<Memory, String> {
    let status = status(pid)?;
    let bytes = |name| field(&status, name).map_or(0, |kib| kib * 1024);
    Ok(Memory { resident: bytes("VmRSS:"), own: bytes("RssAnon:") })
}

/// Memory of a process and all it started.
///
/// # Errors
/// When there is no such process.
pub fn memory_of_all(pid: u32) -> Result<Memory, String> {
    let mut all = memory(pid)?;
    for child in descendants(pid) {
        let more = memory(child).unwrap_or_default();
        all = Memory { resident: all.resident + more.resident, own: all.own + more.own };
    }
    Ok(all)
}

/// Processor time used so far, in user and kernel, to a hundredth of a second.
///
/// # Errors
/// When there is no such process.
pub fn processor(pid: u32) -> Result<Duration, String> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).map_err(|e| format!("read {path}: {e}"))?;
    // The name in parentheses may hold spaces.
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u64 = rest.split(' ').skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}

/// How often its threads have slept or were interrupted so far: what an idle process should not do.
///
/// # Errors
/// When there is no such process.
pub fn switches(pid: u32) -> Result<u64, String> {
    let dir = format!("/proc/{pid}/task");
    let tasks = fs::read_dir(&dir).map_err(|e| format!("read {dir}: {e}"))?;
    let of = |path: std::path::PathBuf| {
        let status = fs::read_to_string(path.join("status")).unwrap_or_default();
        let both = ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"];
        both.iter().filter_map(|name| field(&status, name)).sum::<u64>()
    };
    Ok(tasks.flatten().map(|task| of(task.path())).sum())
}

fn status(pid: u32) -> Result<String, String> {
    let path = format!("/proc/{pid}/status");
    fs::read_to_string(&path).map_err(|e| format!("read {path}: {e}"))
}

fn field(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn descendants(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(path).unwrap_or_default();
    let children: Vec<u32> = children.split_whitespace().filter_map(|c| c.parse().ok()).collect();
    let below: Vec<u32> = children.iter().flat_map(|child| descendants(*child)).collect();
    children.into_iter().chain(below).collect()
}
