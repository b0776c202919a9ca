//! Create.

use super::metadata::{begin, generated};
use super::update::Source;
use super::{Ctx, Rejected, Step};
use crate::answer::{Answer, Body};
use crate::object::{self, meta_text};
use kinds::{Extras, Generation, Operation, Review};
use merge::At;
use meta::{Problem, Reason, Value};
use store::{Expect, Op};

/// A new object.
///
/// # Errors
/// What the client is told.
pub fn create(ctx: &Ctx<'_>, mut value: Value) -> Result<Step, Problem> {
    place(ctx, &mut value)?;
    if let Some(review) = ctx.served.hooks.review {
        return answer_review(ctx, review, value);
    }
    if !meta_text(&value, "resourceVersion").is_empty() {
        let why = "resourceVersion should not be set on objects to be created";
        return Err(Problem::new(Reason::InternalError, why));
    }
    store(ctx, value, Source::Put)
}

/// Defaults, admits, checks and stores; after an apply the managedFields are computed already.
pub fn store(ctx: &Ctx<'_>, mut value: Value, source: Source) -> Result<Step, Problem> {
    let mut extras = Extras::default();
    ctx.default(&mut value);
    let name = meta_text(&value, "name").to_string();
    begin(&mut value, &ctx.env.entropy, ctx.env.now);
    if ctx.served.hooks.generation != Generation::Never || ctx.served.custom {
        object::metadata(&mut value).insert("generation".into(), 1.into());
    }
    if ctx.served.has_status() && !ctx.served.traits.creates_status {
        value.as_object_mut().map(|o| o.remove("status"));
    }
    let admit = ctx.admit(Operation::Create, &name, None);
    ctx.mutate(&mut value, &admit, &mut extras)?;
    if let Some(prepare) = ctx.served.hooks.prepare {
        prepare(&mut value, None);
    }
    ctx.default(&mut value);
    if source != Source::Apply {
        value = track(ctx, value);
    }
    tidy(ctx, &mut value);
    ctx.check(&value, None)?;
    ctx.validate(&value, &admit, &mut extras)?;
    if ctx.served.custom && kinds::is_terminating(&ctx.served.filed, ctx.view) {
        let why = "create not allowed while custom resource definition is terminating";
        return Err(Problem::forbidden(ctx.resource(), &name, why));
    }
    let key = object::key(ctx.served, ctx.namespace, &name);
    if ctx.view.get(&key).is_some() {
        return Err(Problem::already_exists(ctx.resource(), &name));
    }
    if ctx.options.dry_run {
        let answer = Answer { code: 201, body: Body::Value(value), warnings: extras.warnings };
        return Ok(Step::Done(answer));
    }
    let put = Op::Put { draft: object::draft(ctx.served, value), expect: Expect::Absent };
    let then = ctx.then(201, &name, Rejected::Tell);
    ctx.commit(put, extras, then)
}

/// Name, namespace and type of the body against the request.
pub fn place(ctx: &Ctx<'_>, value: &mut Value) -> Result<(), Problem> {
    if ctx.served.namespaced {
        let given = meta_text(value, "namespace").to_string();
        if !given.is_empty() && given != ctx.namespace {
            return Err(Problem::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        object::metadata(value).insert("namespace".into(), ctx.namespace.into());
    } else {
        object::metadata(value).remove("namespace");
    }
    if meta_text(value, "name").is_empty() {
        object::metadata(value).remove("name");
        let base = meta_text(value, "generateName").to_string();
        if !base.is_empty() {
            let name = generated(&base, &ctx.env.entropy);
            object::metadata(value).insert("name".into(), name.into());
        }
    }
    Ok(())
}

fn answer_review(
    ctx: &Ctx<'_>,
    review: fn(&mut Value, &Review<'_>) -> Result<(), Problem>,
    mut value: Value,
) -> Result<Step, Problem> {
    ctx.default(&mut value);
    review(
        &mut value,
        &Review {
            identity: ctx.env.identity,
            now: ctx.env.now,
            view: ctx.view,
            authorizer: ctx.authorizer,
            tokens: ctx.tokens,
            namespace: ctx.namespace,
        },
    )?;
    Ok(Step::Done(Answer::new(201, Body::Value(value))))
}

fn track(ctx: &Ctx<'_>, value: Value) -> Value {
    let zero = super::update::zero(ctx);
    let ignored = super::update::ignored(ctx);
    let version = ctx.served.api_version();
    let target = merge::Target { at: At(ctx.served.ty.as_ref()), zero: &zero, ignored: &ignored };
    merge::track(None, value, merge::Writer { api_version: &version, ..ctx.writer() }, target)
}

/// As Go would serialise it.
pub fn tidy(ctx: &Ctx<'_>, value: &mut Value) {
    match &ctx.served.ty {
        Some(ty) if !ctx.served.custom => schema::normalise(value, ty),
        // Of a custom resource only the metadata is a Go struct (apiextensions' `schema/objectmeta`).
        Some(ty) => {
            if let (Some(ty), Some(metadata)) = (ty.child("metadata"), value.get_mut("metadata")) {
                schema::normalise(metadata, ty);
            }
        }
        None => {}
    }
    value["apiVersion"] = ctx.served.api_version().into();
    value["kind"] = (*ctx.served.gvk.kind).into();
}
