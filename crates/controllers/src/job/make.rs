//! As many pods at work as there shall be (`manageJob`, backoff_utils.go).

use super::indexes::{self, INDEX};
use super::tally::{INDEX_FAILURES, Tally, failures};
use super::{TRACKING, Work, untrack};
use crate::plan::Plan;
use crate::{calls, pods};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use meta::{Time, Value};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Creations and deletions per plan.
const BURST: usize = 500;
const BACKOFF_SECS: i64 = 10;
const MAX_BACKOFF_SECS: i64 = 600;

pub(super) fn manage(work: &Work<'_>, tally: &Tally, plan: &mut Plan) {
    let mut active: Vec<Arc<Pod>> = work.active().cloned().collect();
    if work.is_suspended() {
        return remove(&active, plan);
    }
    let wanted = wanted(work, tally, active.len());
    let surplus = surplus(work, tally, &active);
    active.retain(|pod| !surplus.contains(calls::uid(&pod.metadata)));
    let gone: Vec<_> =
        work.active().filter(|pod| surplus.contains(calls::uid(&pod.metadata))).cloned().collect();
    remove(&gone, plan);
    if active.len() > wanted {
        pods::rank_for_deletion(&mut active, &[], work.now);
        let over = (active.len() - wanted).min(BURST);
        return remove(&active[..over], plan);
    }
    let waiting = if work.replaces_failed_only() { work.terminating() } else { 0 };
    let missing = wanted.saturating_sub(active.len() + waiting).min(BURST);
    if missing > 0 {
        create(work, tally, &active, missing, plan);
    }
}

/// They are taken back, not counted: the finalizer goes first.
fn remove(pods: &[Arc<Pod>], plan: &mut Plan) {
    for pod in pods.iter().take(BURST) {
        plan.call(untrack(pod));
        plan.call(calls::delete::<Pod>(&pod.metadata));
    }
}

fn wanted(work: &Work<'_>, tally: &Tally, active: usize) -> usize {
    let succeeded = tally.all_succeeded(work);
    let count = match work.spec.completions {
        // A work queue gets no new workers after the first success.
        None if succeeded > 0 => i32::try_from(active).unwrap_or(i32::MAX).min(work.parallelism()),
        None => work.parallelism(),
        Some(completions) => {
            let left = completions - succeeded - tally.failed_indexes.count();
            left.min(work.parallelism())
        }
    };
    usize::try_from(count).unwrap_or(0)
}

/// Pods of an indexed job whose index is done, unknown, or somebody else's already.
fn surplus(work: &Work<'_>, tally: &Tally, active: &[Arc<Pod>]) -> BTreeSet<String> {
    let Some(completions) = work.spec.completions.filter(|_| work.is_indexed()) else {
        return BTreeSet::new();
    };
    let mut seen = BTreeSet::new();
    let stays = |pod: &&Arc<Pod>| match indexes::of(pod, completions) {
        None => false,
        Some(index) => {
            !tally.completed.has(index) && !tally.failed_indexes.has(index) && seen.insert(index)
        }
    };
    let kept: BTreeSet<_> =
        active.iter().filter(stays).map(|pod| calls::uid(&pod.metadata).to_string()).collect();
    let all = active.iter().map(|pod| calls::uid(&pod.metadata).to_string());
    all.filter(|uid| !kept.contains(uid)).collect()
}

fn create(work: &Work<'_>, tally: &Tally, active: &[Arc<Pod>], missing: usize, plan: &mut Plan) {
    let namespace = calls::namespace(&work.job.metadata);
    let Some(completions) = work.spec.completions.filter(|_| work.is_indexed()) else {
        let all: Vec<_> = work.pods.iter().collect();
        if wait(work, &all, plan) {
            return;
        }
        let new = || calls::create::<Pod>(namespace, new_pod(work));
        plan.calls.extend(std::iter::repeat_with(new).take(missing));
        return;
    };
    let taken: BTreeSet<_> = active.iter().filter_map(|p| indexes::of(p, completions)).collect();
    let leaving = leaving_indexes(work, completions);
    let free = (0..completions).filter(|index| {
        !tally.completed.has(*index)
            && !tally.failed_indexes.has(*index)
            && !taken.contains(index)
            && !leaving.contains(index)
    });
    let mut by_index: BTreeMap<i32, Vec<&Arc<Pod>>> = BTreeMap::new();
    for pod in &work.pods {
        by_index.entry(indexes::of(pod, completions).unwrap_or(-1)).or_default().push(pod);
    }
    let per_index = work.spec.backoff_limit_per_index.is_some();
    let all: Vec<_> = work.pods.iter().collect();
    if !per_index && wait(work, &all, plan) {
        return;
    }
    for index in free.take(missing) {
        let earlier = by_index.remove(&index).unwrap_or_default();
        if per_index && wait(work, &earlier, plan) {
            continue;
        }
        plan.call(calls::create::<Pod>(namespace, indexed_pod(work, index, &earlier)));
    }
}

/// Indexes whose pods must end before they are replaced.
fn leaving_indexes(work: &Work<'_>, completions: i32) -> BTreeSet<i32> {
    if !work.replaces_failed_only() {
        return BTreeSet::new();
    }
    let leaving = work.pods.iter().filter(|pod| {
        calls::is_deleting(&pod.metadata) && !matches!(pods::phase(pod), "Succeeded" | "Failed")
    });
    leaving.filter_map(|pod| indexes::of(pod, completions)).collect()
}

/// Whether the last failure is too recent for new pods; asks to be woken when it is not any more. The pause
/// doubles with every failure since the last success.
fn wait(work: &Work<'_>, pods: &[&Arc<Pod>], plan: &mut Plan) -> bool {
    let ended = |phase: &str| {
        let some = pods.iter().filter(|pod| pods::phase(pod) == phase);
        some.map(|pod| finished_at(pod)).collect::<Vec<_>>()
    };
    let success = ended("Succeeded").into_iter().max();
    let failures: Vec<_> =
        ended("Failed").into_iter().filter(|at| success.is_none_or(|s| *at > s)).collect();
    let Some(last) = failures.iter().max() else { return false };
    let doublings = u32::try_from(failures.len() - 1).unwrap_or(u32::MAX).min(10);
    let due = last.plus_secs((BACKOFF_SECS << doublings).min(MAX_BACKOFF_SECS));
    if due > work.now {
        plan.wake_at(due);
    }
    due > work.now
}

/// When the last container ended; for a pod without, when it stopped being ready or was made.
fn finished_at(pod: &Pod) -> Time {
    let status = pod.status.as_ref();
    let ended = status.and_then(|s| s.container_statuses.as_ref()).into_iter().flatten();
    let ended = ended.filter_map(|c| c.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref());
    let conditions = status.and_then(|s| s.conditions.as_ref()).into_iter().flatten();
    let ready = conditions.filter(|c| c.type_ == "Ready");
    let ready = ready.filter_map(|c| c.last_transition_time.as_ref()).max();
    let last = ended.max().or(ready).or(pod.metadata.creation_timestamp.as_ref());
    last.map(typed::time).unwrap_or_default()
}

fn new_pod(work: &Work<'_>) -> Value {
    let mut pod = pods::from_template::<Job>(&work.spec.template, &work.job.metadata);
    let mut finalizers = pod["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    finalizers.push(TRACKING.into());
    pod["metadata"]["finalizers"] = finalizers.into();
    pod
}

fn indexed_pod(work: &Work<'_>, index: i32, earlier: &[&Arc<Pod>]) -> Value {
    let mut pod = new_pod(work);
    let name = calls::name(&work.job.metadata);
    let metadata = &mut pod["metadata"];
    metadata["generateName"] = pods::pod_prefix(&format!("{name}-{index}")).into();
    metadata["annotations"][INDEX] = index.to_string().into();
    metadata["labels"][INDEX] = index.to_string().into();
    if work.spec.backoff_limit_per_index.is_some() {
        let failed = earlier.iter().filter(|pod| pods::phase(pod) == "Failed");
        let counts = failed
            .filter(|pod| super::policy::meaning(work, pod) != super::policy::Meaning::Ignored);
        let before = counts.map(|pod| failures(pod) + 1).max().unwrap_or(0);
        metadata["annotations"][INDEX_FAILURES] = before.to_string().into();
    }
    if pod["spec"]["hostname"].as_str().is_none_or(str::is_empty) {
        pod["spec"]["hostname"] = format!("{name}-{index}").into();
    }
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            tell_index(container);
        }
    }
    pod
}

fn tell_index(container: &mut Value) {
    const NAME: &str = "JOB_COMPLETION_INDEX";
    let mut env = container["env"].as_array().cloned().unwrap_or_default();
    if env.iter().any(|one| one["name"] == NAME) {
        return;
    }
    let path = format!("metadata.labels['{INDEX}']");
    env.push(json!({ "name": NAME, "valueFrom": { "fieldRef": { "fieldPath": path } } }));
    container["env"] = env.into();
}
