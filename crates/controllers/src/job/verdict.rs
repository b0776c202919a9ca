//! Whether the job has come to its end (`syncJob`, success_policy.go).

use super::Work;
use super::policy::{self, Meaning};
use super::tally::Tally;
use crate::calls;
use crate::plan::Plan;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// What the job will end as once its pods are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Failed { reason: String, message: String },
    Met { reason: String, message: String },
}

fn failed(reason: &str, message: &str) -> Option<Verdict> {
    Some(Verdict::Failed { reason: reason.into(), message: message.into() })
}

fn met(reason: &str, message: &str) -> Option<Verdict> {
    Some(Verdict::Met { reason: reason.into(), message: message.into() })
}

/// A verdict once reached stands. Asks to be woken when the deadline passes.
pub(super) fn reach(work: &Work<'_>, tally: &Tally, plan: &mut Plan) -> Option<Verdict> {
    if let Some((reason, message)) = work.condition("FailureTarget") {
        return Some(Verdict::Failed { reason, message });
    }
    if let Some((reason, message)) = work.condition("SuccessCriteriaMet") {
        return Some(Verdict::Met { reason, message });
    }
    by_policy(work)
        .or_else(|| by_backoff(work, tally))
        .or_else(|| by_deadline(work, plan))
        .or_else(|| by_failed_indexes(work, tally))
        .or_else(|| by_success_policy(work, tally))
        .or_else(|| by_all_indexes(work, tally))
        .or_else(|| by_completions(work, tally))
}

fn by_policy(work: &Work<'_>) -> Option<Verdict> {
    let meanings = work.pods.iter().map(|pod| policy::meaning(work, pod));
    meanings
        .filter_map(|meaning| match meaning {
            Meaning::FailsJob(why) => failed("PodFailurePolicy", &why),
            _ => None,
        })
        .next()
}

fn by_backoff(work: &Work<'_>, tally: &Tally) -> Option<Verdict> {
    // With a limit per index there is none for the whole job unless the user sets one.
    let otherwise = if work.spec.backoff_limit_per_index.is_some() { i32::MAX } else { 6 };
    let limit = work.spec.backoff_limit.unwrap_or(otherwise);
    let over = tally.all_failed() > limit || restarts_exceed(work, limit);
    over.then(|| failed("BackoffLimitExceeded", "Job has reached the specified backoff limit"))?
}

/// Pods that restart in place fail without ending (`pastBackoffLimitOnFailure`).
fn restarts_exceed(work: &Work<'_>, limit: i32) -> bool {
    let template = work.spec.template.spec.as_ref();
    if template.and_then(|s| s.restart_policy.as_deref()) != Some("OnFailure") {
        return false;
    }
    let restarts: i32 = work.active().map(|pod| restarts(pod)).sum();
    if limit == 0 { restarts > 0 } else { restarts >= limit }
}

fn restarts(pod: &Pod) -> i32 {
    let status = pod.status.as_ref();
    let sum = |list: Option<&Vec<ContainerStatus>>| -> i32 {
        list.into_iter().flatten().map(|c| c.restart_count).sum()
    };
    sum(status.and_then(|s| s.init_container_statuses.as_ref()))
        + sum(status.and_then(|s| s.container_statuses.as_ref()))
}

fn by_deadline(work: &Work<'_>, plan: &mut Plan) -> Option<Verdict> {
    let secs = work.spec.active_deadline_seconds.filter(|_| !work.is_suspended())?;
    let started = work.old.start_time.as_ref().map_or(work.now, typed::time);
    let deadline = started.plus_secs(secs);
    if deadline > work.now {
        plan.wake_at(deadline);
        return None;
    }
    failed("DeadlineExceeded", "Job was active longer than specified deadline")
}

fn by_failed_indexes(work: &Work<'_>, tally: &Tally) -> Option<Verdict> {
    let most = work.spec.max_failed_indexes?;
    let message = "Job has exceeded the specified maximal number of failed indexes";
    (tally.failed_indexes.count() > most).then(|| failed("MaxFailedIndexesExceeded", message))?
}

/// Every index has ended, some of them badly.
fn by_all_indexes(work: &Work<'_>, tally: &Tally) -> Option<Verdict> {
    let completions = work.spec.completions.filter(|_| work.is_indexed())?;
    let bad = tally.failed_indexes.count();
    let ended = tally.failed_indexes.0.union(&tally.completed.0).count();
    let over = bad > 0 && i32::try_from(ended).unwrap_or(i32::MAX) >= completions;
    over.then(|| failed("FailedIndexes", "Job has failed indexes"))?
}

fn by_success_policy(work: &Work<'_>, tally: &Tally) -> Option<Verdict> {
    let rules = &work.spec.success_policy.as_ref()?.rules;
    let completions = work.spec.completions.unwrap_or(0);
    let at = rules.iter().position(|rule| {
        let named = rule.succeeded_indexes.as_deref();
        let among = named.map(|text| super::indexes::Indexes::parse(text, completions));
        let done = match &among {
            Some(among) => among.0.intersection(&tally.completed.0).count(),
            None => tally.completed.0.len(),
        };
        let wanted = match (rule.succeeded_count, &among) {
            (Some(count), _) => usize::try_from(count).unwrap_or(0),
            (None, Some(among)) => among.0.len(),
            (None, None) => return false,
        };
        done >= wanted
    })?;
    met("SuccessPolicy", &format!("Matched rules at index {at}"))
}

fn by_completions(work: &Work<'_>, tally: &Tally) -> Option<Verdict> {
    let succeeded = tally.all_succeeded(work);
    let done = match work.spec.completions {
        Some(completions) => succeeded >= completions,
        // A work queue: one success, and nobody works any more.
        None => succeeded > 0 && work.active().next().is_none(),
    };
    let done = done && !calls::is_deleting(&work.job.metadata);
    done.then(|| met("CompletionsReached", "Reached expected number of succeeded pods"))?
}
