//! What pods and the node use: counters of cgroups, read when somebody asks. Nothing polls, nothing is kept on disk.
//!
//! CPU is a rate, so a reading needs an earlier one. Readings of the last minute are kept in memory; the rate is
//! taken over at least [`WINDOW`] where there is a reading that old, else over what there is, and the object's
//! `window` says over how much.

mod objects;
mod samples;
pub(crate) mod summary;
pub(crate) mod text;

use crate::labels::{CONTAINER, POD_NAME, POD_NAMESPACE, POD_UID};
use engine::Engine;
use engine::pod::{PodContainerPhase, PodContainerSeen, PodFilter};
use meta::{Time, Value};
use samples::{Rate, Sample, Samples};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::View;

/// Clones share the readings.
#[derive(Clone)]
pub struct Meter(Arc<Shared>);

struct Shared {
    engine: Arc<Engine>,
    node: String,
    /// By container id; the machine's own under `""`.
    samples: Mutex<BTreeMap<String, Samples>>,
}

/// One running container of a pod at one moment.
pub(crate) struct ContainerUse {
    pub id: String,
    pub image: String,
    pub uid: String,
    pub namespace: String,
    pub pod: String,
    pub container: String,
    pub started: Time,
    pub stats: runtime::Stats,
    /// `None` before there are two readings.
    pub rate: Option<Rate>,
}

/// The machine at one moment.
pub(crate) struct NodeUse {
    pub sample: Sample,
    pub rate: Option<Rate>,
    pub working_set: u64,
    pub memory: MachineMemory,
}

/// Bytes, from `/proc/meminfo`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MachineMemory {
    pub total: u64,
    pub free: u64,
    pub available: u64,
    pub inactive_file: u64,
}

/// How far apart two readings are when a client waits for them.
const GLANCE: Duration = Duration::from_millis(200);

impl Meter {
    pub(crate) fn new(engine: Arc<Engine>, node: &str) -> Self {
        Self(Arc::new(Shared { engine, node: node.into(), samples: Mutex::default() }))
    }

    /// Sees to it that usage read next has a rate of now: reads twice when nobody has looked for a while.
    pub async fn refresh(&self) {
        let meter = self.clone();
        let look = move || (meter.machine().rate, meter.containers());
        let known = match tokio::task::spawn_blocking(look).await {
            Ok((machine, all)) => machine.is_some() && all.iter().all(|c| c.rate.is_some()),
            // The reading panicked and was printed; waiting would not help.
            Err(_) => true,
        };
        if !known {
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Every running container of every pod, read now.
    pub(crate) fn containers(&self) -> Vec<ContainerUse> {
        let all = self.0.engine.list_pod_containers(&PodFilter::default());
        let running: Vec<_> =
            all.into_iter().filter(|c| c.phase == PodContainerPhase::Running).collect();
        let mut samples = self.0.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.retain(|id, _| id.is_empty() || running.iter().any(|c| c.id == *id));
        running.iter().filter_map(|seen| self.container(seen, &mut samples)).collect()
    }

    fn container(
        &self,
        seen: &PodContainerSeen,
        samples: &mut BTreeMap<String, Samples>,
    ) -> Option<ContainerUse> {
        let stats = self.0.engine.pod_stats(&seen.id).ok()?;
        let started = Time(seen.started.0 / 1000);
        let now = Sample { at: Time(stats.at / 1000), cpu_nanos: stats.cpu.total };
        let born = Sample { at: started, cpu_nanos: 0 };
        let kept = samples.entry(seen.id.clone()).or_insert_with(|| Samples::since(born, now.at));
        let rate = kept.rate(now);
        kept.keep(now);
        let label = |key: &str| seen.spec.labels.get(key).cloned().unwrap_or_default();
        Some(ContainerUse {
            id: seen.id.clone(),
            image: seen.spec.image.clone(),
            uid: label(POD_UID),
            namespace: label(POD_NAMESPACE),
            pod: label(POD_NAME),
            container: label(CONTAINER),
            started,
            stats,
            rate,
        })
    }

    pub(crate) fn machine(&self) -> NodeUse {
        let sample = Sample { at: client::now(), cpu_nanos: machine_cpu() };
        let mut all = self.0.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.entry(String::new()).or_default();
        let rate = kept.rate(sample);
        kept.keep(sample);
        let memory = machine_memory();
        let used = memory.total.saturating_sub(memory.free);
        // As the root cgroup counts it: everything but what the kernel can take back at once.
        let working_set = used.saturating_sub(memory.inactive_file);
        NodeUse { sample, rate, working_set, memory }
    }
}

impl api::Usage for Meter {
    fn objects(&self, view: &View) -> Vec<Value> {
        let mut all = objects::pods(view, &self.containers());
        all.extend(objects::node(view, &self.0.node, &self.machine()));
        all
    }
}

/// Nanoseconds that all CPUs were busy since the machine started (`/proc/stat`: all but idle and iowait).
fn machine_cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // Guest time is in user time already.
    let busy: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|i| ticks.get(*i)).sum();
    busy * (1_000_000_000 / TICKS_PER_SEC)
}

/// `USER_HZ`: the same on every Linux that Rust's targets know.
const TICKS_PER_SEC: u64 = 100;

fn machine_memory() -> MachineMemory {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    };
    MachineMemory {
        total: bytes("MemTotal"),
        free: bytes("MemFree"),
        available: bytes("MemAvailable"),
        inactive_file: bytes("Inactive(file)"),
    }
}
