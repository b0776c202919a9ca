//! What users and fate do to a cluster, as a value that can be written to a file.

use meta::Value;
use serde::{Deserialize, Serialize};

/// One run. Everything else follows from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Decides who acts when, latencies, uids and what a crashing disk keeps.
    pub seed: u64,
    pub nodes: usize,
    /// In order of time.
    pub steps: Vec<Step>,
}

/// Something that happens at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Seconds from the start.
    pub at: i64,
    #[serde(flatten)]
    pub op: Op,
}

/// What happens. Paths are `deployments.apps/default/web`; `pick` chooses among what there is then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    Create {
        object: Value,
    },
    /// A merge patch; refused when the object is gone.
    Patch {
        path: String,
        body: Value,
    },
    /// `cascade` is `background`, `foreground` or `orphan`.
    Delete {
        path: String,
        cascade: String,
    },
    DeletePod {
        pick: u64,
        grace: i64,
    },
    /// Through the eviction subresource, as `kubectl drain` does.
    Evict {
        pick: u64,
    },
    Cordon {
        node: usize,
        on: bool,
    },
    /// The server dies in the `writes`th write from now and is back after `secs`.
    Crash {
        writes: u64,
        secs: i64,
    },
    /// Nobody hears of the node's kubelet.
    Partition {
        node: usize,
        secs: i64,
    },
    /// The kubelet is gone and somebody deletes the Node; it registers again afterwards.
    LoseNode {
        node: usize,
        secs: i64,
    },
    /// The kubelet sees the past.
    Delay {
        node: usize,
        secs: i64,
    },
    /// What the kubelet writes is done, but it never learns so.
    LoseReplies {
        node: usize,
        secs: i64,
    },
    /// A container is killed for its memory and starts again.
    Oom {
        pick: u64,
    },
    ClockJump {
        secs: i64,
    },
    /// Controllers and scheduler forget everything and begin anew.
    Amnesia,
    StallControllers {
        secs: i64,
    },
    StallScheduler {
        secs: i64,
    },
    DiskFull {
        secs: i64,
    },
    SyncsFail {
        count: u32,
    },
    /// History is forgotten up to now.
    Compact,
}

impl Op {
    /// Whether this is fate's doing, not a user's.
    pub fn is_fault(&self) -> bool {
        !matches!(
            self,
            Self::Create { .. }
                | Self::Patch { .. }
                | Self::Delete { .. }
                | Self::DeletePod { .. }
                | Self::Evict { .. }
                | Self::Cordon { .. }
        )
    }
}

impl Scenario {
    /// # Errors
    /// When the text is no scenario.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// One step per line.
    pub fn write(&self) -> String {
        let lines: Vec<String> = self
            .steps
            .iter()
            .map(|step| serde_json::to_string(step).expect("steps are plain data"))
            .collect();
        format!(
            "{{\"seed\": {}, \"nodes\": {}, \"steps\": [\n{}\n]}}\n",
            self.seed,
            self.nodes,
            lines.join(",\n")
        )
    }
}
