//! Subresources that act: binding, eviction, token.

use super::delete::{DeleteRequest, remove};
use super::{Ctx, Rejected, Say, Step, Then};
use crate::answer::{Answer, Body};
use crate::catalog::Action;
use crate::object::{self, from_stored};
use kinds::{Act, Also, AlsoChange, Effect, Extras, Operation};
use meta::{Gvk, Problem, Value};
use store::{Expect, Op};

/// POST to a subresource with a body of its own kind.
///
/// # Errors
/// What the client is told.
pub fn act(ctx: &Ctx<'_>, body: &Value) -> Result<Step, Problem> {
    let Some(Action::Act(run)) = ctx.sub.map(|s| &s.action) else {
        return Err(crate::server::method_not_allowed());
    };
    let current = ctx.current()?;
    let mut extras = Extras::default();
    let mut body = body.clone();
    if let Some(ty) = ctx.sub.and_then(|s| s.ty.as_ref()) {
        schema::apply_defaults(&mut body, ty);
    }
    let admit = ctx.admit(Operation::Create, ctx.name, None);
    ctx.mutate(&mut body, &admit, &mut extras)?;
    ctx.validate(&body, &admit, &mut extras)?;
    let effect = run(&Act {
        parent: &current,
        body: &body,
        now: ctx.env.now,
        identity: ctx.env.identity,
        view: ctx.view,
        tokens: ctx.tokens,
    })?;
    match effect {
        Effect::Answer(value) => Ok(Step::Done(Answer::new(201, Body::Value(value)))),
        Effect::Write { mut parent, answer } => {
            if ctx.options.dry_run {
                return Ok(Step::Done(Answer::new(201, Body::Value(answer))));
            }
            super::create::tidy(ctx, &mut parent);
            let draft = object::draft(ctx.served, parent);
            let put = Op::Put { draft, expect: Expect::Revision(current.revision) };
            let then = ctx.then(201, ctx.name, Rejected::Retry);
            ctx.commit(put, extras, Then { say: Say::Value(answer), ..then })
        }
        Effect::Delete { options, parent, also } => {
            let request = DeleteRequest::from_value(&options)?;
            extras.also.extend(also.into_iter().filter_map(|v| named(ctx, v)));
            let old = parent.unwrap_or_else(|| from_stored(ctx.served, &current));
            let step = remove(ctx, &current, old, &request, extras)?;
            Ok(succeeded(step))
        }
    }
}

/// An eviction answers Status Success whatever became of the pod.
fn succeeded(step: Step) -> Step {
    match step {
        Step::Done(_) => Step::Done(Answer::new(201, Body::Success(Box::default()))),
        Step::Commit(txn, then) => {
            Step::Commit(txn, Then { code: 201, say: Say::Gone(Box::default()), ..then })
        }
    }
}

fn named(ctx: &Ctx<'_>, value: Value) -> Option<Also> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let gvk = Gvk::parse(text("apiVersion"), text("kind"));
    let served = ctx.catalog.order.iter().find(|s| s.gvk == gvk)?;
    Some(Also { resource: served.filed.clone(), change: AlsoChange::Replace(value) })
}
