//! `/metrics/resource` and `/metrics/cadvisor` in Prometheus' text format (pkg/kubelet/metrics/collectors/
//! resource_metrics.go; cAdvisor `metrics/prometheus.go`, the families that dashboards and alerts read).

use super::summary::{rss, stat};
use super::{ContainerUse, Meter, NodeUse};
use std::collections::BTreeMap;
use std::fmt::Write;

/// One family: name, help, type, and its samples as `labels value`.
struct Family(&'static str, &'static str, &'static str, Vec<(String, f64)>);

pub(crate) fn resource(meter: &Meter) -> String {
    let (node, all) = (meter.machine(), meter.containers());
    let of = |value: fn(&ContainerUse) -> f64| -> Vec<(String, f64)> {
        all.iter().map(|c| (container_labels(c), value(c))).collect()
    };
    let pods = |value: fn(&ContainerUse) -> f64| by_pod(&all, value);
    let stable_cpu = "[STABLE] Cumulative cpu time consumed by the container in core-seconds";
    let stable_memory = "[STABLE] Current working set of the container in bytes";
    render(&[
        Family("container_cpu_usage_seconds_total", stable_cpu, "counter", of(cpu_secs)),
        Family("container_memory_working_set_bytes", stable_memory, "gauge", of(working_set)),
        Family(
            "container_start_time_seconds",
            "[STABLE] Start time of the container since unix epoch in seconds",
            "gauge",
            of(started),
        ),
        Family(
            "node_cpu_usage_seconds_total",
            "[STABLE] Cumulative cpu time consumed by the node in core-seconds",
            "counter",
            vec![(String::new(), node_cpu(&node))],
        ),
        Family(
            "node_memory_working_set_bytes",
            "[STABLE] Current working set of the node in bytes",
            "gauge",
            vec![(String::new(), node.working_set as f64)],
        ),
        Family(
            "pod_cpu_usage_seconds_total",
            "[STABLE] Cumulative cpu time consumed by the pod in core-seconds",
            "counter",
            pods(cpu_secs),
        ),
        Family(
            "pod_memory_working_set_bytes",
            "[STABLE] Current working set of the pod in bytes",
            "gauge",
            pods(working_set),
        ),
        Family(
            "resource_scrape_error",
            "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise",
            "gauge",
            vec![(String::new(), 0.0)],
        ),
    ])
}

/// What cAdvisor's families are made of.
static CADVISOR: &[(&str, &str, &str, fn(&ContainerUse) -> f64)] = &[
    (
        "container_cpu_usage_seconds_total",
        "Cumulative cpu time consumed in seconds.",
        "counter",
        cpu_secs,
    ),
    (
        "container_cpu_user_seconds_total",
        "Cumulative user cpu time consumed in seconds.",
        "counter",
        |c| c.stats.cpu.user as f64 / 1e9,
    ),
    (
        "container_cpu_system_seconds_total",
        "Cumulative system cpu time consumed in seconds.",
        "counter",
        |c| c.stats.cpu.system as f64 / 1e9,
    ),
    (
        "container_cpu_cfs_periods_total",
        "Number of elapsed enforcement period intervals.",
        "counter",
        |c| c.stats.cpu.periods as f64,
    ),
    (
        "container_cpu_cfs_throttled_periods_total",
        "Number of throttled period intervals.",
        "counter",
        |c| c.stats.cpu.throttled_periods as f64,
    ),
    (
        "container_cpu_cfs_throttled_seconds_total",
        "Total time duration the container has been throttled.",
        "counter",
        |c| c.stats.cpu.throttled as f64 / 1e9,
    ),
    (
        "container_memory_usage_bytes",
        "Current memory usage in bytes, including all memory regardless of when it was accessed",
        "gauge",
        |c| c.stats.memory.usage as f64,
    ),
    ("container_memory_working_set_bytes", "Current working set in bytes.", "gauge", working_set),
    ("container_memory_rss", "Size of RSS in bytes.", "gauge", |c| rss(c) as f64),
    ("container_memory_cache", "Number of bytes of page cache memory.", "gauge", |c| {
        stat(c, &["total_cache", "file"]) as f64
    }),
    ("container_memory_swap", "Container swap usage in bytes.", "gauge", |c| {
        stat(c, &["total_swap"]) as f64
    }),
    ("container_memory_failcnt", "Number of memory usage hits limits", "counter", |c| {
        c.stats.memory.failcnt as f64
    }),
    (
        "container_oom_events_total",
        "Count of out of memory events observed for the container",
        "counter",
        |c| c.stats.memory.oom_kills as f64,
    ),
    ("container_spec_memory_limit_bytes", "Memory limit for the container.", "gauge", |c| {
        if c.stats.memory.limit == u64::MAX { 0.0 } else { c.stats.memory.limit as f64 }
    }),
    ("container_fs_reads_bytes_total", "Cumulative count of bytes read", "counter", |c| {
        c.stats.io.iter().map(|i| i.read_bytes as f64).sum()
    }),
    ("container_fs_writes_bytes_total", "Cumulative count of bytes written", "counter", |c| {
        c.stats.io.iter().map(|i| i.write_bytes as f64).sum()
    }),
    ("container_processes", "Number of processes running inside the container.", "gauge", |c| {
        c.stats.pids.current as f64
    }),
    (
        "container_start_time_seconds",
        "Start time of the container since unix epoch in seconds.",
        "gauge",
        started,
    ),
    ("container_last_seen", "Last time a container was seen by the exporter", "gauge", |c| {
        (c.stats.at / 1_000_000_000) as f64
    }),
];

pub(crate) fn cadvisor(meter: &Meter) -> String {
    let (node, all) = (meter.machine(), meter.containers());
    let mut families: Vec<Family> = CADVISOR
        .iter()
        .map(|(name, help, kind, value)| {
            let rows = all.iter().map(|c| (cadvisor_labels(c), value(c))).collect();
            Family(name, help, kind, rows)
        })
        .collect();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let alone = |value: f64| vec![(String::new(), value)];
    families.push(Family(
        "machine_cpu_cores",
        "Number of logical CPU cores.",
        "gauge",
        alone(cores as f64),
    ));
    let memory = alone(node.memory.total as f64);
    families.push(Family(
        "machine_memory_bytes",
        "Amount of memory installed on the machine.",
        "gauge",
        memory,
    ));
    render(&families)
}

fn cpu_secs(c: &ContainerUse) -> f64 {
    c.stats.cpu.total as f64 / 1e9
}

fn working_set(c: &ContainerUse) -> f64 {
    c.stats.memory.working_set as f64
}

fn started(c: &ContainerUse) -> f64 {
    c.started.0 as f64 / 1e6
}

fn node_cpu(node: &NodeUse) -> f64 {
    node.sample.cpu_nanos as f64 / 1e9
}

fn by_pod(all: &[ContainerUse], value: fn(&ContainerUse) -> f64) -> Vec<(String, f64)> {
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    for c in all {
        let labels = format!("{{namespace=\"{}\",pod=\"{}\"}}", c.namespace, c.pod);
        *sums.entry(labels).or_default() += value(c);
    }
    sums.into_iter().collect()
}

/// Names of pods, namespaces and containers need no escapes.
fn container_labels(c: &ContainerUse) -> String {
    format!("{{container=\"{}\",namespace=\"{}\",pod=\"{}\"}}", c.container, c.namespace, c.pod)
}

fn cadvisor_labels(c: &ContainerUse) -> String {
    format!(
        "{{container=\"{}\",id=\"/kubepods/pod{}/{}\",image=\"{}\",name=\"{}\",namespace=\"{}\",pod=\"{}\"}}",
        c.container,
        c.uid,
        c.id,
        c.image.replace(['"', '\\', '\n'], ""),
        c.id,
        c.namespace,
        c.pod
    )
}

fn render(families: &[Family]) -> String {
    let mut out = String::new();
    for Family(name, help, kind, rows) in families.iter().filter(|f| !f.3.is_empty()) {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in rows {
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    }
    out
}
