//! Options in the query string.

use crate::read::ListOptions;
use crate::request::Request;
use crate::write::{DeleteRequest, Validation, WriteOptions};
use meta::{Fault, Problem};

/// `true` for `true`, `1` and the bare key, as apimachinery converts strings to booleans.
pub fn flag(request: &Request, name: &str) -> bool {
    request.param(name).is_some_and(|v| !matches!(v.to_lowercase().as_str(), "false" | "0"))
}

/// # Errors
/// 400 for numbers that are none.
pub fn list(request: &Request) -> Result<ListOptions, Problem> {
    let text = |name: &str| request.param(name).unwrap_or_default().to_string();
    let initial = request.param("sendInitialEvents").filter(|v| !v.is_empty());
    let initial_events = initial.map(|_| flag(request, "sendInitialEvents"));
    Ok(ListOptions {
        labels: text("labelSelector"),
        fields: text("fieldSelector"),
        watch: flag(request, "watch"),
        bookmarks: flag(request, "allowWatchBookmarks"),
        initial_events,
        resource_version: text("resourceVersion"),
        version_match: text("resourceVersionMatch"),
        timeout_secs: number(request, "timeoutSeconds")?,
        limit: number(request, "limit")?.map_or(0, |n| n as usize),
        token: text("continue"),
    })
}

fn number(request: &Request, name: &str) -> Result<Option<u64>, Problem> {
    match request.param(name) {
        None | Some("") => Ok(None),
        Some(text) => text.parse::<i64>().map(|n| u64::try_from(n).ok()).map_err(|_| {
            Problem::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
        }),
    }
}

/// `dryRun`, `fieldManager` and `fieldValidation`.
///
/// # Errors
/// 422 for values they do not have.
pub fn write(request: &Request, kind: &str) -> Result<WriteOptions, Problem> {
    let mut faults = Vec::new();
    let dry = request.query.iter().filter(|(k, v)| k == "dryRun" && !v.is_empty());
    let dry: Vec<_> = dry.map(|(_, v)| v.as_str()).collect();
    if dry.iter().any(|v| *v != "All") {
        let given: Vec<meta::Value> = dry.iter().map(|v| (*v).into()).collect();
        faults.push(Fault::not_supported("dryRun", given, &["All"]));
    }
    let manager = request.param("fieldManager").unwrap_or_default();
    if manager.len() > MANAGER_MAX {
        faults.push(Fault::new(
            meta::FaultRule::TooLong,
            "fieldManager",
            None,
            format!("may not be more than {MANAGER_MAX} bytes"),
        ));
    }
    let validation = match request.param("fieldValidation").unwrap_or_default() {
        "" | "Warn" => Validation::Warn,
        "Ignore" => Validation::Ignore,
        "Strict" => Validation::Strict,
        other => {
            let known = ["", "Ignore", "Strict", "Warn"];
            faults.push(Fault::not_supported("fieldValidation", other, &known));
            Validation::Warn
        }
    };
    if !faults.is_empty() {
        return Err(Problem::invalid("meta.k8s.io", kind, "", &faults));
    }
    let manager = manager_or(manager, &request.user_agent);
    Ok(WriteOptions { dry_run: !dry.is_empty(), manager, validation })
}

const MANAGER_MAX: usize = 128;

/// The field manager: as given, or the user agent up to its first slash.
pub fn manager_or(given: &str, user_agent: &str) -> String {
    let prefix = user_agent.split('/').next().unwrap_or_default();
    match (given, prefix) {
        ("", "") => "unknown".into(),
        ("", prefix) => prefix.chars().take(MANAGER_MAX).collect(),
        (given, _) => given.into(),
    }
}

/// Adds what the query says to options from the body, which win.
///
/// # Errors
/// 422 for unknown policies, 400 for bad numbers.
pub fn delete(request: &Request, options: &mut DeleteRequest) -> Result<(), Problem> {
    if let Some(grace) = request.param("gracePeriodSeconds").filter(|g| !g.is_empty()) {
        let grace = grace.parse().map_err(|_| {
            Problem::bad_request(format!("strconv.ParseInt: parsing {grace:?}: invalid syntax"))
        })?;
        options.options.grace_secs = options.options.grace_secs.or(Some(grace));
    }
    if options.options.propagation.is_none() {
        options.set_propagation(request.param("propagationPolicy"))?;
    }
    if request.param("orphanDependents").is_some() && options.orphan_dependents.is_none() {
        options.orphan_dependents = Some(flag(request, "orphanDependents"));
    }
    options.dry_run |= request.param("dryRun").is_some_and(|v| !v.is_empty());
    Ok(())
}
