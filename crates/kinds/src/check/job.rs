//! Jobs and CronJobs (upstream `pkg/apis/batch/validation/validation.go`).

use super::selector::{selector, selects};
use super::{Faults, Node, cron, pod};
use meta::{Fault, Value};
use serde_json::json;

pub(crate) fn job(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let root = Node::root(new);
    let node = root.at("spec");
    generated(&root, faults);
    job_spec(&node, faults);
    if let Some(old) = old {
        // ValidateJobSpecUpdate checks the whole spec again: clients see those causes twice.
        job_spec(&node, faults);
        update(&node, &Node::root(old), faults);
    }
}

/// ValidateJobSpec
fn job_spec(node: &Node<'_>, faults: &mut Faults) {
    spec(node, faults);
    if !node.at("selector").is_set() {
        faults.push(Fault::required(node.at("selector").path, ""));
    } else {
        selector(&node.at("selector"), faults);
    }
    let labels = node.at("template.metadata.labels");
    if !selects(node.at("selector").value, labels.value) {
        labels.invalid("`selector` does not match template `labels`", faults);
    }
}

/// validateGeneratedSelector
fn generated(root: &Node<'_>, faults: &mut Faults) {
    let spec = root.at("spec");
    if spec.at("manualSelector").flag() || !spec.at("selector").is_set() {
        return;
    }
    let (uid, name) = (root.at("metadata.uid").str(), root.at("metadata.name").str());
    let wanted = [
        ("controller-uid", uid),
        ("job-name", name),
        ("batch.kubernetes.io/controller-uid", uid),
        ("batch.kubernetes.io/job-name", name),
    ];
    let labels = spec.at("template.metadata.labels");
    for (key, value) in wanted {
        let label = labels.key(key);
        let why = format!("must be '{value}'");
        if !label.is_set() {
            faults.push(Fault::required(&label.path, why));
        } else if label.str() != value {
            faults.push(Fault::invalid(&label.path, labels.value.clone(), why));
        }
    }
    let expected = json!({
        "controller-uid": uid,
        "job-name": name,
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
    });
    if !selects(spec.at("selector").value, &expected) {
        spec.at("selector").invalid("`selector` not auto-generated", faults);
    }
}

const COUNTS: &[&str] = &[
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
];

/// validateJobSpec, also of a CronJob's template.
fn spec(node: &Node<'_>, faults: &mut Faults) {
    COUNTS.iter().for_each(|key| node.at(key).not_negative(faults));
    node.at("completionMode").one_of(&["Indexed", "NonIndexed"], faults);
    let indexed = node.at("completionMode").str() == "Indexed";
    if indexed && !node.at("completions").is_set() {
        let why = "when completion mode is Indexed";
        faults.push(Fault::required(node.at("completions").path, why));
    }
    if indexed && node.at("parallelism").int() > 100_000 {
        let why = "must be less than or equal to 100000 when completion mode is Indexed";
        node.at("parallelism").invalid(why, faults);
    }
    if node.at("backoffLimitPerIndex").is_set() && !indexed {
        let why = "requires indexed completion mode";
        node.at("backoffLimitPerIndex").invalid(why, faults);
    }
    let per_index = node.at("backoffLimitPerIndex").is_set();
    if node.at("maxFailedIndexes").is_set() && !per_index {
        let why = "when maxFailedIndexes is specified";
        faults.push(Fault::required(node.at("backoffLimitPerIndex").path, why));
    }
    node.at("podReplacementPolicy").one_of(&["Failed", "TerminatingOrFailed"], faults);
    failure_policy(node, faults);
    pod::template(&node.at("template"), faults);
    restart(node, faults);
}

fn restart(node: &Node<'_>, faults: &mut Faults) {
    let policy = node.at("template.spec.restartPolicy");
    match policy.str() {
        "" | "Always" => {
            let why = r#"valid values: "OnFailure", "Never""#;
            faults.push(Fault::required(&policy.path, why));
        }
        "OnFailure" if node.at("podFailurePolicy").is_set() => {
            let why = "only \"Never\" is supported when podFailurePolicy is specified";
            policy.invalid(why, faults);
        }
        _ => policy.one_of(&["Never", "OnFailure"], faults),
    }
}

const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];

fn failure_policy(spec: &Node<'_>, faults: &mut Faults) {
    let policy = spec.at("podFailurePolicy");
    if policy.at("rules").len() > 20 {
        let why = "must have at most 20 items";
        faults.push(Fault::new(meta::FaultRule::TooMany, policy.at("rules").path, None, why));
    }
    for rule in policy.at("rules").items() {
        rule.at("action").must_be(ACTIONS, faults);
        let (codes, conditions) = (rule.at("onExitCodes"), rule.at("onPodConditions"));
        match (codes.is_set(), !conditions.is_empty()) {
            (true, true) => rule.invalid(
                "specifying both OnExitCodes and OnPodConditions is not supported",
                faults,
            ),
            (false, false) => {
                rule.invalid(
                    "specifying one of OnExitCodes and OnPodConditions is required",
                    faults,
                );
            }
            _ => {}
        }
        if codes.is_set() {
            codes.at("operator").must_be(&["In", "NotIn"], faults);
            codes.at("values").require_why("", faults);
        }
        for condition in conditions.items() {
            condition.at("status").must_be(&["False", "True", "Unknown"], faults);
        }
    }
}

/// ValidateJobSpecUpdate
fn update(spec: &Node<'_>, old: &Node<'_>, faults: &mut Faults) {
    let before = old.at("spec");
    completions(spec, &before, faults);
    for key in [
        "selector",
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
        "successPolicy",
    ] {
        spec.at(key).immutable(&before.at(key), faults);
    }
    let mut template = spec.at("template").value.clone();
    let started = old.at("status.startTime").is_set();
    if before.at("suspend").flag() && !started {
        scheduling(&mut template, before.at("template").value);
    }
    if !super::same(&template, before.at("template").value) {
        spec.at("template").invalid(super::IMMUTABLE, faults);
    }
}

/// Indexed jobs may scale while completions and parallelism stay equal.
fn completions(spec: &Node<'_>, before: &Node<'_>, faults: &mut Faults) {
    let (now, was) = (spec.at("completions"), before.at("completions"));
    let elastic = spec.at("completionMode").str() == "Indexed" && now.is_set() && was.is_set();
    if !elastic {
        now.immutable(&was, faults);
    } else if now.value != was.value && now.value != spec.at("parallelism").value {
        let path = &now.path;
        let why = "can only be modified in tandem with spec.parallelism";
        faults.push(Fault::invalid(path, now.value.clone(), why));
    }
}

/// Scheduling directives of a suspended job that has not started may change.
fn scheduling(template: &mut Value, before: &Value) {
    let keys = ["nodeSelector", "tolerations", "affinity", "schedulingGates"];
    for (part, keys) in [("spec", &keys[..]), ("metadata", &["labels", "annotations"][..])] {
        for key in keys {
            template[part][*key] = before[part][*key].clone();
        }
    }
}

pub(crate) fn cron_job(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    let root = Node::root(new);
    let node = root.at("spec");
    // The names of its jobs are eleven characters longer.
    if root.at("metadata.name").str().len() > 52 {
        root.at("metadata.name").invalid("must be no more than 52 characters", faults);
    }
    if node.at("schedule").require(faults) {
        schedule(&node.at("schedule"), faults);
    }
    zone(&node.at("timeZone"), faults);
    for key in ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        node.at(key).not_negative(faults);
    }
    node.at("concurrencyPolicy").must_be(&["Allow", "Forbid", "Replace"], faults);
    let inner = node.at("jobTemplate.spec");
    spec(&inner, faults);
    if inner.at("selector").is_set() {
        inner.at("selector").invalid("`selector` will be auto-generated", faults);
    }
    if inner.at("manualSelector").flag() {
        let manual = inner.at("manualSelector");
        faults.push(Fault::not_supported(&manual.path, true, &["nil", "false"]));
    }
}

fn schedule(node: &Node<'_>, faults: &mut Faults) {
    if node.str().contains("TZ") {
        let why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        node.invalid(why, faults);
    } else if let Err(why) = cron::parse(node.str()) {
        node.invalid(why, faults);
    }
}

fn zone(node: &Node<'_>, faults: &mut Faults) {
    let fine = |c: char| c.is_ascii_alphanumeric() || "+-_/".contains(c);
    match node.value.as_str() {
        Some("") => node.invalid("timeZone must be nil or non-empty string", faults),
        Some(name) if name.eq_ignore_ascii_case("local") => node.invalid(
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
            faults,
        ),
        Some(name) if !name.chars().all(fine) => {
            node.invalid(format!("unknown time zone {name}"), faults);
        }
        _ => {}
    }
}
