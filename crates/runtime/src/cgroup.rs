//! cgroups: where they are mounted, what a container's limits become, statistics.
//!
//! The layout is read from the mount table once: pure v2, pure v1, or v1 with a v2 mount beside
//! it that offers leftovers (hybrid). Which files get which values is decided purely
//! ([`plan`]); only [`apply`] touches the file system.

pub mod apply;
pub mod bpf;
pub mod freeze;
mod plan;
pub mod stats;
#[cfg(test)]
mod tests;

pub use plan::{CgroupPlan, Write, plan};

use std::path::{Path, PathBuf};

/// The hierarchies of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// Mount point of cgroup2 and the controllers it offers.
    pub unified: Option<(PathBuf, Vec<String>)>,
    /// v1: controller name to mount point; several may share one.
    pub v1: Vec<(String, PathBuf)>,
}

impl Layout {
    pub fn detect() -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self::parse(&mounts, |root| {
            std::fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default()
        })
    }

    /// From the text of mountinfo; `controllers` reads `cgroup.controllers` of a v2 root.
    pub fn parse(mountinfo: &str, controllers: impl Fn(&Path) -> String) -> Self {
        let mut layout = Self::default();
        for line in mountinfo.lines() {
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let Some(point) = left.split(' ').nth(4) else { continue };
            let point = PathBuf::from(point);
            let mut right = right.split(' ');
            match (right.next(), right.nth(1)) {
                (Some("cgroup2"), _) if layout.unified.is_none() => {
                    let list = controllers(&point);
                    let list = list.split_whitespace().map(str::to_string).collect();
                    layout.unified = Some((point, list));
                }
                (Some("cgroup"), Some(options)) => layout.add_v1(&point, options),
                _ => {}
            }
        }
        layout
    }

    fn add_v1(&mut self, point: &Path, options: &str) {
        for option in options.split(',') {
            let known = V1_CONTROLLERS.contains(&option);
            if known && self.v1_root(option).is_none() {
                self.v1.push((option.to_string(), point.to_path_buf()));
            }
        }
    }

    pub fn v1_root(&self, controller: &str) -> Option<&Path> {
        self.v1.iter().find(|(name, _)| name == controller).map(|(_, root)| root.as_path())
    }

    /// Whether limits are set through cgroup2.
    pub fn is_v2(&self) -> bool {
        self.v1.is_empty() && self.unified.is_some()
    }

    /// The directory of a cgroup in the hierarchy of `controller`.
    pub fn dir(&self, controller: &str, cgroup: &str) -> Option<PathBuf> {
        let below = cgroup.trim_start_matches('/');
        if let Some(root) = self.v1_root(controller) {
            return Some(root.join(below));
        }
        let (root, _) = self.unified.as_ref()?;
        self.is_v2().then(|| root.join(below))
    }

    /// Every directory a container of this cgroup path may have, each once.
    pub fn dirs(&self, cgroup: &str) -> Vec<PathBuf> {
        let below = cgroup.trim_start_matches('/');
        let unified = self.unified.iter().map(|(root, _)| root);
        let mut out: Vec<PathBuf> =
            self.v1.iter().map(|(_, root)| root).chain(unified).map(|r| r.join(below)).collect();
        out.sort();
        out.dedup();
        out
    }
}

const V1_CONTROLLERS: &[&str] = &[
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "hugetlb",
    "net_cls",
    "net_prio",
    "perf_event",
    "rdma",
    "misc",
];
