//! `/stats/summary` (kubelet `pkg/apis/stats/v1alpha1`): cgroups, links and disks, measured for the answer.

use super::{ContainerUse, Meter, NodeUse};
use crate::config::NodeConfig;
use crate::labels::POD_UID;
use crate::meter::samples::Rate;
use engine::Engine;
use engine::pod::{PodFilter, SandboxSeen};
use meta::{Time, Value};
use net::{LinkStats, Netns};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// How much a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Everything,
    /// `only_cpu_and_memory=true`
    CpuAndMemory,
}

/// Where things lie.
struct Place<'a> {
    engine: &'a Engine,
    config: &'a NodeConfig,
}

/// Blocks: it walks the writable layers and volumes when everything is wanted.
pub(crate) fn summary(
    meter: &Meter,
    engine: &Arc<Engine>,
    config: &NodeConfig,
    wanted: Wanted,
) -> Value {
    let node = meter.machine();
    let containers = meter.containers();
    let sandboxes = engine.list_sandboxes(&PodFilter::default());
    let mut by_pod: BTreeMap<&str, Vec<&ContainerUse>> = BTreeMap::new();
    for one in &containers {
        by_pod.entry(&one.uid).or_default().push(one);
    }
    let pods: Vec<Value> = by_pod
        .iter()
        .map(|(uid, containers)| {
            let sandbox =
                sandboxes.iter().rfind(|s| s.spec.labels.get(POD_UID).is_some_and(|u| u == uid));
            pod(&Place { engine, config }, containers, sandbox, wanted)
        })
        .collect();
    json!({ "node": of_node(&config.name, &node, config, wanted), "pods": pods })
}

fn of_node(name: &str, used: &NodeUse, config: &NodeConfig, wanted: Wanted) -> Value {
    let at = used.sample.at;
    let mut out = json!({
        "nodeName": name,
        "startTime": boot_time().rfc3339(),
        "cpu": cpu(at, used.sample.cpu_nanos, used.rate),
        "memory": {
            "time": at.rfc3339(),
            "availableBytes": used.memory.total.saturating_sub(used.working_set),
            "usageBytes": used.memory.total.saturating_sub(used.memory.free),
            "workingSetBytes": used.working_set,
        },
    });
    if wanted == Wanted::Everything {
        let fs = file_system(&config.data_dir, at);
        out["runtime"] = json!({ "imageFs": fs.clone(), "containerFs": fs.clone() });
        out["fs"] = fs;
        out["rlimit"] = json!({
            "time": at.rfc3339(),
            "maxpid": number("/proc/sys/kernel/pid_max"),
            "curproc": processes(),
        });
        if let Ok(links) = Netns::current().and_then(|netns| net::stats(&netns)) {
            out["network"] = network(&links, at);
        }
    }
    out
}

fn pod(
    place: &Place<'_>,
    containers: &[&ContainerUse],
    sandbox: Option<&SandboxSeen>,
    wanted: Wanted,
) -> Value {
    let Some(first) = containers.first() else { return Value::Null };
    let config = place.config;
    let at = Time(first.stats.at / 1000);
    let sum = |of: fn(&ContainerUse) -> u64| containers.iter().map(|c| of(c)).sum::<u64>();
    let rates: Option<Vec<Rate>> = containers.iter().map(|c| c.rate).collect();
    let rate = rates.and_then(|all| {
        let window = all.first()?.window;
        Some(Rate { nanos_per_sec: all.iter().map(|r| r.nanos_per_sec).sum(), window })
    });
    let started = sandbox.map_or(first.started, |s| Time(s.created.0 / 1000));
    let mut out = json!({
        "podRef": { "name": first.pod, "namespace": first.namespace, "uid": first.uid },
        "startTime": started.rfc3339(),
        "containers": containers.iter().map(|c| container(place, c, wanted)).collect::<Vec<_>>(),
        "cpu": cpu(at, sum(|c| c.stats.cpu.total), rate),
        "memory": {
            "time": at.rfc3339(),
            "usageBytes": sum(|c| c.stats.memory.usage),
            "workingSetBytes": sum(|c| c.stats.memory.working_set),
            "rssBytes": sum(rss),
            "pageFaults": sum(|c| stat(c, &["total_pgfault", "pgfault"])),
            "majorPageFaults": sum(|c| stat(c, &["total_pgmajfault", "pgmajfault"])),
        },
        "process_stats": { "process_count": sum(|c| c.stats.pids.current) },
    });
    if wanted == Wanted::Everything {
        let links = sandbox
            .and_then(|s| s.netns.as_deref())
            .and_then(|path| Netns::open(path).and_then(|netns| net::stats(&netns)).ok());
        if let Some(links) = links {
            out["network"] = network(&links, at);
        }
        disks(config, &first.uid, at, &mut out);
    }
    out
}

/// Volumes, and everything the pod keeps on the node's disk together.
fn disks(config: &NodeConfig, uid: &str, at: Time, out: &mut Value) {
    let volumes = config.volume_dir(uid, "");
    let mut total = crate::disk::used(&config.pod_dir(uid).join("logs"));
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(&volumes).into_iter().flatten().flatten() {
        let used = crate::disk::used(&entry.path());
        total += used;
        let mut row = file_system(&entry.path(), at);
        row["usedBytes"] = used.into();
        row["name"] = entry.file_name().to_string_lossy().into_owned().into();
        rows.push(row);
    }
    let layers = out["containers"].as_array().into_iter().flatten();
    total += layers.filter_map(|c| c["rootfs"]["usedBytes"].as_u64()).sum::<u64>();
    let mut all = file_system(&config.data_dir, at);
    all["usedBytes"] = total.into();
    out["ephemeral-storage"] = all;
    out["volume"] = rows.into();
}

fn layer(engine: &Engine, id: &str) -> u64 {
    engine.images.snapshots().usage(id).map_or(0, |usage| usage.bytes)
}

fn container(place: &Place<'_>, one: &ContainerUse, wanted: Wanted) -> Value {
    let config = place.config;
    let at = Time(one.stats.at / 1000);
    let memory = &one.stats.memory;
    let mut out = json!({
        "name": one.container,
        "startTime": one.started.rfc3339(),
        "cpu": cpu(at, one.stats.cpu.total, one.rate),
        "memory": {
            "time": at.rfc3339(),
            "usageBytes": memory.usage,
            "workingSetBytes": memory.working_set,
            "rssBytes": rss(one),
            "pageFaults": stat(one, &["total_pgfault", "pgfault"]),
            "majorPageFaults": stat(one, &["total_pgmajfault", "pgmajfault"]),
        },
    });
    if memory.limit != u64::MAX {
        out["memory"]["availableBytes"] = memory.limit.saturating_sub(memory.working_set).into();
    }
    if wanted == Wanted::Everything {
        let mut rootfs = file_system(&config.data_dir, at);
        let mut logs = rootfs.clone();
        rootfs["usedBytes"] = layer(place.engine, &one.id).into();
        logs["usedBytes"] =
            crate::disk::used(&config.pod_dir(&one.uid).join("logs").join(&one.container)).into();
        out["rootfs"] = rootfs;
        out["logs"] = logs;
    }
    out
}

fn cpu(at: Time, total: u64, rate: Option<Rate>) -> Value {
    let mut out = json!({ "time": at.rfc3339(), "usageCoreNanoSeconds": total });
    if let Some(rate) = rate {
        out["usageNanoCores"] = rate.nanos_per_sec.into();
    }
    out
}

/// The first of these names that `memory.stat` has: v1's, then v2's.
pub(crate) fn stat(one: &ContainerUse, names: &[&str]) -> u64 {
    names.iter().find_map(|name| one.stats.memory.stat.get(*name).copied()).unwrap_or(0)
}

pub(crate) fn rss(one: &ContainerUse) -> u64 {
    stat(one, &["total_rss", "anon"])
}

fn network(links: &[LinkStats], at: Time) -> Value {
    let one = |link: &LinkStats| {
        json!({
            "name": link.ifname,
            "rxBytes": link.rx_bytes,
            "rxErrors": link.rx_errors,
            "txBytes": link.tx_bytes,
            "txErrors": link.tx_errors,
        })
    };
    let default = links.iter().find(|link| link.ifname == "eth0").or(links.first());
    let mut out = default.map_or_else(|| json!({}), one);
    out["time"] = at.rfc3339().into();
    out["interfaces"] = links.iter().map(one).collect();
    out
}

fn file_system(path: &Path, at: Time) -> Value {
    let Some(space) = crate::disk::space(path) else { return json!({ "time": at.rfc3339() }) };
    json!({
        "time": at.rfc3339(),
        "availableBytes": space.available,
        "capacityBytes": space.capacity,
        "usedBytes": space.capacity.saturating_sub(space.free),
        "inodesFree": space.inodes_free,
        "inodes": space.inodes,
        "inodesUsed": space.inodes.saturating_sub(space.inodes_free),
    })
}

fn boot_time() -> Time {
    let up = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let secs: f64 = up.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default();
    client::now().plus_secs(-(secs as i64))
}

fn number(path: &str) -> u64 {
    std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Processes and threads of the machine, from `/proc/loadavg` (`running/all`).
fn processes() -> u64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let all = text.split(' ').nth(3).and_then(|pair| pair.split('/').nth(1));
    all.and_then(|n| n.parse().ok()).unwrap_or(0)
}
