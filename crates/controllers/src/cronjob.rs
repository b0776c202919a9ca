//! CronJob: Jobs at times (pkg/controller/cronjob/cronjob_controllerv2.go).

mod times;

use crate::plan::{Note, Plan, Row, Wake, Warning};
use crate::{calls, job, pods, wakes};
use api::{Call, Verb};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, Job};
use meta::{Time, Value};
use serde_json::json;
use std::sync::Arc;
use store::{Change, Key, View};
use times::Schedule;
use typed::{Read, controller_of};

pub(crate) static ROW: Row = Row {
    name: "cronjob-controller",
    wakes: &[
        Wake { resource: ("batch", "cronjobs"), keys: wakes::itself },
        Wake { resource: ("batch", "jobs"), keys: wake_of_job },
    ],
    plan,
    refused: None,
    made: Some(made),
};

const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

fn wake_of_job(view: &View, change: &Change) -> Vec<Key> {
    wakes::controllers::<CronJob>(view, change, |_, _| Vec::new())
}

struct Work<'a> {
    cron: &'a CronJob,
    spec: &'a CronJobSpec,
    /// The jobs it controls, oldest first.
    jobs: Vec<Arc<Job>>,
    now: Time,
}

fn plan(view: &View, key: &Key, now: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(cron) = view.read::<CronJob>(&key.namespace, &key.name) else { return plan };
    let Some(spec) = &cron.spec else { return plan };
    let uid = calls::uid(&cron.metadata);
    let mine = view.read_owned::<Job>(uid);
    let mut jobs: Vec<_> =
        mine.filter(|j| controller_of(&j.metadata).is_some_and(|o| o.uid == uid)).collect();
    jobs.sort_by_key(|job| {
        (job.metadata.creation_timestamp.as_ref().map(typed::time), job.metadata.name.clone())
    });
    let work = Work { cron: &cron, spec, jobs, now };
    work.forget_old(&mut plan);
    let mut status = calls::value(&cron.status);
    work.settle(&mut status, &mut plan);
    if !calls::is_deleting(&cron.metadata) && spec.suspend != Some(true) {
        work.start_due(view, &mut status, &mut plan);
    }
    plan.calls.extend(calls::status::<CronJob>(&cron.metadata, &cron.status, &status));
    plan
}

impl Work<'_> {
    fn note(&self, warning: Warning, reason: &'static str, message: String) -> Note {
        Note { about: pods::reference::<CronJob>(&self.cron.metadata), warning, reason, message }
    }

    /// Jobs beyond the history limits, oldest first (`cleanupFinishedJobs`).
    fn forget_old(&self, plan: &mut Plan) {
        let limits = [
            ("Complete", self.spec.successful_jobs_history_limit.unwrap_or(3)),
            ("Failed", self.spec.failed_jobs_history_limit.unwrap_or(1)),
        ];
        for (kind, limit) in limits {
            let ended: Vec<_> =
                self.jobs.iter().filter(|job| job::ending(job) == Some(kind)).collect();
            let surplus = ended.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
            let due = ended.into_iter().take(surplus);
            for job in due.filter(|job| !calls::is_deleting(&job.metadata)) {
                plan.call(calls::delete_background::<Job>(&job.metadata));
            }
        }
    }

    /// `status.active` names the jobs that run; what ended leaves it with a word.
    fn settle(&self, status: &mut Value, plan: &mut Plan) {
        let listed = status["active"].as_array().cloned().unwrap_or_default();
        let runs: Vec<_> = self.jobs.iter().filter(|job| job::ending(job).is_none()).collect();
        for gone in listed.iter().filter(|r| !runs.iter().any(|job| is(job, r))) {
            let ended = self.jobs.iter().find(|job| is(job, gone));
            let name = gone["name"].as_str().unwrap_or_default();
            match ended {
                Some(job) => {
                    let how = job::ending(job).unwrap_or_default();
                    let message = format!("Saw completed job: {name}, condition: {how}");
                    plan.notes.push(self.note(Warning::Normal, "SawCompletedJob", message));
                    self.note_success(job, status);
                }
                None => {
                    let message = format!("Active job went missing: {name}");
                    plan.notes.push(self.note(Warning::Normal, "MissingJob", message));
                }
            }
        }
        let active: Vec<Value> = runs.iter().map(|job| reference(job)).collect();
        // References are told apart by uid; a newer resourceVersion is no news.
        let same = active.len() == listed.len()
            && active.iter().all(|a| listed.iter().any(|l| l["uid"] == a["uid"]));
        if !same {
            status["active"] = active.into();
        }
    }

    fn note_success(&self, job: &Job, status: &mut Value) {
        let completed = job.status.as_ref().and_then(|s| s.completion_time.as_ref());
        let Some(at) = completed.filter(|_| job::ending(job) == Some("Complete")) else { return };
        let last = status["lastSuccessfulTime"].as_str().and_then(Time::parse);
        if last.is_none_or(|last| last < typed::time(at)) {
            status["lastSuccessfulTime"] = typed::time(at).rfc3339().into();
        }
    }

    fn start_due(&self, view: &View, status: &mut Value, plan: &mut Plan) {
        let schedule = match Schedule::of(self.spec) {
            Ok(schedule) => schedule,
            Err((reason, message)) => {
                plan.notes.push(self.note(Warning::Warning, reason, message));
                return;
            }
        };
        if let Some(next) = schedule.next_after(self.now) {
            plan.wake_at(next);
        }
        let Some(due) = schedule.last_due(self.earliest(), self.now) else { return };
        if due.missed_many {
            let message = "too many missed start times. Set or decrease \
                           .spec.startingDeadlineSeconds or check clock skew";
            plan.notes.push(self.note(Warning::Warning, "TooManyMissedTimes", message.into()));
        }
        let deadline = self.spec.starting_deadline_seconds.map(|secs| due.at.plus_secs(secs));
        if deadline.is_some_and(|deadline| deadline < self.now) {
            let message = format!("Missed scheduled time to start a job: {}", due.at);
            plan.notes.push(self.note(Warning::Warning, "MissSchedule", message));
            return;
        }
        self.start(view, due.at, status, plan);
    }

    /// Start times before this have been dealt with (`mostRecentScheduleTime`).
    fn earliest(&self) -> Time {
        let last = self.cron.status.as_ref().and_then(|s| s.last_schedule_time.as_ref());
        let created = self.cron.metadata.creation_timestamp.as_ref();
        let earliest = last.or(created).map_or(self.now, typed::time);
        let within = self.spec.starting_deadline_seconds.map(|secs| self.now.plus_secs(-secs));
        within.map_or(earliest, |within| within.max(earliest))
    }

    fn start(&self, view: &View, at: Time, status: &mut Value, plan: &mut Plan) {
        let metadata = &self.cron.metadata;
        // Minutes since the epoch: the same time never starts two jobs.
        let name = format!("{}-{}", calls::name(metadata), at.secs() / 60);
        let active: Vec<_> = self.jobs.iter().filter(|j| job::ending(j).is_none()).collect();
        if let Some(made) = view.read::<Job>(calls::namespace(metadata), &name) {
            // Made by an earlier plan whose status was not stored.
            if controller_of(&made.metadata).is_some_and(|o| o.uid == calls::uid(metadata)) {
                status["lastScheduleTime"] = at.rfc3339().into();
            }
            return;
        }
        match self.spec.concurrency_policy.as_deref() {
            Some("Forbid") if !active.is_empty() => {
                let message = "Not starting job because prior execution is running and \
                               concurrency policy is Forbid";
                plan.notes.push(self.note(Warning::Normal, "JobAlreadyActive", message.into()));
                return;
            }
            Some("Replace") => {
                let alive = active.iter().filter(|job| !calls::is_deleting(&job.metadata));
                alive.for_each(|j| plan.call(calls::delete_background::<Job>(&j.metadata)));
            }
            _ => {}
        }
        plan.call(calls::create::<Job>(calls::namespace(metadata), self.new_job(&name, at)));
        status["lastScheduleTime"] = at.rfc3339().into();
    }

    fn new_job(&self, name: &str, at: Time) -> Value {
        let template = self.spec.job_template.metadata.clone().unwrap_or_default();
        let mut annotations = template.annotations.unwrap_or_default();
        annotations.insert(SCHEDULED.into(), times::stamp(at, self.spec.time_zone.as_deref()));
        json!({
            "metadata": {
                "name": name,
                "labels": template.labels.unwrap_or_default(),
                "annotations": annotations,
                "ownerReferences": [pods::owner_reference::<CronJob>(&self.cron.metadata)],
            },
            "spec": self.spec.job_template.spec,
        })
    }
}

fn is(job: &Job, reference: &Value) -> bool {
    reference["uid"].as_str() == Some(calls::uid(&job.metadata))
}

fn reference(job: &Job) -> Value {
    pods::reference::<Job>(&job.metadata)
}

fn made(view: &View, key: &Key, call: &Call, object: &Value) -> Option<Note> {
    let cron = view.read::<CronJob>(&key.namespace, &key.name)?;
    let name = object["metadata"]["name"].as_str().unwrap_or(&call.name);
    let (reason, message) = match &call.verb {
        Verb::Create(_) => ("SuccessfulCreate", format!("Created job {name}")),
        Verb::Delete(_) => ("SuccessfulDelete", format!("Deleted job {name}")),
        _ => return None,
    };
    let about = pods::reference::<CronJob>(&cron.metadata);
    Some(Note { about, warning: Warning::Normal, reason, message })
}
