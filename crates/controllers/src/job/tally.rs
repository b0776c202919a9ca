//! Counting pods that have ended (`trackJobStatusAndRemoveFinalizers`).
//!
//! 1. A finished pod with the finalizer enters `status.uncountedTerminatedPods` (its index `completedIndexes`).
//! 2. Once that is stored, its finalizer is removed.
//! 3. Once that is gone, it moves to the counters.

use super::indexes::{self, Indexes};
use super::policy::{self, Meaning};
use super::{Work, is_tracked, untrack};
use crate::plan::Plan;
use crate::{calls, pods};
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Pods entered into the status at a time, which bounds its size.
const MAX_UNCOUNTED: usize = 500;
pub(super) const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";

#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The counters of the status.
    pub succeeded: i32,
    pub failed: i32,
    /// Finished pods on their way to the counters, by uid.
    pub uncounted_succeeded: BTreeSet<String>,
    pub uncounted_failed: BTreeSet<String>,
    /// Of an indexed job.
    pub completed: Indexes,
    pub failed_indexes: Indexes,
    /// Tracked pods that have finished but are not in the status yet, for want of room.
    pub waiting: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Succeeded,
    Failed,
}

/// `isPodFailed`: a pod that is deleted counts as failed, unless its real end is waited for.
fn end(work: &Work<'_>, pod: &Pod) -> Option<End> {
    match pods::phase(pod) {
        "Succeeded" => Some(End::Succeeded),
        "Failed" => Some(End::Failed),
        _ if work.replaces_failed_only() => None,
        _ => calls::is_deleting(&pod.metadata).then_some(End::Failed),
    }
}

impl Tally {
    pub fn of(work: &Work<'_>, plan: &mut Plan) -> Self {
        let mut tally = Self::stored(work);
        let stored = [tally.uncounted_succeeded.clone(), tally.uncounted_failed.clone()];
        let stored_indexes = tally.completed.clone();
        tally.count(work);
        for pod in work.pods.iter().filter(|pod| is_tracked(pod)) {
            let Some(end) = end(work, pod) else { continue };
            let known = stored.iter().any(|uids| uids.contains(calls::uid(&pod.metadata)));
            let settled = match tally.index(work, pod) {
                Some(index) => end == End::Succeeded && stored_indexes.has(index),
                None => false,
            };
            if known || settled {
                plan.call(untrack(pod));
            } else {
                tally.enter(work, pod, end, plan);
            }
        }
        tally
    }

    /// What the status says.
    fn stored(work: &Work<'_>) -> Self {
        let uncounted = work.old.uncounted_terminated_pods.clone().unwrap_or_default();
        let completions = work.spec.completions.unwrap_or(0);
        let parse = |text: &Option<String>| {
            Indexes::parse(text.as_deref().unwrap_or_default(), completions)
        };
        Self {
            succeeded: work.old.succeeded.unwrap_or(0),
            failed: work.old.failed.unwrap_or(0),
            uncounted_succeeded: uncounted.succeeded.unwrap_or_default().into_iter().collect(),
            uncounted_failed: uncounted.failed.unwrap_or_default().into_iter().collect(),
            completed: parse(&work.old.completed_indexes),
            failed_indexes: parse(&work.old.failed_indexes),
            waiting: 0,
        }
    }

    /// Step 3: pods that nothing holds any more.
    fn count(&mut self, work: &Work<'_>) {
        let held: BTreeSet<&str> = work
            .pods
            .iter()
            .filter(|pod| is_tracked(pod))
            .map(|pod| calls::uid(&pod.metadata))
            .collect();
        let count = |uids: &mut BTreeSet<String>| {
            let before = uids.len();
            uids.retain(|uid| held.contains(uid.as_str()));
            i32::try_from(before - uids.len()).unwrap_or(i32::MAX)
        };
        self.succeeded += count(&mut self.uncounted_succeeded);
        self.failed += count(&mut self.uncounted_failed);
    }

    fn index(&self, work: &Work<'_>, pod: &Pod) -> Option<i32> {
        let completions = work.spec.completions.filter(|_| work.is_indexed())?;
        indexes::of(pod, completions)
    }

    /// Step 1.
    fn enter(&mut self, work: &Work<'_>, pod: &Arc<Pod>, end: End, plan: &mut Plan) {
        let index = self.index(work, pod);
        if self.uncounted_succeeded.len() + self.uncounted_failed.len() >= MAX_UNCOUNTED {
            self.waiting += 1;
            return;
        }
        let uid = calls::uid(&pod.metadata).to_string();
        match (end, index) {
            (End::Succeeded, Some(index)) => {
                self.waiting += 1;
                self.completed.0.insert(index);
            }
            // An indexed job counts indexes: a pod without one does not matter.
            (End::Succeeded, None) if work.is_indexed() => plan.call(untrack(pod)),
            (End::Succeeded, None) => {
                self.uncounted_succeeded.insert(uid);
            }
            (End::Failed, _) => match policy::meaning(work, pod) {
                Meaning::Ignored => plan.call(untrack(pod)),
                meaning => {
                    self.uncounted_failed.insert(uid);
                    self.fail_index(work, pod, index, &meaning);
                }
            },
        }
    }

    /// An index whose last chance this was has failed for good (`isIndexFailed`).
    fn fail_index(&mut self, work: &Work<'_>, pod: &Pod, index: Option<i32>, meaning: &Meaning) {
        let (Some(index), Some(limit)) = (index, work.spec.backoff_limit_per_index) else { return };
        if *meaning == Meaning::FailsIndex || failures(pod) >= limit {
            self.failed_indexes.0.insert(index);
        }
    }

    /// Successes, counted or not.
    pub fn all_succeeded(&self, work: &Work<'_>) -> i32 {
        if work.is_indexed() {
            return self.completed.count();
        }
        let uncounted = i32::try_from(self.uncounted_succeeded.len()).unwrap_or(i32::MAX);
        self.succeeded.saturating_add(uncounted)
    }

    pub fn all_failed(&self) -> i32 {
        let uncounted = i32::try_from(self.uncounted_failed.len()).unwrap_or(i32::MAX);
        self.failed.saturating_add(uncounted)
    }

    pub fn is_settled(&self) -> bool {
        self.uncounted_succeeded.is_empty() && self.uncounted_failed.is_empty() && self.waiting == 0
    }
}

/// How often the pod's index had failed before it.
pub(super) fn failures(pod: &Pod) -> i32 {
    let text = calls::annotation(&pod.metadata, INDEX_FAILURES);
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}
