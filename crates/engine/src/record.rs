//! What the engine remembers of a container: one JSON file each, the truth across restarts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{Config, EndpointSettings, HostConfig};
use crate::networks::PublishedPort;
use crate::pod::PodContainerSpec;
use crate::time::Stamp;

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Phase {
    #[default]
    Created,
    Running,
    Paused,
    /// Ended and waiting for its restart policy's back-off.
    Restarting,
    /// Being removed; recovery finishes the job.
    Removing,
    Exited,
    /// Removal failed half-way.
    Dead,
}

impl Phase {
    /// The word in `State.Status`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    /// Has a process.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    /// What Docker's `State.Running` says: also true between two restarts.
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    pub phase: Phase,
    pub pid: i32,
    pub exit_code: i32,
    pub error: String,
    pub oom_killed: bool,
    pub started: Stamp,
    pub finished: Stamp,
    pub health: Option<Health>,
    /// Removal: its anonymous volumes go as well.
    pub removes_volumes: bool,
    /// Somebody asked for the stop; policies other than `always` then leave it alone.
    pub stopped_by_user: bool,
    pub restart_count: u32,
    /// Nanoseconds of the last back-off.
    pub backoff: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    #[default]
    Starting,
    Healthy,
    Unhealthy,
}

impl HealthStatus {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Health {
    pub status: HealthStatus,
    pub failing_streak: u32,
    /// The newest five probes, oldest first.
    pub log: Vec<ProbeResult>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProbeResult {
    pub start: Stamp,
    pub end: Stamp,
    pub exit_code: i32,
    pub output: String,
}

/// A mount as it was resolved when the container was created.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MountPoint {
    /// bind, volume, tmpfs or image.
    pub kind: String,
    /// The volume's name; empty for others.
    pub name: String,
    /// The directory on this machine.
    pub source: String,
    pub destination: String,
    pub driver: String,
    /// The mode string as the client gave it (`ro,z`).
    pub mode: String,
    pub writable: bool,
    pub propagation: String,
    /// Below the volume or image.
    pub subpath: String,
    /// The bind covers only the one mount, not those below it.
    pub non_recursive: bool,
    /// A new volume gets the image's content at this place.
    pub copy_up: bool,
    /// The volume has no name of its own and goes with the container.
    pub anonymous: bool,
    /// Options of a tmpfs.
    pub options: String,
}

/// The pod a container belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PodBinding {
    pub sandbox: String,
    pub spec: PodContainerSpec,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    pub id: String,
    /// Without the leading slash.
    pub name: String,
    pub created: Stamp,
    /// First word and the rest of what runs, entrypoint and command joined.
    pub path: String,
    pub args: Vec<String>,
    pub config: Config,
    pub host: HostConfig,
    /// Digest of the image's configuration.
    pub image_id: String,
    /// Digest of the image's manifest, when it has one.
    pub manifest: String,
    pub platform: String,
    /// By network name.
    pub endpoints: BTreeMap<String, EndpointSettings>,
    pub mounts: Vec<MountPoint>,
    /// Of the present run.
    pub ports: Vec<PublishedPort>,
    pub state: State,
    pub pod: Option<PodBinding>,
}

impl Record {
    pub fn short_id(&self) -> &str {
        crate::ident::short(&self.id)
    }

    /// The signal of a gentle stop.
    pub fn stop_signal(&self) -> &str {
        match self.config.stop_signal.as_str() {
            "" => "SIGTERM",
            signal => signal,
        }
    }

    /// Whether a health check is configured (not `NONE`).
    pub fn probes_health(&self) -> bool {
        let test = self.config.healthcheck.as_ref().and_then(|h| h.test.as_ref());
        test.and_then(|t| t.first()).is_some_and(|word| word != "NONE")
    }

    /// `State.Status` for humans: `Up 2 minutes (healthy)`, `Exited (0) 3 seconds ago`.
    pub fn status_line(&self, now: Stamp) -> String {
        let state = &self.state;
        let ago = || human_duration(now.0 - state.finished.0);
        match state.phase {
            Phase::Created => "Created".to_owned(),
            Phase::Removing => "Removal In Progress".to_owned(),
            Phase::Dead => "Dead".to_owned(),
            Phase::Exited => format!("Exited ({}) {} ago", state.exit_code, ago()),
            Phase::Restarting => format!("Restarting ({}) {} ago", state.exit_code, ago()),
            Phase::Paused => format!("Up {} (Paused)", human_duration(now.0 - state.started.0)),
            Phase::Running => {
                let up = human_duration(now.0 - state.started.0);
                match state.health.as_ref().map(|h| h.status) {
                    None => format!("Up {up}"),
                    Some(HealthStatus::Starting) => format!("Up {up} (health: starting)"),
                    Some(status) => format!("Up {up} ({})", status.word()),
                }
            }
        }
    }
}

/// go-units `HumanDuration`.
pub fn human_duration(nanos: i64) -> String {
    let seconds = nanos.max(0) / 1_000_000_000;
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}
