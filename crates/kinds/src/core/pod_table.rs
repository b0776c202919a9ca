//! `kubectl get pods`: printPod.

use super::pod::{is_sidecar, ready};
use crate::Column;
use crate::table::{AGE, NAME, age, at, col, duration, int, list, name, text, text_or, wide};
use meta::{Time, Value};

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    col("Ready", "string", "The aggregate readiness state of this pod for accepting traffic."),
    col("Status", "string", "The aggregate status of the containers in this pod."),
    col(
        "Restarts",
        "string",
        "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
    ),
    AGE,
    wide("IP", "string", ""),
    wide("Node", "string", ""),
    wide("Nominated Node", "string", ""),
    wide("Readiness Gates", "string", ""),
];

/// What the walk over the container statuses gathers.
#[derive(Default)]
struct Tally {
    reason: String,
    restarts: i64,
    last_restart: Option<Time>,
    sidecar_restarts: i64,
    last_sidecar_restart: Option<Time>,
    ready: usize,
    total: usize,
}

pub(super) fn cells(v: &Value, now: Time) -> Vec<Value> {
    let tally = tally(v);
    let mut restarts = tally.restarts.to_string();
    if let (true, Some(last)) = (tally.restarts != 0, tally.last_restart) {
        restarts = format!("{} ({} ago)", tally.restarts, duration(now.ms_since(last) / 1000));
    }
    let ip = list(v, "status.podIPs").first().map(|ip| text(ip, "ip"));
    let ip = ip.unwrap_or_else(|| text(v, "status.podIP"));
    vec![
        name(v),
        format!("{}/{}", tally.ready, tally.total).into(),
        tally.reason.into(),
        restarts.into(),
        age(v, now),
        crate::table::none_if_empty(ip),
        text_or(v, "spec.nodeName", "<none>").into(),
        text_or(v, "status.nominatedNodeName", "<none>").into(),
        gates(v),
    ]
}

fn tally(v: &Value) -> Tally {
    let mut tally =
        Tally { reason: text_or(v, "status.reason", &text(v, "status.phase")), ..Tally::default() };
    tally.total = list(v, "spec.containers").len();
    let gated = list(v, "status.conditions")
        .iter()
        .any(|c| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated");
    if gated {
        tally.reason = "SchedulingGated".into();
    }
    let initializing = init(v, &mut tally);
    if !initializing || initialized(v) {
        main(v, &mut tally);
    }
    if at(v, "metadata.deletionTimestamp").is_some() {
        let phase = text(v, "status.phase");
        if text(v, "status.reason") == "NodeLost" {
            tally.reason = "Unknown".into();
        } else if !matches!(phase.as_str(), "Failed" | "Succeeded") {
            tally.reason = "Terminating".into();
        }
    }
    tally
}

fn initialized(v: &Value) -> bool {
    list(v, "status.conditions").iter().any(|c| c["type"] == "Initialized" && c["status"] == "True")
}

/// Walks the init containers; true while one of them is not done.
fn init(v: &Value, tally: &mut Tally) -> bool {
    let specs = list(v, "spec.initContainers");
    let sidecar = |name: &Value| specs.iter().any(|c| c["name"] == *name && is_sidecar(c));
    tally.total += specs.iter().filter(|c| is_sidecar(c)).count();
    for (i, status) in list(v, "status.initContainerStatuses").iter().enumerate() {
        tally.restarts += int(status, "restartCount");
        later(&mut tally.last_restart, status);
        let is_sidecar = sidecar(&status["name"]);
        if is_sidecar {
            tally.sidecar_restarts += int(status, "restartCount");
            later(&mut tally.last_sidecar_restart, status);
        }
        let terminated = at(status, "state.terminated");
        if terminated.is_some_and(|t| int(t, "exitCode") == 0) {
            continue;
        }
        if is_sidecar && status["started"] == true {
            tally.ready += usize::from(ready(status));
            continue;
        }
        let waiting = text(status, "state.waiting.reason");
        tally.reason = match terminated {
            Some(terminated) => format!("Init:{}", ended(terminated)),
            None if !waiting.is_empty() && waiting != "PodInitializing" => {
                format!("Init:{waiting}")
            }
            None => format!("Init:{i}/{}", specs.len()),
        };
        return true;
    }
    false
}

fn main(v: &Value, tally: &mut Tally) {
    (tally.restarts, tally.last_restart) = (tally.sidecar_restarts, tally.last_sidecar_restart);
    let mut running = false;
    for status in list(v, "status.containerStatuses").iter().rev() {
        tally.restarts += int(status, "restartCount");
        later(&mut tally.last_restart, status);
        let waiting = text(status, "state.waiting.reason");
        if !waiting.is_empty() {
            tally.reason = waiting;
        } else if let Some(terminated) = at(status, "state.terminated") {
            tally.reason = ended(terminated);
        } else if ready(status) && at(status, "state.running").is_some() {
            running = true;
            tally.ready += 1;
        }
    }
    if tally.reason == "Completed" && running {
        tally.reason = if super::pod::is_ready(v) { "Running".into() } else { "NotReady".into() };
    }
}

fn ended(terminated: &Value) -> String {
    match (text(terminated, "reason"), int(terminated, "signal")) {
        (reason, _) if !reason.is_empty() => reason,
        (_, 0) => format!("ExitCode:{}", int(terminated, "exitCode")),
        (_, signal) => format!("Signal:{signal}"),
    }
}

fn later(last: &mut Option<Time>, status: &Value) {
    let at = Time::parse(&text(status, "lastState.terminated.finishedAt"));
    *last = (*last).max(at);
}

fn gates(v: &Value) -> Value {
    let gates = list(v, "spec.readinessGates");
    if gates.is_empty() {
        return "<none>".into();
    }
    let conditions = list(v, "status.conditions");
    let met = |gate: &&Value| {
        conditions.iter().any(|c| c["type"] == gate["conditionType"] && c["status"] == "True")
    };
    format!("{}/{}", gates.iter().filter(met).count(), gates.len()).into()
}
