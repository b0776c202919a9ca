//! What must hold at every change, whatever fails. One row per rule.
//!
//! A check sees the cluster as it was just before the change. Loops plan on the newest state and write at once in
//! a simulation, so what a controller may not decide, it may not write either.

mod history;
mod pods;
mod rollout;
mod serving;
mod workloads;

pub(crate) use pods::{asks, is_over, left};

use crate::mirror::Mirror;
use meta::Resource;
use store::Change;

/// One rule.
pub(crate) struct Oracle {
    pub rule: &'static str,
    /// Changes of this resource; `""` for every resource.
    pub on: &'static str,
    /// What is wrong, if anything.
    pub check: fn(&Mirror, &Change) -> Result<(), String>,
}

impl Oracle {
    pub fn cares(&self, resource: &Resource) -> bool {
        self.on.is_empty() || resource.as_str() == self.on
    }
}

pub(crate) static ORACLES: &[Oracle] = &[
    Oracle { rule: "revisions are monotone", on: "", check: history::revision },
    Oracle { rule: "generations are monotone", on: "", check: history::generation },
    Oracle { rule: "finalizers are waited for", on: "", check: history::finalizers },
    Oracle { rule: "nothing is born into a dying namespace", on: "", check: history::namespace },
    Oracle { rule: "a pod is placed once", on: "pods", check: pods::placed_once },
    Oracle { rule: "capacity is kept", on: "pods", check: pods::capacity },
    Oracle { rule: "closed nodes get no pods", on: "pods", check: pods::closed },
    Oracle { rule: "anti-affinity is kept", on: "pods", check: pods::apart },
    Oracle { rule: "addresses are unique", on: "pods", check: pods::address },
    Oracle { rule: "an ended pod stays ended", on: "pods", check: pods::ended },
    Oracle { rule: "quota is kept", on: "pods", check: pods::quota },
    Oracle { rule: "no more pods than asked for", on: "pods", check: workloads::not_too_many },
    Oracle { rule: "a stateful set keeps its order", on: "pods", check: workloads::in_order },
    Oracle { rule: "a job counts forwards", on: "jobs.batch", check: workloads::counts },
    Oracle { rule: "surge is bounded", on: "replicasets.apps", check: rollout::surge },
    Oracle { rule: "unavailability is bounded", on: "replicasets.apps", check: rollout::available },
    Oracle { rule: "recreate waits for the end", on: "replicasets.apps", check: rollout::recreate },
    Oracle { rule: "rollouts count forwards", on: "deployments.apps", check: rollout::revision },
    Oracle {
        rule: "a service lists ready pods only",
        on: "endpointslices.discovery.k8s.io",
        check: serving::ready_only,
    },
    Oracle {
        rule: "budgets are never overdrawn",
        on: "poddisruptionbudgets.policy",
        check: serving::budget,
    },
];
