//! What the engine and the pod's directory show of one pod.

use crate::config::NodeConfig;
use crate::labels::{self, ATTEMPT, CONTAINER, CRASHES, POD_UID, SPEC_HASH};
use engine::Engine;
use engine::pod::{PodContainerPhase, PodContainerSeen, PodFilter};
use kubelet::{ContainerPhase, ContainerSeen, PodSeen, SandboxSeen, VolumesSeen};
use meta::Time;
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// Sandboxes, containers and volumes; probes, hooks and failures are the worker's to add.
pub(crate) fn observe(engine: &Arc<Engine>, config: &NodeConfig, uid: &str) -> PodSeen {
    let filter = PodFilter {
        labels: BTreeMap::from([(POD_UID.to_string(), uid.to_string())]),
        ..PodFilter::default()
    };
    let mut sandboxes: Vec<SandboxSeen> = engine
        .list_sandboxes(&filter)
        .into_iter()
        .map(|s| SandboxSeen { id: s.id, ready: s.ready, ips: s.ips, created: time(s.created) })
        .collect();
    sandboxes.sort_by_key(|s| s.created);
    let mut containers: Vec<ContainerSeen> =
        engine.list_pod_containers(&filter).iter().map(|c| container(config, uid, c)).collect();
    containers.sort_by_key(|c| (c.created, c.attempt));
    let ready = config.volumes_ready(uid).exists();
    let volumes = if ready { VolumesSeen::Ready } else { VolumesSeen::Absent };
    PodSeen { sandboxes, containers, volumes, ..PodSeen::default() }
}

fn time(stamp: engine::time::Stamp) -> Time {
    Time(stamp.0 / 1000)
}

fn container(config: &NodeConfig, uid: &str, seen: &PodContainerSeen) -> ContainerSeen {
    let labels = &seen.spec.labels;
    let name = labels.get(CONTAINER).cloned().unwrap_or_default();
    let attempt = labels::number(labels, ATTEMPT);
    let exited = seen.phase == PodContainerPhase::Exited;
    let message = config.termination_path(uid, &name, attempt);
    let log = config.log_path(uid, &name, attempt);
    ContainerSeen {
        id: seen.id.clone(),
        sandbox: seen.sandbox.clone(),
        attempt,
        crashes: labels::number(labels, CRASHES),
        image: seen.spec.image.clone(),
        image_id: seen.image_id.clone(),
        phase: match seen.phase {
            PodContainerPhase::Created => ContainerPhase::Created,
            PodContainerPhase::Running => ContainerPhase::Running,
            PodContainerPhase::Exited => ContainerPhase::Exited,
        },
        created: time(seen.created),
        started: (seen.phase != PodContainerPhase::Created).then(|| time(seen.started)),
        finished: exited.then(|| time(seen.finished)),
        exit_code: seen.exit_code,
        oom_killed: seen.oom_killed,
        error: seen.error.clone(),
        termination_message: if exited { tail(&message, MESSAGE_MAX) } else { String::new() },
        log_tail: if exited && seen.exit_code != 0 { log_tail(&log) } else { String::new() },
        spec_hash: labels::number(labels, SPEC_HASH),
        limits: kubelet::CgroupLimits {
            cpu_shares: seen.spec.resources.cpu_shares,
            cpu_quota: seen.spec.resources.cpu_quota,
            cpu_period: seen.spec.resources.cpu_period,
            memory_bytes: seen.spec.resources.memory_bytes,
            oom_score_adj: seen.spec.resources.oom_score_adj,
        },
        name,
    }
}

/// Upstream's bounds of a termination message (`MaxContainerTerminationMessageLength` and `...LogLength`).
const MESSAGE_MAX: u64 = 4096;
const LOG_MAX: u64 = 2048;
const LOG_LINES: usize = 80;

/// The last bytes of a file as text; nothing when there is none.
fn tail(path: &Path, bytes: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(bytes)))?;
        let mut out = Vec::new();
        file.take(bytes).read_to_end(&mut out)?;
        Ok(out)
    };
    read().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The last lines of a log in the CRI's format, without what the format adds.
fn log_tail(path: &Path) -> String {
    let raw = tail(path, LOG_MAX * 2);
    let lines: Vec<&str> = raw.lines().collect();
    let from = lines.len().saturating_sub(LOG_LINES);
    let mut out = String::new();
    for line in &lines[from..] {
        let mut parts = line.splitn(4, ' ');
        let (flag, text) = (parts.nth(2), parts.next().unwrap_or_default());
        out.push_str(text);
        if flag == Some("F") {
            out.push('\n');
        }
    }
    out
}
