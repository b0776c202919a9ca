//! One container's status.

use crate::backoff;
use crate::containers::{self, Standing};
use crate::plan::{Sight, Wanted};
use crate::probes;
use crate::resize::{self, Resize};
use crate::types::{ContainerKind, ContainerPhase, ContainerSeen, Failure, PodOp};
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus,
};

pub(crate) fn status(sight: &Sight<'_>, wanted: Wanted<'_>) -> ContainerStatus {
    let container = wanted.container;
    let latest = sight.latest(&container.name);
    let waiting = waiting(sight, wanted);
    let (state, last) = match (latest, waiting) {
        (Some(seen), Some(waiting)) => (waiting, Some(terminated(container, seen))),
        (Some(seen), None) => (present(container, seen), previous(sight, container, seen)),
        (None, waiting) => (waiting.unwrap_or_else(|| creating(sight, wanted)), None),
    };
    let done = |kind| {
        wanted.kind == kind
            && latest.is_some_and(|c| c.phase == ContainerPhase::Exited && c.exit_code == 0)
    };
    let old = old_status(sight, wanted);
    ContainerStatus {
        name: container.name.clone(),
        ready: done(ContainerKind::Init) || probes::is_ready(sight, container),
        started: Some(probes::is_started(sight, container)),
        restart_count: restarts(latest, old),
        image: image(container, latest),
        image_id: latest.map(|c| c.image_id.clone()).unwrap_or_default(),
        container_id: latest.map(|c| format!("boxship://{}", c.id)),
        state: Some(state),
        last_state: Some(last.unwrap_or_default()),
        resources: match resize::standing(sight) {
            // What is not in force yet is not shown as if it were.
            Resize::UnderWay | Resize::Infeasible(_) => old.and_then(|s| s.resources.clone()),
            Resize::Settled => container.resources.clone().filter(|_| latest.is_some()),
        },
        allocated_resources: match resize::standing(sight) {
            Resize::Infeasible(_) => old.and_then(|s| s.allocated_resources.clone()),
            _ => container.resources.as_ref().and_then(|r| r.requests.clone()),
        },
        ..ContainerStatus::default()
    }
}

/// Statuses of debug containers that exist.
pub(crate) fn ephemeral(sight: &Sight<'_>) -> Option<Vec<ContainerStatus>> {
    let statuses: Vec<_> = sight
        .spec
        .ephemeral_containers
        .iter()
        .flatten()
        .map(|debug| {
            let latest = sight.latest(&debug.name);
            let plain = Container { name: debug.name.clone(), ..Container::default() };
            let state =
                latest.map_or_else(|| wait("ContainerCreating", ""), |c| present(&plain, c));
            ContainerStatus {
                name: debug.name.clone(),
                image: debug.image.clone().unwrap_or_default(),
                image_id: latest.map(|c| c.image_id.clone()).unwrap_or_default(),
                container_id: latest.map(|c| format!("boxship://{}", c.id)),
                state: Some(state),
                last_state: Some(ContainerState::default()),
                ..ContainerStatus::default()
            }
        })
        .collect();
    (!statuses.is_empty()).then_some(statuses)
}

fn old_status<'a>(sight: &Sight<'a>, wanted: Wanted<'_>) -> Option<&'a ContainerStatus> {
    let status = sight.pod.status.as_ref()?;
    let list = match wanted.kind {
        ContainerKind::App => status.container_statuses.as_ref(),
        _ => status.init_container_statuses.as_ref(),
    };
    list?.iter().find(|s| s.name == wanted.container.name)
}

/// Never goes back, even when the engine has forgotten attempts.
fn restarts(latest: Option<&ContainerSeen>, old: Option<&ContainerStatus>) -> i32 {
    let attempt = latest.map_or(0, |c| i32::try_from(c.attempt).unwrap_or(i32::MAX));
    attempt.max(old.map_or(0, |s| s.restart_count))
}

fn image(container: &Container, latest: Option<&ContainerSeen>) -> String {
    let named = container.image.clone().unwrap_or_default();
    latest.map(|c| c.image.clone()).filter(|image| !image.is_empty()).unwrap_or(named)
}

fn wait(reason: &str, message: &str) -> ContainerState {
    let waiting = ContainerStateWaiting {
        reason: Some(reason.into()),
        message: (!message.is_empty()).then(|| message.into()),
    };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

/// Not there yet, and nothing went wrong.
fn creating(sight: &Sight<'_>, wanted: Wanted<'_>) -> ContainerState {
    let has_init =
        sight.wanted().any(|w| w.kind == ContainerKind::Init || w.kind == ContainerKind::Sidecar);
    if has_init && wanted.kind == ContainerKind::App {
        wait("PodInitializing", "")
    } else {
        initial(sight, wanted)
    }
}

fn initial(sight: &Sight<'_>, wanted: Wanted<'_>) -> ContainerState {
    let first = sight.wanted().next().map(|w| &w.container.name);
    let later_init = wanted.kind != ContainerKind::App && first != Some(&wanted.container.name);
    if later_init { wait("PodInitializing", "") } else { wait("ContainerCreating", "") }
}

/// A reason to wait besides being made: a failed start, a crash loop.
fn waiting(sight: &Sight<'_>, wanted: Wanted<'_>) -> Option<ContainerState> {
    let Standing::ToStart { attempt, crashes, wait_until } = containers::standing(sight, wanted)
    else {
        return None;
    };
    let (name, kind) = (wanted.container.name.clone(), wanted.kind);
    let op = PodOp::StartContainer { name, kind, attempt, crashes };
    if let Some(failure) = sight.seen.failed.get(&op) {
        return Some(failed_start(sight, wanted.container, &op, failure));
    }
    if wait_until.is_some_and(|at| at > sight.now) {
        let secs = backoff::delay_secs(crashes.saturating_sub(1));
        let metadata = &sight.pod.metadata;
        let message = format!(
            "back-off {} restarting failed container={} pod={}_{}({})",
            duration(secs),
            wanted.container.name,
            metadata.name.as_deref().unwrap_or_default(),
            metadata.namespace.as_deref().unwrap_or_default(),
            metadata.uid.as_deref().unwrap_or_default(),
        );
        return Some(wait("CrashLoopBackOff", &message));
    }
    None
}

/// `10s`, `1m20s`, `5m0s`, as Go prints durations.
fn duration(secs: i64) -> String {
    if secs < 60 { format!("{secs}s") } else { format!("{}m{}s", secs / 60, secs % 60) }
}

fn failed_start(
    sight: &Sight<'_>,
    container: &Container,
    op: &PodOp,
    failure: &Failure,
) -> ContainerState {
    let waits =
        backoff::retry_at(op, failure) > sight.now && backoff::told_at(failure) <= sight.now;
    if failure.reason == "ErrImagePull" && waits {
        let image = container.image.as_deref().unwrap_or_default();
        let message =
            format!("Back-off pulling image {image:?}: ErrImagePull: {}", failure.message);
        return wait("ImagePullBackOff", &message);
    }
    wait(&failure.reason, &failure.message)
}

fn present(container: &Container, seen: &ContainerSeen) -> ContainerState {
    match seen.phase {
        ContainerPhase::Running => ContainerState {
            running: Some(ContainerStateRunning { started_at: seen.started.map(typed::api_time) }),
            ..ContainerState::default()
        },
        ContainerPhase::Created if seen.error.is_empty() => wait("ContainerCreating", ""),
        _ => terminated(container, seen),
    }
}

/// The attempt before the present one.
fn previous(
    sight: &Sight<'_>,
    container: &Container,
    seen: &ContainerSeen,
) -> Option<ContainerState> {
    let before = sight
        .seen
        .containers
        .iter()
        .filter(|c| {
            c.name == seen.name && c.attempt < seen.attempt && c.phase == ContainerPhase::Exited
        })
        .max_by_key(|c| c.attempt);
    before.map(|c| terminated(container, c))
}

fn terminated(container: &Container, seen: &ContainerSeen) -> ContainerState {
    let reason = if seen.oom_killed {
        "OOMKilled"
    } else if !seen.error.is_empty() {
        "ContainerCannotRun"
    } else if seen.exit_code == 0 {
        "Completed"
    } else {
        "Error"
    };
    let terminated = ContainerStateTerminated {
        exit_code: seen.exit_code,
        reason: Some(reason.into()),
        message: message(container, seen),
        started_at: seen.started.map(typed::api_time),
        finished_at: seen.finished.map(typed::api_time),
        container_id: Some(format!("boxship://{}", seen.id)),
        signal: None,
    };
    ContainerState { terminated: Some(terminated), ..ContainerState::default() }
}

/// The termination message file first; the log's tail only for failures and only when asked for.
fn message(container: &Container, seen: &ContainerSeen) -> Option<String> {
    let policy = container.termination_message_policy.as_deref();
    let text = if !seen.error.is_empty() {
        &seen.error
    } else if !seen.termination_message.is_empty() {
        &seen.termination_message
    } else if seen.exit_code != 0 && policy == Some("FallbackToLogsOnError") {
        &seen.log_tail
    } else {
        return None;
    };
    (!text.is_empty()).then(|| text.clone())
}
