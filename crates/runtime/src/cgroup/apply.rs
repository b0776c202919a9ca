//! Carries a [`CgroupPlan`] out, and removes what it made.

use super::{CgroupPlan, Layout, Write, plan};
use crate::error::{Error, Result};
use crate::resources::Resources;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Makes the directories; on v2 also hands the controllers down to them.
pub fn make(layout: &Layout, plan: &CgroupPlan) -> Result<()> {
    for dir in &plan.dirs {
        fs::create_dir_all(dir).map_err(|e| Error::kernel("make cgroup", dir.display(), &e))?;
    }
    if let (Some(dir), Some((root, controllers))) = (&plan.unified, &layout.unified) {
        delegate(root, dir, controllers);
        if !plan.device_program.is_empty() {
            super::bpf::attach(dir, &plan.device_program)
                .map_err(|e| Error::kernel("set device rules of", dir.display(), &e))?;
        }
    }
    for dir in &plan.dirs {
        if dir.join("cpuset.mems").exists() && plan.unified.is_none() {
            inherit_cpuset(dir)?;
        }
    }
    Ok(())
}

/// Enables every controller in each ancestor of `dir`. A controller that cannot be enabled shows
/// as a missing file when a limit needs it.
fn delegate(root: &Path, dir: &Path, controllers: &[String]) {
    let mut ancestors: Vec<&Path> =
        dir.ancestors().skip(1).take_while(|a| a.starts_with(root)).collect();
    ancestors.reverse();
    for ancestor in ancestors {
        for controller in controllers {
            let _ = fs::write(ancestor.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
}

/// A new v1 cpuset is empty and takes no process: copy the parent's, parents first.
fn inherit_cpuset(dir: &Path) -> Result<()> {
    let Some(parent) = dir.parent().filter(|p| p.join("cpuset.mems").exists()) else {
        return Ok(());
    };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let fail = |e| Error::kernel("inherit", dir.join(file).display(), &e);
        if !fs::read_to_string(dir.join(file)).map_err(fail)?.trim().is_empty() {
            continue;
        }
        inherit_cpuset(parent)?;
        let value = fs::read_to_string(parent.join(file)).map_err(fail)?;
        fs::write(dir.join(file), value.trim()).map_err(fail)?;
    }
    Ok(())
}

/// Writes limits; returns warnings for the optional ones this kernel refuses.
pub fn write_all(writes: &[Write]) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for Write { file, value, optional } in writes {
        match fs::write(file, value) {
            Ok(()) => {}
            Err(cause) if *optional => {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let cause = crate::errno::text(&cause);
                warnings.push(format!("cgroup limit `{name}` left out: {cause}"));
            }
            Err(e) => {
                let what = format!("{value}` to `{}", file.display());
                return Err(Error::kernel("write cgroup limit", what, &e));
            }
        }
    }
    Ok(warnings)
}

/// Changes the limits of a live cgroup.
pub fn update(layout: &Layout, cgroup: &str, resources: &Resources) -> Result<Vec<String>> {
    let plan = plan(layout, cgroup, resources, &[])?;
    let mut writes = plan.writes;
    let both = (resources.memory, resources.memory_swap);
    if let (Some(memory), Some(_), Some(dir)) = (both.0, both.1, layout.dir("memory", cgroup)) {
        order_memory(&mut writes, &dir, memory);
    }
    write_all(&writes)
}

/// v1 refuses a memory limit above the swap limit in force: raise the swap limit first.
fn order_memory(writes: &mut [Write], dir: &Path, memory: i64) {
    let limit = fs::read_to_string(dir.join("memory.memsw.limit_in_bytes")).unwrap_or_default();
    let limit = limit.trim().parse::<i64>().unwrap_or(i64::MAX);
    let at = |name: &str| writes.iter().position(|w| w.file.ends_with(name));
    let memory_at = at("memory.limit_in_bytes");
    let swap_at = at("memory.memsw.limit_in_bytes");
    if let (Some(a), Some(b)) = (memory_at, swap_at)
        && (memory < 0 || memory > limit)
    {
        writes.swap(a, b);
    }
}

/// Moves the calling process in.
pub fn join(procs: &[PathBuf]) -> Result<()> {
    for file in procs {
        fs::write(file, "0").map_err(|e| Error::kernel("join cgroup", file.display(), &e))?;
    }
    Ok(())
}

/// SIGKILL to everything inside; how many processes were found.
pub fn kill(layout: &Layout, cgroup: &str) -> usize {
    let below = cgroup.trim_start_matches('/');
    let unified = layout.unified.as_ref().map(|(root, _)| root.join(below));
    if let Some(dir) = unified.filter(|_| layout.is_v2())
        && fs::write(dir.join("cgroup.kill"), "1").is_ok()
    {
        return pids(layout, cgroup).len();
    }
    let pids = pids(layout, cgroup);
    for pid in &pids {
        let _ = crate::sys::process::kill(*pid, libc::SIGKILL);
    }
    pids.len()
}

/// Every process in the cgroup and below it.
pub fn pids(layout: &Layout, cgroup: &str) -> Vec<i32> {
    let mut out = Vec::new();
    for controller in ["pids", "memory", "freezer"] {
        if let Some(dir) = layout.dir(controller, cgroup) {
            collect_pids(&dir, &mut out);
        }
    }
    out.sort_unstable();
    out.dedup();
    out
}

fn collect_pids(dir: &Path, out: &mut Vec<i32>) {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    out.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    for child in children(dir) {
        collect_pids(&child, out);
    }
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Removes the cgroup in every hierarchy, with what the container made below it.
/// `Ok(false)` means that a dying process still sits in one: try again.
pub fn remove(layout: &Layout, cgroup: &str) -> Result<bool> {
    let mut done = true;
    for dir in layout.dirs(cgroup) {
        done &= remove_tree(&dir).map_err(|e| Error::kernel("remove cgroup", dir.display(), &e))?;
    }
    Ok(done)
}

fn remove_tree(dir: &Path) -> io::Result<bool> {
    match fs::remove_dir(dir) {
        Ok(()) => return Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(e) if e.raw_os_error() != Some(libc::EBUSY) => return Err(e),
        Err(_) => {}
    }
    for child in children(dir) {
        remove_tree(&child)?;
    }
    match fs::remove_dir(dir) {
        Ok(()) => Ok(true),
        Err(e) if e.raw_os_error() == Some(libc::EBUSY) => Ok(false),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(e),
    }
}
