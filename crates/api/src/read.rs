//! Get, list and the start of a watch.

use crate::answer::Page;
use crate::catalog::Served;
use crate::object;
use crate::select::Selection;
use crate::watch::WatchPlan;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use meta::{Cause, Details, Fault, Problem, Reason, Value};
use serde_json::json;
use std::sync::Arc;
use store::{Object, OutOfRange, View};

/// The query of a list or watch (`metav1.ListOptions`), and of the list of a deletecollection.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    pub labels: String,
    pub fields: String,
    /// Whether `watch=true`.
    pub watch: Watching,
    pub bookmarks: Watching,
    pub initial_events: Option<bool>,
    pub resource_version: String,
    pub version_match: String,
    pub timeout_secs: Option<u64>,
    pub limit: usize,
    pub token: String,
}

/// A flag of the query.
pub type Watching = bool;

/// One object.
///
/// # Errors
/// 404.
pub fn get(served: &Arc<Served>, view: &View, at: (&str, &str)) -> Result<Arc<Object>, Problem> {
    let found = view.get(&object::key(served, at.0, at.1));
    found.cloned().ok_or_else(|| Problem::not_found(&served.resource, at.1))
}

/// Reads at a version that has not happened yet: upstream waits 3 seconds, then says this.
fn too_large(asked: u64, current: u64) -> Problem {
    let message = format!("Too large resource version: {asked}, current: {current}");
    Problem::new(Reason::Timeout, message.clone()).with(Details {
        causes: vec![Cause {
            reason: "ResourceVersionTooLarge".into(),
            message: "Too large resource version".into(),
            ..Cause::default()
        }],
        retry_after_secs: 1,
        ..Details::default()
    })
}

/// `resourceVersion` as a number; `""` is `None`.
pub fn version(text: &str) -> Result<Option<u64>, Problem> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
            Problem::bad_request(format!("invalid resource version {text:?}: {why}"))
        }),
    }
}

pub fn expired(message: &str) -> Problem {
    Problem::new(Reason::Expired, message)
}

fn compacted(asked: u64, oldest: u64) -> Problem {
    expired(&format!("too old resource version: {asked} ({oldest})"))
}

/// The snapshot a get or list must read (`resourceVersion` and `resourceVersionMatch` rules).
fn moment(view: &View, options: &ListOptions) -> Result<View, Problem> {
    let asked = version(&options.resource_version)?;
    let exact = options.version_match == "Exact"
        || (options.version_match.is_empty() && options.limit > 0 && asked.is_some_and(|v| v > 0));
    match asked {
        Some(asked) if asked > view.revision() => Err(too_large(asked, view.revision())),
        Some(asked) if exact => past(view, asked),
        _ => Ok(view.clone()),
    }
}

fn past(view: &View, revision: u64) -> Result<View, Problem> {
    view.at(revision).map_err(|out| match out {
        OutOfRange::Compacted(c) => compacted(revision, c.oldest),
        OutOfRange::Future { current } => too_large(revision, current),
    })
}

/// A get with `resourceVersion`: only refuses the future.
pub fn check_get_version(view: &View, text: &str) -> Result<(), Problem> {
    match version(text)? {
        Some(asked) if asked > view.revision() => Err(too_large(asked, view.revision())),
        _ => Ok(()),
    }
}

/// Where a list left off: `{"v":"meta.k8s.io/v1","rv":7,"start":"ns/name"}` in base64 (apiserver
/// `pkg/storage/continue.go`). `rv` -1 means "at the newest revision".
struct Token {
    revision: Option<u64>,
    after: (String, String),
}

impl Token {
    fn encode(revision: Option<u64>, after: &Object) -> String {
        let revision = revision.map_or(json!(-1), |r| json!(r));
        let start = format!("{}/{}", after.key.namespace, after.key.name);
        let token = json!({ "v": "meta.k8s.io/v1", "rv": revision, "start": start });
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn decode(text: &str) -> Result<Self, Problem> {
        let bad = |why: &str| Problem::bad_request(format!("continue key is not valid: {why}"));
        let text = text.trim_end_matches('=');
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|e| bad(&e.to_string()))?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|e| bad(&e.to_string()))?;
        if token["v"] != "meta.k8s.io/v1" {
            return Err(bad("server does not recognize this encoded version"));
        }
        let revision = match &token["rv"] {
            Value::Number(n) if n.as_i64() == Some(-1) => None,
            rv => Some(rv.as_u64().filter(|v| *v > 0).ok_or_else(|| {
                bad("incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
            })?),
        };
        let start = token["start"].as_str().unwrap_or_default();
        let (namespace, name) = start.split_once('/').ok_or_else(|| bad("no start"))?;
        Ok(Self { revision, after: (namespace.into(), name.into()) })
    }
}

/// A page of a list.
///
/// # Errors
/// 400 for bad selectors, versions and tokens, 410 when the snapshot is gone, 504 when it is to come.
pub fn list(
    served: &Arc<Served>,
    view: &View,
    namespace: &str,
    options: &ListOptions,
) -> Result<Page, Problem> {
    check_options(options)?;
    let selection = Selection::parse(served, &options.labels, &options.fields)?;
    let (then, token) = match options.token.as_str() {
        "" => (moment(view, options)?, None),
        token => resume(view, token)?,
    };
    let namespace = scope(namespace);
    let after = token.as_ref().map(|t| (t.0.as_str(), t.1.as_str()));
    let mut walk = selection.walk(&then, served, namespace, after);
    let limit = if options.limit == 0 { usize::MAX } else { options.limit };
    let items: Vec<_> = walk.by_ref().take(limit).cloned().collect();
    let revision = then.revision();
    let mut page = Page { items, revision, token: String::new(), remaining: None };
    if let (Some(_), Some(last)) = (walk.next(), page.items.last()) {
        page.token = Token::encode(Some(revision), last);
        // Upstream counts only when no selector is given (the count would be wrong otherwise).
        page.remaining = selection.is_empty().then(|| 1 + walk.count());
    }
    Ok(page)
}

fn scope(namespace: &str) -> Option<&str> {
    (!namespace.is_empty()).then_some(namespace)
}

/// The snapshot and the place a continue token means.
fn resume(view: &View, token: &str) -> Result<(View, Option<(String, String)>), Problem> {
    let token = Token::decode(token)?;
    let then = match token.revision {
        None => Ok(view.clone()),
        Some(revision) => view.at(revision),
    };
    let after = token.after;
    match then {
        Ok(then) => Ok((then, Some(after))),
        Err(_) => Err(inconsistent(&after)),
    }
}

/// 410 with a token that goes on at the newest revision (apiserver `handleCompactedErrorForPaging`).
fn inconsistent(after: &(String, String)) -> Problem {
    let start = format!("{}/{}", after.0, after.1);
    let token = json!({ "v": "meta.k8s.io/v1", "rv": -1, "start": start });
    expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new \
         list without the continue parameter, or use the continue token in this response to retrieve the \
         remainder of the results. Continuing with the provided token results in an inconsistent list - \
         objects that were created, modified, or deleted between the time the first chunk was returned and \
         now may show up in the list.",
    )
    .with(Details { token: URL_SAFE_NO_PAD.encode(token.to_string()), ..Details::default() })
}

/// ValidateListOptions of apimachinery.
fn check_options(options: &ListOptions) -> Result<(), Problem> {
    let mut faults = Vec::new();
    let (rv, by) = (options.resource_version.as_str(), options.version_match.as_str());
    let path = "resourceVersionMatch";
    let sends = options.initial_events.is_some();
    if !by.is_empty() && !sends {
        if options.watch {
            faults.push(Fault::forbidden(path, "resourceVersionMatch is forbidden for watch"));
        }
        if rv.is_empty() {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            faults.push(Fault::forbidden(path, why));
        }
        if !options.token.is_empty() {
            let why = "resourceVersionMatch is forbidden when continue is provided";
            faults.push(Fault::forbidden(path, why));
        }
        if !matches!(by, "Exact" | "NotOlderThan") {
            faults.push(Fault::not_supported(path, by, &["Exact", "NotOlderThan", ""]));
        }
        if by == "Exact" && rv == "0" {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            faults.push(Fault::forbidden(path, why));
        }
    }
    if sends {
        initial_events_faults(options, &mut faults);
    }
    if !options.token.is_empty() && !matches!(rv, "" | "0") {
        return Err(Problem::bad_request(
            "specifying resource version is not allowed when using continue",
        ));
    }
    match faults.as_slice() {
        [] => Ok(()),
        faults => Err(Problem::invalid("meta.k8s.io", "ListOptions", "", faults)),
    }
}

fn initial_events_faults(options: &ListOptions, faults: &mut Vec<Fault>) {
    let path = "sendInitialEvents";
    if !options.watch {
        faults.push(Fault::forbidden(path, "sendInitialEvents is forbidden for list"));
        return;
    }
    let at = "resourceVersionMatch";
    match options.version_match.as_str() {
        "" => faults.push(Fault::forbidden(
            at,
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        )),
        "NotOlderThan" => {}
        other => faults.push(Fault::not_supported(at, other, &["NotOlderThan"])),
    }
}

/// A watch.
///
/// # Errors
/// As [`list`].
pub fn watch(
    served: &Arc<Served>,
    view: &View,
    namespace: &str,
    options: &ListOptions,
    encoder: crate::encode::Encoder,
) -> Result<WatchPlan, Problem> {
    check_options(options)?;
    let selection = Selection::parse(served, &options.labels, &options.fields)?;
    let asked = version(&options.resource_version)?;
    let sends = options.initial_events.unwrap_or(!matches!(asked, Some(1..)));
    let initial = match sends {
        true => selection.walk(view, served, scope(namespace), None).cloned().collect(),
        false => Vec::new(),
    };
    let after = match asked {
        Some(asked @ 1..) if !sends => asked,
        _ => view.revision(),
    };
    if let Some(asked) = asked
        && asked > view.revision()
        && sends
    {
        return Err(too_large(asked, view.revision()));
    }
    if view.changes_of(&served.filed, after.min(view.revision())).is_err() {
        return Err(compacted(after, view.oldest()));
    }
    let crate::encode::Encoder { shape, now } = encoder;
    let content_type = shape.content_type(crate::negotiate::Stream::Yes);
    Ok(WatchPlan {
        resource: served.filed.clone(),
        namespace: scope(namespace).map(Into::into),
        after,
        timeout_secs: options.timeout_secs,
        bookmarks: options.bookmarks,
        content_type,
        now,
        initial,
        end_mark: options.initial_events == Some(true) && options.bookmarks,
        served: served.clone(),
        selection,
        shape,
        began: view.revision(),
    })
}
