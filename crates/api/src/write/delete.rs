//! Delete: preconditions, grace, finalizers and propagation (apiserver `pkg/registry/rest/delete.go`,
//! `pkg/registry/generic/registry/store.go`).

use super::{Ctx, Rejected, Say, Step, Then};
use crate::answer::{Answer, Body, Page};
use crate::call::{DeleteOptions, Propagation};
use crate::object::{self, finalizers, from_stored, is_deleting, metadata};
use kinds::{Extras, Operation};
use meta::{Details, Problem, Time, Value};
use serde_json::json;
use std::sync::Arc;
use store::{Expect, Object, Op, Txn};

/// `DeleteOptions`, from body and query.
#[derive(Debug, Clone, Default)]
pub struct DeleteRequest {
    pub options: DeleteOptions,
    /// The deprecated `orphanDependents`.
    pub orphan_dependents: Option<bool>,
    pub dry_run: bool,
}

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

impl DeleteRequest {
    /// # Errors
    /// 400 when a member has the wrong type, 422 for an unknown policy.
    pub fn from_value(value: &Value) -> Result<Self, Problem> {
        let text = |path: &str| {
            let found = value.pointer(path).and_then(Value::as_str);
            found.map(str::to_string)
        };
        let mut request = Self {
            options: DeleteOptions {
                grace_secs: value.get("gracePeriodSeconds").and_then(Value::as_i64),
                uid: text("/preconditions/uid"),
                resource_version: text("/preconditions/resourceVersion"),
                propagation: None,
            },
            orphan_dependents: value.get("orphanDependents").and_then(Value::as_bool),
            dry_run: value.get("dryRun").and_then(Value::as_array).is_some_and(|d| !d.is_empty()),
        };
        request.set_propagation(text("/propagationPolicy").as_deref())?;
        Ok(request)
    }

    pub fn set_propagation(&mut self, text: Option<&str>) -> Result<(), Problem> {
        let policy = match text {
            None | Some("") => return Ok(()),
            Some("Orphan") => Propagation::Orphan,
            Some("Background") => Propagation::Background,
            Some("Foreground") => Propagation::Foreground,
            Some(other) => return Err(bad_policy(other)),
        };
        self.options.propagation = Some(policy);
        Ok(())
    }

    fn check(&self) -> Result<(), Problem> {
        if self.orphan_dependents.is_some() && self.options.propagation.is_some() {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            let fault = meta::Fault::invalid("propagationPolicy", "", why);
            return Err(Problem::invalid("meta.k8s.io", "DeleteOptions", "", &[fault]));
        }
        Ok(())
    }
}

fn bad_policy(given: &str) -> Problem {
    let known = ["Foreground", "Background", "Orphan", "nil"];
    let fault = meta::Fault::not_supported("propagationPolicy", given, &known);
    Problem::invalid("meta.k8s.io", "DeleteOptions", "", &[fault])
}

/// A DELETE of one object.
///
/// # Errors
/// What the client is told.
pub fn delete(ctx: &Ctx<'_>, request: &DeleteRequest) -> Result<Step, Problem> {
    request.check()?;
    let current = ctx.current()?;
    let old = from_stored(ctx.served, &current);
    let mut extras = Extras::default();
    let admit = ctx.admit(Operation::Delete, ctx.name, Some(&old));
    ctx.validate(&Value::Null, &admit, &mut extras)?;
    let step = remove(ctx, &current, old, request, extras)?;
    Ok(accepted(step, request))
}

/// An explicit cascade that is not over yet is only accepted.
fn accepted(step: Step, request: &DeleteRequest) -> Step {
    match step {
        Step::Commit(txn, then)
            if request.orphan_dependents == Some(false)
                && !matches!(txn.ops[0], Op::Delete { .. }) =>
        {
            Step::Commit(txn, Then { code: 202, ..then })
        }
        step => step,
    }
}

/// What deleting means for an object.
enum Fate {
    /// Nothing changes: it is being deleted already.
    Pending,
    /// It stays for now, like this.
    Marked(Value),
    Gone,
}

/// Deletes or marks `old`, a version of the stored `current`.
pub fn remove(
    ctx: &Ctx<'_>,
    current: &Arc<Object>,
    old: Value,
    request: &DeleteRequest,
    extras: Extras,
) -> Result<Step, Problem> {
    check_preconditions(ctx, current, &request.options)?;
    let dry = request.dry_run || ctx.options.dry_run;
    let rejected = match request.options.resource_version {
        Some(_) => Rejected::Tell,
        None => Rejected::Retry,
    };
    let then = ctx.then(200, &current.key.name, rejected);
    let expect = Expect::Revision(current.revision);
    let (also, waits) = match ctx.served.hooks.dependents {
        Some(dependents) if !is_deleting(&old) => dependents(&old, ctx.view, ctx.env.now),
        _ => (Vec::new(), true),
    };
    let mut extras = extras;
    extras.also.extend(also);
    match fate(ctx, old.clone(), request, waits) {
        Fate::Pending => Ok(Step::Done(Answer::ok(Body::Stored(current.clone())))),
        Fate::Marked(value) if dry => Ok(Step::Done(Answer::ok(Body::Value(value)))),
        Fate::Marked(value) => {
            let draft = object::draft(ctx.served, value);
            ctx.commit(Op::Put { draft, expect }, extras, then)
        }
        Fate::Gone => {
            let say = gone(ctx, current);
            if dry {
                let body = match say {
                    Say::Gone(details) => Body::Success(details),
                    _ => Body::Stored(current.clone()),
                };
                return Ok(Step::Done(Answer::ok(body)));
            }
            let key = current.key.clone();
            ctx.drop(Op::Delete { key, expect }, &old, extras, Then { say, ..then })
        }
    }
}

fn gone(ctx: &Ctx<'_>, current: &Object) -> Say {
    if ctx.served.traits.returns_deleted {
        return Say::Object;
    }
    Say::Gone(Box::new(Details {
        name: current.key.name.to_string(),
        group: ctx.resource().group().into(),
        kind: ctx.resource().plural().into(),
        uid: current.head.uid.to_string(),
        ..Details::default()
    }))
}

fn check_preconditions(
    ctx: &Ctx<'_>,
    current: &Object,
    options: &DeleteOptions,
) -> Result<(), Problem> {
    let name = &current.key.name;
    if let Some(uid) = options.uid.as_ref().filter(|uid| ***uid != *current.head.uid) {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            current.head.uid
        );
        return Err(Problem::conflict(ctx.resource(), name, &why));
    }
    let revision = current.revision.to_string();
    if let Some(version) = options.resource_version.as_ref().filter(|v| **v != revision) {
        let why = format!(
            "Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {revision}"
        );
        return Err(Problem::conflict(ctx.resource(), name, &why));
    }
    Ok(())
}

/// `waits`: whether something of another kind has to go first, where the kind has such things.
fn fate(ctx: &Ctx<'_>, old: Value, request: &DeleteRequest, waits: bool) -> Fate {
    let mut new = old.clone();
    let was_deleting = is_deleting(&old);
    let grace = match ctx.served.hooks.grace {
        Some(grace) => match graceful(&mut new, grace, request.options.grace_secs, ctx.env.now) {
            Grace::Pending => return Fate::Pending,
            Grace::Secs(secs) => secs,
            Grace::None => 0,
        },
        None => 0,
    };
    set_finalizers(ctx, &mut new, request);
    if let (false, true, Some(terminate)) = (was_deleting, waits, ctx.served.hooks.terminate) {
        terminate(&mut new);
    }
    let held = ctx.served.hooks.held.is_some_and(|held| held(&new));
    if held && finalizers(&new).is_empty() {
        mark(&mut new, &old, ctx.env.now);
        metadata(&mut new).remove("deletionGracePeriodSeconds");
    } else if !finalizers(&new).is_empty() {
        if grace == 0 {
            mark(&mut new, &old, ctx.env.now);
        }
    } else if grace == 0 {
        return Fate::Gone;
    }
    if new == old { Fate::Pending } else { Fate::Marked(new) }
}

enum Grace {
    Pending,
    Secs(i64),
    None,
}

/// rest.BeforeDelete for kinds with grace.
fn graceful(
    new: &mut Value,
    grace: fn(&Value, Option<i64>) -> i64,
    asked: Option<i64>,
    now: Time,
) -> Grace {
    if is_deleting(new) {
        let Some(before) = new["metadata"]["deletionGracePeriodSeconds"].as_i64() else {
            return Grace::None;
        };
        let Some(asked) = asked.filter(|asked| *asked < before) else { return Grace::Pending };
        let asked = if asked < 0 { 1 } else { asked };
        let then = Time::parse(object::meta_text(new, "deletionTimestamp")).unwrap_or(now);
        set_deleted(new, then.plus_secs(asked - before), asked);
        return Grace::Secs(asked);
    }
    let secs = grace(new, asked);
    set_deleted(new, now.plus_secs(secs), secs);
    bump(new);
    Grace::Secs(secs)
}

fn set_deleted(new: &mut Value, at: Time, grace: i64) {
    metadata(new).insert("deletionTimestamp".into(), at.rfc3339().into());
    metadata(new).insert("deletionGracePeriodSeconds".into(), grace.into());
}

fn bump(new: &mut Value) {
    if let Some(generation) = new["metadata"]["generation"].as_i64().filter(|g| *g > 0) {
        new["metadata"]["generation"] = (generation + 1).into();
    }
}

/// markAsDeleting: the object waits for its finalizers, without further grace.
fn mark(new: &mut Value, old: &Value, now: Time) {
    if !is_deleting(old) && !is_deleting(new) {
        bump(new);
    }
    let then = Time::parse(object::meta_text(new, "deletionTimestamp"));
    let at = then.filter(|then| *then <= now).unwrap_or(now);
    set_deleted(new, at, 0);
}

/// deletionFinalizersForGarbageCollection: what the dependents' fate adds to or takes from the finalizers.
fn set_finalizers(ctx: &Ctx<'_>, new: &mut Value, request: &DeleteRequest) {
    let before = finalizers(new);
    let has = |name: &str| before.iter().any(|f| f == name);
    let by_default = || ctx.served.hooks.orphans.is_some_and(|orphans| orphans(new));
    let (orphan, foreground) = match (request.options.propagation, request.orphan_dependents) {
        (Some(Propagation::Orphan), _) | (None, Some(true)) => (true, false),
        (Some(Propagation::Foreground), _) => (false, true),
        (Some(Propagation::Background), _) | (None, Some(false)) => (false, false),
        (None, None) if has(ORPHAN) => (true, false),
        (None, None) if has(FOREGROUND) => (false, true),
        (None, None) => (by_default(), false),
    };
    let mut after: Vec<_> =
        before.iter().filter(|f| *f != ORPHAN && *f != FOREGROUND).cloned().collect();
    for (wanted, name) in [(orphan, ORPHAN), (foreground, FOREGROUND)] {
        if wanted {
            after.push(name.into());
        }
    }
    if after.len() != before.len() || before.iter().any(|f| !after.contains(f)) {
        match after.is_empty() {
            true => drop(metadata(new).remove("finalizers")),
            false => drop(metadata(new).insert("finalizers".into(), json!(after))),
        }
    }
}

/// A DELETE of everything a list selects; answers the list as it was.
///
/// # Errors
/// The first refusal; then nothing is deleted.
pub fn delete_collection(
    ctx: &Ctx<'_>,
    page: Page,
    request: &DeleteRequest,
) -> Result<Step, Problem> {
    request.check()?;
    let mut txn = Txn::default();
    for current in &page.items {
        let one = Ctx { namespace: &current.key.namespace, name: &current.key.name, ..*ctx };
        if let Step::Commit(part, _) = delete(&one, request)? {
            txn.ops.extend(part.ops);
        }
    }
    if txn.ops.is_empty() {
        return Ok(Step::Done(Answer::ok(Body::Page(page))));
    }
    let then = ctx.then(200, "", Rejected::Retry);
    Ok(Step::Commit(txn, Then { at: usize::MAX, say: Say::Page(page), ..then }))
}
