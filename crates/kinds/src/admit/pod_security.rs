//! PodSecurity: namespaces' labels say which Pod Security Standard their pods must meet
//! (k8s.io/pod-security-admission `admission/admission.go`, `api/helpers.go`).
//!
//! Does not write audit annotations: admission has no hand on the audit event.

mod checks;
#[cfg(test)]
mod tests;

use crate::admission::{Admit, Extras, Operation};
use crate::table::{at, list, text};
use checks::Pod;
use meta::{Fault, Problem, Resource, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{Key, Object};

/// The version of Kubernetes whose standards are `latest`.
const LATEST: u32 = 35;
/// Pods of a namespace that are looked at when its level rises.
const PODS_MAX: usize = 3000;
const PREFIX: &str = "pod-security.kubernetes.io/";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// A level by the standards of a minor version; `None` is the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standard {
    level: Level,
    minor: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Policy {
    enforce: Standard,
    warn: Standard,
}

pub(super) fn validate(v: &Value, admit: &Admit<'_>, extras: &mut Extras) -> Result<(), Problem> {
    if !matches!(admit.operation, Operation::Create | Operation::Update) {
        return Ok(());
    }
    match admit.resource.as_str() {
        "namespaces" if admit.subresource.is_empty() => namespace(v, admit, extras),
        "pods" if ["", "ephemeralcontainers", "resize"].contains(&admit.subresource) => {
            pod(v, admit, extras)
        }
        resource if admit.subresource.is_empty() => match template(resource) {
            Some(path) => controller(v, path, admit, extras),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Where the kinds that make pods have their template.
fn template(resource: &str) -> Option<&'static str> {
    Some(match resource {
        "podtemplates" => "template",
        "replicationcontrollers"
        | "replicasets.apps"
        | "deployments.apps"
        | "statefulsets.apps"
        | "daemonsets.apps"
        | "jobs.batch" => "spec.template",
        "cronjobs.batch" => "spec.jobTemplate.spec.template",
        _ => return None,
    })
}

impl Standard {
    fn shown(self) -> String {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        match self.minor {
            Some(minor) => format!("{level}:v1.{minor}"),
            None => format!("{level}:latest"),
        }
    }

    /// What a pod breaks, as reasons with details.
    fn broken(self, metadata: &Value, spec: &Value) -> Vec<(String, String)> {
        let minor = self.minor.unwrap_or(LATEST).min(LATEST);
        match self.level {
            Level::Privileged => Vec::new(),
            level => checks::broken(&Pod { metadata, spec, minor }, level == Level::Restricted),
        }
    }
}

fn details(broken: &[(String, String)]) -> String {
    let one = |(reason, detail): &(String, String)| match detail.as_str() {
        "" => reason.clone(),
        detail => format!("{reason} ({detail})"),
    };
    broken.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// PolicyToEvaluate; labels that cannot be read count as the strictest for enforce and as nothing for warn.
fn policy(labels: &Value) -> (Policy, Vec<Fault>) {
    let mut faults = Vec::new();
    let mut get = |mode: &str| {
        let level = labels.get(format!("{PREFIX}{mode}")).and_then(Value::as_str);
        let version = labels.get(format!("{PREFIX}{mode}-version")).and_then(Value::as_str);
        let parsed = level.map(parse_level);
        if let (Some(level), Some(None)) = (level, parsed) {
            let why = "must be one of privileged, baseline, restricted";
            faults.push(Fault::invalid(format!("metadata.labels[{PREFIX}{mode}]"), level, why));
        }
        let minor = version.map(parse_version);
        if let (Some(version), Some(None)) = (version, minor) {
            let path = format!("metadata.labels[{PREFIX}{mode}-version]");
            faults.push(Fault::invalid(path, version, r#"must be "latest" or "v1.x""#));
        }
        (parsed, minor.flatten().flatten(), version.is_some())
    };
    let (enforce, enforce_minor, _) = get("enforce");
    get("audit");
    let (warn, warn_minor, has_warn_version) = get("warn");
    let enforced = enforce.map_or(Level::Privileged, |l| l.unwrap_or(Level::Restricted));
    let enforced = Standard { level: enforced, minor: enforce_minor };
    let mut warned =
        Standard { level: warn.flatten().unwrap_or(Level::Privileged), minor: warn_minor };
    let explicit = enforce.flatten().is_some_and(|level| level > warned.level);
    if warn.is_none() && explicit {
        warned.level = enforced.level;
        if !has_warn_version {
            warned.minor = enforced.minor;
        }
    }
    (Policy { enforce: enforced, warn: warned }, faults)
}

fn parse_level(text: &str) -> Option<Level> {
    Some(match text {
        "privileged" => Level::Privileged,
        "baseline" => Level::Baseline,
        "restricted" => Level::Restricted,
        _ => return None,
    })
}

/// `Some(None)` is the latest version, `None` no version at all.
fn parse_version(text: &str) -> Option<Option<u32>> {
    if text == "latest" {
        return Some(None);
    }
    let minor = text.strip_prefix("v1.")?;
    let plain =
        minor.bytes().all(|b| b.is_ascii_digit()) && (minor == "0" || !minor.starts_with('0'));
    minor.parse().ok().filter(|_| plain).map(Some)
}

fn labels_of(admit: &Admit<'_>) -> Value {
    let namespaces = Resource::new("", "namespaces");
    let found = admit.view.get(&Key::new(&namespaces, "", admit.namespace)).map(|o| o.value());
    found.and_then(|v| v.pointer("/metadata/labels").cloned()).unwrap_or_default()
}

fn pod(v: &Value, admit: &Admit<'_>, extras: &mut Extras) -> Result<(), Problem> {
    if admit.old.is_some_and(|old| !is_significant(v, old)) {
        return Ok(());
    }
    let (policy, _) = policy(&labels_of(admit));
    let broken = policy.enforce.broken(&v["metadata"], &v["spec"]);
    if !broken.is_empty() {
        let standard = policy.enforce.shown();
        let why = format!("violates PodSecurity {standard:?}: {}", details(&broken));
        return Err(Problem::forbidden(admit.resource, &text(v, "metadata.name"), &why));
    }
    warn(policy.warn, &v["metadata"], &v["spec"], extras);
    Ok(())
}

fn warn(standard: Standard, metadata: &Value, spec: &Value, extras: &mut Extras) {
    let broken = standard.broken(metadata, spec);
    if !broken.is_empty() {
        let (standard, what) = (standard.shown(), details(&broken));
        extras.warnings.push(format!("would violate PodSecurity {standard:?}: {what}"));
    }
}

fn controller(
    v: &Value,
    path: &str,
    admit: &Admit<'_>,
    extras: &mut Extras,
) -> Result<(), Problem> {
    let Some(template) = at(v, path) else { return Ok(()) };
    let (policy, _) = policy(&labels_of(admit));
    warn(policy.warn, &template["metadata"], &template["spec"], extras);
    Ok(())
}

/// Only other images and further containers make an update worth a look.
fn is_significant(new: &Value, old: &Value) -> bool {
    let images = |v: &Value, kind: &str| -> Vec<String> {
        list(&v["spec"], kind).iter().map(|c| text(c, "image")).collect()
    };
    let by_name = |v: &Value| -> BTreeMap<String, String> {
        let all = list(&v["spec"], "ephemeralContainers").iter();
        all.map(|c| (text(c, "name"), text(c, "image"))).collect()
    };
    let before = by_name(old);
    ["containers", "initContainers"].iter().any(|kind| images(new, kind) != images(old, kind))
        || by_name(new).iter().any(|(name, image)| before.get(name) != Some(image))
}

/// Labels that make no sense are refused; a higher level tells which pods already break it.
fn namespace(v: &Value, admit: &Admit<'_>, extras: &mut Extras) -> Result<(), Problem> {
    let labels = |v: &Value| v.pointer("/metadata/labels").cloned().unwrap_or_default();
    let name = text(v, "metadata.name");
    let (new, faults) = policy(&labels(v));
    let before = admit.old.map(|old| policy(&labels(old)));
    let same = before.as_ref().is_some_and(|(_, old)| *old == faults);
    if !faults.is_empty() && !same {
        return Err(Problem::invalid("", "Namespace", &name, &faults));
    }
    let Some((old, _)) = before else { return Ok(()) };
    let lower = new.enforce.minor == old.enforce.minor && new.enforce.level <= old.enforce.level;
    if new.enforce == old.enforce || new.enforce.level == Level::Privileged || lower {
        return Ok(());
    }
    existing(&name, new.enforce, admit, extras);
    Ok(())
}

/// EvaluatePodsInNamespace
fn existing(namespace: &str, standard: Standard, admit: &Admit<'_>, extras: &mut Extras) {
    let pods: Vec<_> = admit.view.list(&Resource::new("", "pods"), Some(namespace)).collect();
    // One pod of each controller first.
    let mut seen = BTreeSet::new();
    let owner = |o: &Object| {
        o.head.owners.iter().find(|owner| owner.controller).map(|owner| owner.uid.clone())
    };
    let (mut first, rest): (Vec<&Arc<Object>>, Vec<&Arc<Object>>) =
        pods.into_iter().partition(|o| owner(o).is_none_or(|uid| seen.insert(uid)));
    first.extend(rest);
    let total = first.len();
    let mut found: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for object in first.into_iter().take(PODS_MAX) {
        let pod = object.value();
        let broken = standard.broken(&pod["metadata"], &pod["spec"]);
        if broken.is_empty() {
            continue;
        }
        let reasons: Vec<_> = broken.into_iter().map(|(reason, _)| reason).collect();
        let name = object.key.name.to_string();
        let entry = found.entry(reasons.join(", ")).or_insert_with(|| (name.clone(), 0));
        entry.0 = entry.0.clone().min(name);
        entry.1 += 1;
    }
    if total > PODS_MAX {
        extras.warnings.push(format!(
            "new PodSecurity enforce level only checked against the first {PODS_MAX} of {total} existing pods"
        ));
    }
    if found.is_empty() {
        return;
    }
    let level = standard.shown();
    extras.warnings.push(format!(
        "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level {level:?}"
    ));
    let mut lines: Vec<_> = found
        .into_iter()
        .map(|(reasons, (name, count))| match count {
            1 => format!("{name}: {reasons}"),
            2 => format!("{name} (and 1 other pod): {reasons}"),
            count => format!("{name} (and {} other pods): {reasons}", count - 1),
        })
        .collect();
    lines.sort();
    extras.warnings.append(&mut lines);
}
