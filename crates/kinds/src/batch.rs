//! batch/v1: Jobs and CronJobs.

use crate::core::pod_defaults::{each, set, set_text, spec_template, template};
use crate::row::{Hooks, KindRow};
use crate::rows::{STATUS, version};
use crate::table::{
    AGE, NAME, age, at, col, containers, count, duration, elapsed, flag, int, list, name, selector,
    since, text, text_or, wide,
};
use crate::{FieldRow, Generation};
use meta::{Time, Value};
use serde_json::json;

pub static JOB: KindRow =
    KindRow::namespaced("batch", "Job", "jobs", "job", &[version("v1", "io.k8s.api.batch.v1.Job")])
        .categories(&["all"])
        .subresources(&[STATUS])
        .fields(&[FieldRow {
            name: "status.successful",
            get: |v| text_or(v, "status.succeeded", "0"),
        }])
        .hooks(Hooks {
            default: Some(default_job),
            prepare: Some(prepare_job),
            generation: Generation::Spec,
            orphans: Some(|_| true),
            ..Hooks::NONE
        })
        .table(
            &[
                NAME,
                col("Status", "string", "Status of the job."),
                col("Completions", "string", ""),
                col("Duration", "string", "Time required to complete the job."),
                AGE,
                wide("Containers", "string", "Names of each container in the template."),
                wide("Images", "string", "Images referenced by each container in the template."),
                wide("Selector", "string", ""),
            ],
            job_cells,
        )
        .check(crate::check::job::job)
        .sample(concat!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {name: sample}\n",
            "spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}\n"
        ));

fn job_cells(v: &Value, now: Time) -> Vec<Value> {
    let [names, images] = containers(v, "spec.template.spec.containers");
    let succeeded = int(v, "status.succeeded");
    let completions = match (at(v, "spec.completions"), int(v, "spec.parallelism")) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallel) if parallel > 1 => format!("{succeeded}/1 of {parallel}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let start = Time::parse(&text(v, "status.startTime"));
    let end = Time::parse(&text(v, "status.completionTime"));
    let took = start.map(|start| duration(end.unwrap_or(now).ms_since(start) / 1000));
    vec![
        name(v),
        job_status(v).into(),
        completions.into(),
        took.unwrap_or_default().into(),
        age(v, now),
        names,
        images,
        selector(v, "spec.selector"),
    ]
}

fn job_status(v: &Value) -> &'static str {
    let has = |kind: &str| {
        list(v, "status.conditions").iter().any(|c| c["type"] == kind && c["status"] == "True")
    };
    let first = ["Complete", "Failed"].into_iter().find(|c| has(c));
    let deleting = at(v, "metadata.deletionTimestamp").map(|_| "Terminating");
    let later = ["Suspended", "FailureTarget", "SuccessCriteriaMet"].into_iter();
    first.or(deleting).or_else(|| later.clone().find(|c| has(c))).unwrap_or("Running")
}

/// SetDefaults_Job.
fn default_job(v: &mut Value) {
    spec_template(v);
    // On create the template's labels are generated first: see prepare_job.
    if let (0, Some(labels)) =
        (count(v, "metadata.labels"), at(v, "spec.template.metadata.labels").cloned())
        && labels.get("controller-uid").is_some()
    {
        v["metadata"]["labels"] = labels;
    }
    let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) else { return };
    if at(spec, "completions").is_none() && at(spec, "parallelism").is_none() {
        set(spec, "completions", 1);
    }
    set(spec, "parallelism", 1);
    let per_index = at(spec, "backoffLimitPerIndex").is_some();
    set(spec, "backoffLimit", if per_index { i32::MAX } else { 6 });
    set(spec, "completionMode", "NonIndexed");
    set(spec, "suspend", false);
    let policy =
        if at(spec, "podFailurePolicy").is_some() { "Failed" } else { "TerminatingOrFailed" };
    set_text(spec, "podReplacementPolicy", policy);
    if let Some(policy) = spec.get_mut("podFailurePolicy") {
        for rule in each(policy, "rules") {
            each(rule, "onPodConditions").for_each(|c| set_text(c, "status", "True"));
        }
    }
}

/// jobStrategy: the selector and labels that tie pods to this job (generateSelector).
fn prepare_job(new: &mut Value, old: Option<&Value>) {
    if old.is_some() {
        return;
    }
    // SetDefaults_Job gives a job without labels those of its template; Go shares the map, so what is added to the
    // one below shows up in the other.
    let bare = count(new, "metadata.labels") == 0;
    if !flag(new, "spec.manualSelector") {
        generate_selector(new);
    }
    if let (true, Some(labels)) = (bare, at(new, "spec.template.metadata.labels").cloned()) {
        new["metadata"]["labels"] = labels;
    }
}

fn generate_selector(new: &mut Value) {
    let (uid, name) = (text(new, "metadata.uid"), text(new, "metadata.name"));
    let labels = &mut new["spec"]["template"]["metadata"]["labels"];
    for (key, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ] {
        labels[key] = value.clone().into();
    }
    new["spec"]["selector"] =
        json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": uid } });
}

pub static CRON_JOB: KindRow = KindRow::namespaced(
    "batch",
    "CronJob",
    "cronjobs",
    "cronjob",
    &[version("v1", "io.k8s.api.batch.v1.CronJob")],
)
.short(&["cj"])
.categories(&["all"])
.subresources(&[STATUS])
.counted()
.defaults(default_cron_job)
.table(
    &[
        NAME,
        col("Schedule", "string", ""),
        col("Timezone", "string", ""),
        col("Suspend", "boolean", ""),
        col("Active", "integer", ""),
        col("Last Schedule", "string", ""),
        AGE,
        wide("Containers", "string", "Names of each container in the template."),
        wide("Images", "string", "Images referenced by each container in the template."),
        wide("Selector", "string", ""),
    ],
    |v, now| {
        let [names, images] = containers(v, "spec.jobTemplate.spec.template.spec.containers");
        let last = match at(v, "status.lastScheduleTime") {
            Some(_) => since(v, "status.lastScheduleTime", now),
            None => "<none>".into(),
        };
        let suspend = if flag(v, "spec.suspend") { "True" } else { "False" };
        vec![
            name(v),
            text(v, "spec.schedule").into(),
            text_or(v, "spec.timeZone", "<none>").into(),
            suspend.into(),
            count(v, "status.active").into(),
            last.into(),
            elapsed(&text(v, "metadata.creationTimestamp"), now).into(),
            names,
            images,
            selector(v, "spec.jobTemplate.spec.selector"),
        ]
    },
)
.check(crate::check::job::cron_job)
.sample(concat!(
    "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: sample}\n",
    "spec: {schedule: '* * * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, ",
    "containers: [{name: c, image: i}]}}}}}\n"
));

/// SetDefaults_CronJob; the job inside is defaulted when it is made.
fn default_cron_job(v: &mut Value) {
    if let Some(inner) = v.pointer_mut("/spec/jobTemplate/spec/template") {
        template(inner);
    }
    let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) else { return };
    set_text(spec, "concurrencyPolicy", "Allow");
    set(spec, "suspend", false);
    set(spec, "successfulJobsHistoryLimit", 3);
    set(spec, "failedJobsHistoryLimit", 1);
}
