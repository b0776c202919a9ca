//! Job: pods that run to their end (pkg/controller/job/job_controller.go).
//!
//! Every finished pod is counted exactly once, whatever dies in between: a pod keeps a finalizer until the status
//! that names it is stored, and the status names it until the finalizer is gone ([`tally`]).

mod indexes;
mod make;
mod policy;
mod status;
mod tally;
mod verdict;

use crate::conditions;
use crate::plan::{Note, Plan, Row, Wake, Warning};
use crate::pods::{self, Selector};
use crate::{calls, replicaset, wakes};
use api::{Call, Verb};
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use meta::{Problem, Time, Value};
use serde_json::json;
use std::sync::Arc;
use store::{Change, Key, View};
use tally::Tally;
use typed::{Kind, Read};
use verdict::Verdict;

pub(crate) static ROW: Row = Row {
    name: "job-controller",
    wakes: &[
        Wake { resource: ("batch", "jobs"), keys: wakes::itself },
        Wake { resource: ("", "pods"), keys: wake_of_pod },
    ],
    plan,
    refused: Some(refused),
    made: Some(made),
};

pub(super) const TRACKING: &str = "batch.kubernetes.io/job-tracking";
const OURSELVES: &str = "kubernetes.io/job-controller";

/// What one plan works on.
pub(super) struct Work<'a> {
    pub job: &'a Job,
    pub spec: &'a JobSpec,
    pub old: JobStatus,
    pub pods: Vec<Arc<Pod>>,
    pub now: Time,
}

fn wake_of_pod(view: &View, change: &Change) -> Vec<Key> {
    wakes::controllers::<Job>(view, change, |view, pod| {
        view.read_all::<Job>(Some(&pod.key.namespace))
            .filter(|job| selector(job).selects(pod))
            .map(|job| Job::key(&pod.key.namespace, calls::name(&job.metadata)))
            .collect()
    })
}

fn selector(job: &Job) -> Selector {
    let selector = job.spec.as_ref().and_then(|s| s.selector.clone()).unwrap_or_default();
    Selector::of(&selector)
}

fn plan(view: &View, key: &Key, now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(job) = view.read::<Job>(&key.namespace, &key.name) else {
        release_orphans(view, key, &mut plan);
        return plan;
    };
    let Some(spec) = job.spec.as_ref().filter(|s| is_ours(s)) else { return plan };
    release(view, &job, &mut plan);
    let pods = pods::claim::<Job>(view, &job.metadata, &selector(&job), &mut plan);
    let old = job.status.clone().unwrap_or_default();
    let work = Work { job: &job, spec, old, pods, now };
    if work.is_finished() {
        let kept = work.pods.iter().filter(|pod| is_tracked(pod));
        kept.for_each(|pod| plan.call(untrack(pod)));
    } else {
        work.sync(&mut plan);
    }
    plan
}

fn is_ours(spec: &JobSpec) -> bool {
    spec.managed_by.as_deref().is_none_or(|by| by == OURSELVES)
}

pub(super) fn is_tracked(pod: &Pod) -> bool {
    calls::finalizers(&pod.metadata).iter().any(|f| f == TRACKING)
}

/// Lets a pod go.
pub(super) fn untrack(pod: &Pod) -> Call {
    let body = json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": [TRACKING] } });
    calls::strategic::<Pod>(&pod.metadata, body)
}

/// Pods that leave the job are not counted any more.
fn release(view: &View, job: &Job, plan: &mut Plan) {
    let selector = selector(job);
    let leaving = pods::controlled(view, calls::uid(&job.metadata))
        .filter(|pod| is_tracked(pod) && !selector.matches(pod.metadata.labels.as_ref()));
    leaving.for_each(|pod| plan.call(untrack(&pod)));
}

/// Pods whose job is gone (`syncOrphanPod`).
fn release_orphans(view: &View, key: &Key, plan: &mut Plan) {
    let orphans = view.list(&Pod::resource(), Some(&key.namespace)).filter(|pod| {
        pod.head.finalizers.iter().any(|f| **f == *TRACKING)
            && pod
                .head
                .owners
                .iter()
                .any(|o| o.controller && &*o.kind == "Job" && *o.name == *key.name)
    });
    orphans.for_each(|pod| plan.call(untrack(&typed::parse::<Pod>(pod))));
}

impl Work<'_> {
    pub fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    pub fn is_indexed(&self) -> bool {
        self.spec.completion_mode.as_deref() == Some("Indexed")
    }

    pub fn parallelism(&self) -> i32 {
        self.spec.parallelism.unwrap_or(1)
    }

    /// New pods wait until those on their way out have ended.
    pub fn replaces_failed_only(&self) -> bool {
        match self.spec.pod_replacement_policy.as_deref() {
            Some(policy) => policy == "Failed",
            None => self.spec.pod_failure_policy.is_some(),
        }
    }

    pub fn condition(&self, kind: &str) -> Option<(String, String)> {
        let conditions = self.old.conditions.iter().flatten();
        let mut held = conditions.filter(|c| c.status == "True" && c.type_ == kind);
        held.next()
            .map(|c| (c.reason.clone().unwrap_or_default(), c.message.clone().unwrap_or_default()))
    }

    fn is_finished(&self) -> bool {
        ["Complete", "Failed"].iter().any(|kind| self.condition(kind).is_some())
    }

    pub fn active(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.iter().filter(|pod| pods::is_active(pod))
    }

    pub fn terminating(&self) -> usize {
        let ends = |p: &&Arc<Pod>| !matches!(pods::phase(p), "Succeeded" | "Failed");
        self.pods.iter().filter(|p| calls::is_deleting(&p.metadata)).filter(ends).count()
    }

    pub fn note(&self, warning: Warning, reason: &'static str, message: String) -> Note {
        Note { about: pods::reference::<Job>(&self.job.metadata), warning, reason, message }
    }

    fn sync(&self, plan: &mut Plan) {
        let tally = Tally::of(self, plan);
        let verdict = verdict::reach(self, &tally, plan);
        if calls::is_deleting(&self.job.metadata) {
            return status::report(self, &tally, verdict.as_ref(), plan);
        }
        match &verdict {
            // They are counted as failed when they end.
            Some(Verdict::Failed { .. } | Verdict::Met { .. }) => {
                self.active().for_each(|pod| plan.call(calls::delete::<Pod>(&pod.metadata)));
            }
            None => make::manage(self, &tally, plan),
        }
        status::report(self, &tally, verdict.as_ref(), plan);
    }
}

fn made(view: &View, key: &Key, call: &Call, object: &Value) -> Option<Note> {
    let job = view.read::<Job>(&key.namespace, &key.name)?;
    replicaset::told::<Job>(&job.metadata, call, object)
}

fn refused(view: &View, key: &Key, refused: &[(Call, Problem)], _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(job) = view.read::<Job>(&key.namespace, &key.name) else { return plan };
    let failed = refused.iter().find(|(call, _)| matches!(call.verb, Verb::Create(_)));
    if let Some((_, problem)) = failed {
        let about = pods::reference::<Job>(&job.metadata);
        let message = format!("Error creating: {problem}");
        plan.note(about, Warning::Warning, "FailedCreate", message);
    }
    plan
}

/// Whether a stored status says that the job has ended, and how.
pub(crate) fn ending(job: &Job) -> Option<&'static str> {
    let list = conditions::List::of(&calls::value(&job.status));
    ["Complete", "Failed"].into_iter().find(|kind| list.is_true(kind))
}
