//! What a job says of itself.

use super::tally::Tally;
use super::{Verdict, Work};
use crate::conditions::List;
use crate::plan::{Plan, Warning};
use crate::{calls, pods};
use k8s_openapi::api::batch::v1::Job;
use meta::Value;
use serde_json::json;

pub(super) fn report(work: &Work<'_>, tally: &Tally, verdict: Option<&Verdict>, plan: &mut Plan) {
    let old = calls::value(&work.old);
    let mut new = old.clone();
    counters(work, tally, verdict, &mut new);
    let mut conditions = List::of(&old);
    suspension(work, &mut conditions, &mut new, plan);
    if let Some(verdict) = verdict {
        finish(work, tally, verdict, (&mut conditions, &mut new), plan);
    }
    new["conditions"] = conditions.into();
    let patch = calls::difference(&old, &new);
    // These two are always told, also when they are zero.
    let untold = ["ready", "terminating"].into_iter().filter(|key| old.get(key).is_none());
    let mut patch = patch.unwrap_or_else(|| json!({}));
    untold.for_each(|key| patch[key] = new[key].clone());
    if patch != json!({}) {
        let body = json!({ "status": patch });
        plan.call(calls::merge_in_state::<Job>(&work.job.metadata, body).on("status"));
    }
}

fn counters(work: &Work<'_>, tally: &Tally, verdict: Option<&Verdict>, new: &mut Value) {
    let active: Vec<_> = work.active().collect();
    let stops = verdict.is_some() || work.is_suspended();
    let ready = active.iter().filter(|pod| pods::is_ready(pod)).count();
    new["active"] = if stops { 0 } else { active.len() }.into();
    new["ready"] = if stops { 0 } else { ready }.into();
    new["terminating"] = (work.terminating() + if stops { active.len() } else { 0 }).into();
    new["succeeded"] = match work.is_indexed() {
        true => tally.completed.count(),
        false => tally.succeeded,
    }
    .into();
    new["failed"] = tally.failed.into();
    if work.is_indexed() {
        new["completedIndexes"] = tally.completed.text().into();
        if work.spec.backoff_limit_per_index.is_some() {
            new["failedIndexes"] = tally.failed_indexes.text().into();
        }
    }
    new["uncountedTerminatedPods"] = json!({
        "succeeded": tally.uncounted_succeeded,
        "failed": tally.uncounted_failed,
    });
    if work.old.start_time.is_none() && !work.is_suspended() {
        new["startTime"] = work.now.rfc3339().into();
    }
}

fn suspension(work: &Work<'_>, conditions: &mut List, new: &mut Value, plan: &mut Plan) {
    let was = conditions.is_true("Suspended");
    if work.is_suspended() && !was {
        conditions.set("Suspended", "True", "JobSuspended", "Job suspended", work.now);
        plan.notes.push(work.note(Warning::Normal, "Suspended", "Job suspended".into()));
    } else if !work.is_suspended() && was {
        conditions.set("Suspended", "False", "JobResumed", "Job resumed", work.now);
        plan.notes.push(work.note(Warning::Normal, "Resumed", "Job resumed".into()));
        // The deadline counts anew.
        new["startTime"] = work.now.rfc3339().into();
    }
}

/// The interim condition at once, the final one when nothing runs and everything is counted.
fn finish(
    work: &Work<'_>,
    tally: &Tally,
    verdict: &Verdict,
    (conditions, new): (&mut List, &mut Value),
    plan: &mut Plan,
) {
    let (interim, last, reason, message) = match verdict {
        Verdict::Failed { reason, message } => ("FailureTarget", "Failed", reason, message),
        Verdict::Met { reason, message } => ("SuccessCriteriaMet", "Complete", reason, message),
    };
    set(conditions, interim, reason, message, work);
    let over = work.terminating() == 0 && work.active().next().is_none() && tally.is_settled();
    if !over {
        return;
    }
    set(conditions, last, reason, message, work);
    if last == "Complete" {
        new["completionTime"] = work.now.rfc3339().into();
        plan.notes.push(work.note(Warning::Normal, "Completed", "Job completed".into()));
    } else {
        plan.notes.push(work.note(Warning::Warning, static_reason(reason), message.clone()));
    }
}

fn set(conditions: &mut List, kind: &str, reason: &str, message: &str, work: &Work<'_>) {
    if conditions.is_true(kind) {
        return;
    }
    let says = json!({
        "status": "True",
        "reason": reason,
        "message": message,
        "lastProbeTime": work.now.rfc3339(),
    });
    conditions.set_with(kind, says, work.now);
}

/// The reasons a job fails for, as an event names them.
fn static_reason(reason: &str) -> &'static str {
    const REASONS: &[&str] = &[
        "BackoffLimitExceeded",
        "DeadlineExceeded",
        "PodFailurePolicy",
        "MaxFailedIndexesExceeded",
        "FailedIndexes",
    ];
    REASONS.iter().find(|known| **known == reason).copied().unwrap_or("Failed")
}
