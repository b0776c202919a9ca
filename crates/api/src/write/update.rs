//! Update, and every write of a part of an object.

use super::create::{self, tidy};
use super::metadata::carry;
use super::{Ctx, Rejected, Say, Step, Then, scale};
use crate::answer::{Answer, Body};
use crate::catalog::Action;
use crate::object::{self, finalizers, from_stored, is_deleting, meta_text, metadata};
use kinds::{Extras, Generation, Operation};
use merge::{At, FieldSet};
use meta::{Fault, Map, Problem, Value};
use std::sync::Arc;
use store::{Expect, Object, Op};

/// A PUT.
///
/// # Errors
/// What the client is told.
pub fn update(ctx: &Ctx<'_>, mut value: Value) -> Result<Step, Problem> {
    check_address(ctx, &mut value)?;
    let current = match ctx.current() {
        Err(_) if ctx.sub.is_none() && ctx.served.traits.put_creates => {
            metadata(&mut value).remove("resourceVersion");
            create::place(ctx, &mut value)?;
            return create::store(ctx, value, Source::Put);
        }
        other => other?,
    };
    let old = from_stored(ctx.served, &current);
    if let Some(Action::Scale { .. }) = ctx.sub.map(|s| &s.action) {
        let new = scale::put(ctx, &old, &value)?;
        return replace(ctx, &current, old, new, Source::Put);
    }
    if meta_text(&value, "resourceVersion").is_empty() && !ctx.served.traits.unconditional {
        let why = "must be specified for an update";
        let fault = Fault::invalid("metadata.resourceVersion", 0, why);
        ctx.refuse(ctx.name, &[fault])?;
    }
    replace(ctx, &current, old, value, Source::Put)
}

/// The body must be about the object in the path.
fn check_address(ctx: &Ctx<'_>, value: &mut Value) -> Result<(), Problem> {
    let (name, namespace) =
        (meta_text(value, "name").to_string(), meta_text(value, "namespace").to_string());
    if name.is_empty() && ctx.sub.is_none() {
        metadata(value).insert("name".into(), ctx.name.into());
    } else if !name.is_empty() && name != ctx.name {
        return Err(Problem::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            ctx.name
        )));
    }
    if !namespace.is_empty() && namespace != ctx.namespace {
        return Err(Problem::bad_request(format!(
            "the namespace of the object ({namespace}) does not match the namespace on the URL ({})",
            ctx.namespace
        )));
    }
    metadata(value).insert("name".into(), ctx.name.into());
    if ctx.served.namespaced {
        metadata(value).insert("namespace".into(), ctx.namespace.into());
    }
    Ok(())
}

/// Where a new version of an object comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Put,
    Patch,
    /// Server-side apply, which has computed the managedFields.
    Apply,
}

/// Writes `new` over `old` as the endpoint of `ctx` may.
pub fn replace(
    ctx: &Ctx<'_>,
    current: &Arc<Object>,
    old: Value,
    mut new: Value,
    source: Source,
) -> Result<Step, Problem> {
    let rejected = pin(ctx, current, &new, source)?;
    let mut extras = Extras::default();
    metadata(&mut new).remove("resourceVersion");
    carry(&mut new, &old);
    ctx.default(&mut new);
    if source != Source::Apply {
        tidy(ctx, &mut new);
        keep(ctx, &mut new, &old);
        new = track(ctx, &old, new);
    } else {
        keep(ctx, &mut new, &old);
    }
    let admit = ctx.admit(Operation::Update, ctx.name, Some(&old));
    ctx.mutate(&mut new, &admit, &mut extras)?;
    prepare(ctx, &mut new, &old);
    ctx.default(&mut new);
    tidy(ctx, &mut new);
    count(ctx, &mut new, &old);
    ctx.check(&new, Some(&old))?;
    ctx.validate(&new, &admit, &mut extras)?;
    finish(ctx, current, old, new, extras, rejected)
}

/// Optimistic locking: the version and uid the client names must be the current ones.
fn pin(ctx: &Ctx<'_>, current: &Object, new: &Value, source: Source) -> Result<Rejected, Problem> {
    let uid = meta_text(new, "uid");
    // A patch may not name another uid either, but that is for validation to say.
    let other = !uid.is_empty() && *uid != *current.head.uid;
    if other && source == Source::Put {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            current.head.uid
        );
        return Err(Problem::conflict(ctx.resource(), ctx.name, &why));
    }
    match meta_text(new, "resourceVersion") {
        "" | "0" => Ok(Rejected::Retry),
        version if version == current.revision.to_string() => Ok(Rejected::Tell),
        version => match version.parse::<u64>() {
            Ok(_) => Err(Problem::modified(ctx.resource(), ctx.name)),
            Err(_) => {
                let why = format!("strconv.ParseUint: parsing {version:?}: invalid syntax");
                let fault = Fault::invalid("metadata.resourceVersion", version, why);
                ctx.refuse(ctx.name, &[fault])?;
                Ok(Rejected::Tell)
            }
        },
    }
}

/// Drops what this endpoint may not write.
fn keep(ctx: &Ctx<'_>, new: &mut Value, old: &Value) {
    match ctx.sub.map(|s| &s.action) {
        Some(Action::Part { keep, .. }) => keep(new, old),
        Some(_) => {}
        None if ctx.served.has_status() => {
            let object = new.as_object_mut().expect("metadata was set, so it is an object");
            match old.get("status") {
                Some(status) => drop(object.insert("status".into(), status.clone())),
                None => drop(object.remove("status")),
            }
        }
        None => {}
    }
}

fn prepare(ctx: &Ctx<'_>, new: &mut Value, old: &Value) {
    if let (None, Some(prepare)) = (ctx.sub, ctx.served.hooks.prepare) {
        prepare(new, Some(old));
    }
}

/// `metadata.generation` counts changes outside `metadata` and `status`.
fn count(ctx: &Ctx<'_>, new: &mut Value, old: &Value) {
    let counts = ctx.served.hooks.generation != Generation::Never || ctx.served.custom;
    let notes = ctx.served.hooks.generation == Generation::SpecAndAnnotations
        && new["metadata"].get("annotations") != old["metadata"].get("annotations");
    if ctx.sub_name() == "status" || !counts || !(notes || spec_differs(ctx, new, old)) {
        return;
    }
    let before = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
    metadata(new).insert("generation".into(), (before + 1).into());
}

/// A custom resource without a status subresource counts its status as well.
fn spec_differs(ctx: &Ctx<'_>, new: &Value, old: &Value) -> bool {
    let status = ctx.served.has_status();
    let aside = |key: &str| key == "metadata" || (key == "status" && status);
    let members = |v: &Value| -> Map {
        let all = v.as_object().into_iter().flatten();
        all.filter(|(k, _)| !aside(k)).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    members(new) != members(old)
}

fn track(ctx: &Ctx<'_>, old: &Value, new: Value) -> Value {
    let (zero, ignored) = (zero(ctx), ignored(ctx));
    let version = ctx.served.api_version();
    let target = merge::Target { at: At(ctx.served.ty.as_ref()), zero: &zero, ignored: &ignored };
    merge::track(Some(old), new, merge::Writer { api_version: &version, ..ctx.writer() }, target)
}

/// What an empty object of the kind serialises to.
pub fn zero(ctx: &Ctx<'_>) -> Value {
    let mut zero = Value::Object(Map::new());
    tidy(ctx, &mut zero);
    zero
}

/// Fields nobody can own through this endpoint (the strategies' `GetResetFields`).
pub fn ignored(ctx: &Ctx<'_>) -> FieldSet {
    let mut set = FieldSet::default();
    let mut add = |field: &str| set.insert(&[merge::Step::Field(field.into())]);
    match ctx.sub_name() {
        "" if ctx.served.has_status() => add("status"),
        "status" => add("spec"),
        _ => {}
    }
    set
}

/// Stores the new version, deletes what was only waiting for this write, or leaves everything as it is.
fn finish(
    ctx: &Ctx<'_>,
    current: &Arc<Object>,
    old: Value,
    new: Value,
    extras: Extras,
    rejected: Rejected,
) -> Result<Step, Problem> {
    let say = match ctx.sub.map(|s| &s.action) {
        Some(action @ Action::Scale { .. }) => Say::Scale(action.clone()),
        _ => Say::Object,
    };
    let then = Then { say, ..ctx.then(200, ctx.name, rejected) };
    if ctx.options.dry_run {
        let body = match &then.say {
            Say::Scale(action) => scale::of(ctx.served, action, &new),
            _ => shown(new, current),
        };
        let answer = Answer { code: 200, body: Body::Value(body), warnings: extras.warnings };
        return Ok(Step::Done(answer));
    }
    let expect = Expect::Revision(current.revision);
    if is_over(ctx, &old, &new) {
        let key = current.key.clone();
        return ctx.drop(Op::Delete { key, expect }, &old, extras, then);
    }
    if extras.also.is_empty() && same(&old, &new) {
        let settled = then.settle(Ok(store::Receipt {
            revision: current.revision,
            objects: vec![Some(current.clone())],
        }));
        if let super::Settled::Answer(mut answer) = settled {
            answer.warnings = extras.warnings;
            return Ok(Step::Done(answer));
        }
        return Err(Problem::internal("an unchanged object has an answer"));
    }
    let put = Op::Put { draft: object::draft(ctx.served, new), expect };
    ctx.commit(put, extras, then)
}

fn shown(mut new: Value, current: &Object) -> Value {
    metadata(&mut new).insert("resourceVersion".into(), current.revision.to_string().into());
    new
}

/// An object that is being deleted goes with its last finalizer (ShouldDeleteDuringUpdate).
fn is_over(ctx: &Ctx<'_>, old: &Value, new: &Value) -> bool {
    let grace = old.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64);
    let held = ctx.served.hooks.held.is_some_and(|held| held(new));
    is_deleting(new) && finalizers(new).is_empty() && !held && grace.unwrap_or(0) == 0
}

/// Equal but for the version and the times of managedFields.
fn same(old: &Value, new: &Value) -> bool {
    let bare = |v: &Value| {
        let mut v = v.clone();
        metadata(&mut v).remove("resourceVersion");
        let fields = v.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
        for entry in fields.into_iter().flatten().filter_map(Value::as_object_mut) {
            entry.remove("time");
        }
        v
    };
    bare(old) == bare(new)
}

/// GET of a subresource: the object itself, or its scale.
///
/// # Errors
/// 404.
pub fn get_part(ctx: &Ctx<'_>) -> Result<Answer, Problem> {
    let current = ctx.current()?;
    Ok(match ctx.sub.map(|s| &s.action) {
        Some(action @ Action::Scale { .. }) => {
            let value = from_stored(ctx.served, &current);
            Answer::ok(Body::Value(scale::of(ctx.served, action, &value)))
        }
        _ => Answer::ok(Body::Stored(current)),
    })
}
