//! The engine's decisions, pure: what to do after an exit, after a probe, and at start-up.

use crate::config::{Healthcheck, RestartPolicy};
use crate::record::{Health, HealthStatus, Phase, ProbeResult, Record};
use crate::time::Stamp;

const SECOND: i64 = 1_000_000_000;
/// First back-off and its ceiling; moby `internal/restartmanager`.
const FIRST_BACKOFF: i64 = SECOND / 10;
const LAST_BACKOFF: i64 = 60 * SECOND;
/// A run this long forgives the earlier failures.
const GOOD_RUN: i64 = 10 * SECOND;
/// Probe results that are kept.
const PROBE_LOG: usize = 5;

/// What follows an exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterExit {
    Stay,
    Remove,
    /// Start again after so many nanoseconds.
    Restart {
        backoff: i64,
    },
}

/// moby `internal/restartmanager/restartmanager.go`. `record.state` is that after the exit.
pub fn after_exit(record: &Record) -> AfterExit {
    let state = &record.state;
    if record.host.auto_remove {
        return AfterExit::Remove;
    }
    if state.stopped_by_user || !wants_restart(record) {
        return AfterExit::Stay;
    }
    let ran = state.finished.0 - state.started.0;
    let backoff = if ran >= GOOD_RUN || state.backoff == 0 {
        FIRST_BACKOFF
    } else {
        state.backoff.saturating_mul(2).min(LAST_BACKOFF)
    };
    AfterExit::Restart { backoff }
}

fn wants_restart(record: &Record) -> bool {
    let policy = &record.host.restart_policy;
    match policy.name.as_str() {
        "always" | "unless-stopped" => true,
        "on-failure" => {
            let tries = i64::from(record.state.restart_count);
            let left = policy.maximum_retry_count == 0 || tries < policy.maximum_retry_count;
            record.state.exit_code != 0 && left
        }
        _ => false,
    }
}

/// Checks a policy; texts of moby `api/types/container/hostconfig.go`.
pub fn check_restart_policy(policy: &RestartPolicy, auto_remove: bool) -> Result<(), String> {
    let retries = policy.maximum_retry_count;
    let set = !matches!(policy.name.as_str(), "" | "no");
    if auto_remove && set {
        return Err("can't create 'AutoRemove' container with restart policy".to_owned());
    }
    match policy.name.as_str() {
        "always" | "unless-stopped" | "no" if retries > 0 => {
            Err("invalid restart policy: maximum retry count can only be used with 'on-failure'"
                .into())
        }
        "on-failure" if retries < 0 => {
            Err("invalid restart policy: maximum retry count cannot be negative".to_owned())
        }
        "" if retries != 0 && retries > 0 => {
            Err("invalid restart policy: maximum retry count can only be used with 'on-failure'"
                .to_owned())
        }
        "" | "no" | "always" | "unless-stopped" | "on-failure" => Ok(()),
        name => Err(format!(
            "invalid restart policy: unknown policy '{name}'; \
             use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )),
    }
}

/// What the machine says about a recorded container when the engine opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The keeper holds its process.
    Running { pid: i32, paused: bool },
    /// The keeper holds it, set up to the last step: its start was written down and never given.
    Ready,
    /// The keeper remembers its end.
    Exited { code: i32, at: Stamp, oom: bool },
    /// Nobody knows it: it never started, or the machine went down.
    Nothing,
}

/// What recovery does with one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing changed meanwhile.
    Keep,
    /// Watch its process again.
    Adopt { pid: i32, paused: bool },
    /// Give the start that was written down, then look again.
    Begin,
    /// It ended meanwhile.
    Bury { code: i32, at: Stamp, oom: bool },
    /// Finish a removal.
    Remove,
    /// The keeper holds a process the record knows nothing of: a start that was cut short.
    KillAndBury,
    /// It stands still but its policy wants it running.
    Start,
}

/// The exit code of a container whose end nobody saw, as dockerd gives it.
pub const LOST: i32 = 255;

/// Decides from the record and the machine alone; `now` dates an unseen end.
pub fn recover(record: &Record, found: Found, now: Stamp) -> Recovery {
    let state = &record.state;
    match (state.phase, found) {
        (Phase::Removing | Phase::Dead, _) => Recovery::Remove,
        (Phase::Running | Phase::Paused, Found::Running { pid, paused }) => {
            Recovery::Adopt { pid, paused }
        }
        (_, Found::Running { .. }) => Recovery::KillAndBury,
        (Phase::Running, Found::Ready) => Recovery::Begin,
        (Phase::Running | Phase::Paused, Found::Exited { code, at, oom }) => {
            Recovery::Bury { code, at, oom }
        }
        (Phase::Running | Phase::Paused, Found::Nothing | Found::Ready) => {
            Recovery::Bury { code: LOST, at: now, oom: false }
        }
        (Phase::Restarting, _) => Recovery::Start,
        (Phase::Exited | Phase::Created, _) if record.host.auto_remove => {
            if state.phase == Phase::Exited { Recovery::Remove } else { Recovery::Keep }
        }
        (Phase::Exited, _) if restarts_with_engine(record) => Recovery::Start,
        (Phase::Exited | Phase::Created, _) => Recovery::Keep,
    }
}

/// `always` starts again with the engine even after a manual stop; `unless-stopped` does not.
fn restarts_with_engine(record: &Record) -> bool {
    record.host.restart_policy.name == "always"
        || (record.host.restart_policy.name == "unless-stopped" && !record.state.stopped_by_user)
}

/// A health check with its defaults filled in; moby `daemon/health.go`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeTiming {
    pub interval: i64,
    pub timeout: i64,
    pub start_period: i64,
    pub start_interval: i64,
    pub retries: u32,
}

impl ProbeTiming {
    pub fn of(check: &Healthcheck) -> Self {
        let or = |value: i64, default: i64| if value == 0 { default } else { value };
        Self {
            interval: or(check.interval, 30 * SECOND),
            timeout: or(check.timeout, 30 * SECOND),
            start_period: check.start_period,
            start_interval: or(check.start_interval, 5 * SECOND),
            retries: u32::try_from(or(check.retries, 3)).unwrap_or(3),
        }
    }

    /// Nanoseconds until the next probe.
    pub fn next(&self, health: &Health, started: Stamp, now: Stamp) -> i64 {
        let starting = health.status == HealthStatus::Starting;
        if starting && now.0 - started.0 < self.start_period {
            return self.start_interval;
        }
        self.interval
    }
}

/// The health after one more probe.
pub fn after_probe(
    health: &Health,
    timing: &ProbeTiming,
    started: Stamp,
    result: ProbeResult,
) -> Health {
    let mut next = health.clone();
    if result.exit_code == 0 {
        next.failing_streak = 0;
        next.status = HealthStatus::Healthy;
    } else {
        let in_start_period = result.start.0 - started.0 < timing.start_period;
        if health.status != HealthStatus::Starting || !in_start_period {
            next.failing_streak += 1;
            if next.failing_streak >= timing.retries {
                next.status = HealthStatus::Unhealthy;
            }
        }
    }
    next.log.push(result);
    let surplus = next.log.len().saturating_sub(PROBE_LOG);
    next.log.drain(..surplus);
    next
}

#[cfg(test)]
mod tests;
