//! Patches of every kind: computed here, stored like an update.

use super::update::Source;
use super::{Ctx, Step, create, scale, update};
use crate::call::{Patch, PatchKind};
use crate::catalog::Action;
use crate::object::{from_stored, meta_text, metadata};
use merge::{At, Force};
use meta::{Gvk, Problem, Reason, Value};

/// A PATCH.
///
/// # Errors
/// What the client is told.
pub fn patch(ctx: &Ctx<'_>, patch: &Patch) -> Result<Step, Problem> {
    if let PatchKind::Apply { force } = patch.kind {
        return apply(ctx, &patch.body, if force { Force::Yes } else { Force::No });
    }
    let current = ctx.current()?;
    let old = from_stored(ctx.served, &current);
    if let Some(action @ Action::Scale { .. }) = ctx.sub.map(|s| &s.action) {
        let before = scale::of(ctx.served, action, &old);
        let ty = ctx.sub.and_then(|s| s.ty.as_ref());
        let mut wanted = patched(&before, patch, At(ty))?;
        if wanted["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"] {
            metadata(&mut wanted).remove("resourceVersion");
        }
        let new = scale::put(ctx, &old, &wanted)?;
        return update::replace(ctx, &current, old, new, Source::Patch);
    }
    if ctx.served.custom && patch.kind == PatchKind::Strategic {
        return Err(unsupported());
    }
    let mut new = patched(&old, patch, At(ctx.served.ty.as_ref()))?;
    same_object(ctx, &new, &old)?;
    // Only a version that the patch itself names is a precondition.
    if new["metadata"]["resourceVersion"] == old["metadata"]["resourceVersion"]
        && !names_version(patch)
    {
        metadata(&mut new).remove("resourceVersion");
    }
    let warnings = crate::decode::known_only(ctx, &mut new)?.unwrap_or_default();
    Ok(warned(update::replace(ctx, &current, old, new, Source::Patch)?, warnings))
}

/// Adds warnings to whatever comes of a write.
pub fn warned(step: Step, warnings: Vec<String>) -> Step {
    match step {
        Step::Done(mut answer) => {
            answer.warnings.splice(0..0, warnings);
            Step::Done(answer)
        }
        Step::Commit(txn, mut then) => {
            then.warnings.splice(0..0, warnings);
            Step::Commit(txn, then)
        }
    }
}

fn unsupported() -> Problem {
    Problem::new(
        Reason::UnsupportedMediaType,
        "the body of the request was in an unknown format - accepted media types include: \
         application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
    )
}

fn names_version(patch: &Patch) -> bool {
    patch.body.pointer("/metadata/resourceVersion").is_some_and(|v| !v.is_null())
}

fn patched(old: &Value, patch: &Patch, at: At<'_>) -> Result<Value, Problem> {
    match patch.kind {
        PatchKind::Json => merge::json_patch(old, &patch.body),
        PatchKind::Merge => match patch.body.is_object() {
            true => Ok(merge::merge_patch(old, &patch.body)),
            false => {
                Err(Problem::bad_request("error decoding patch: merge patch must be an object"))
            }
        },
        PatchKind::Strategic => merge::strategic(old, &patch.body, at),
        PatchKind::Apply { .. } => Err(Problem::internal("apply is no plain patch")),
    }
}

/// A patch may not turn the object into another one.
fn same_object(ctx: &Ctx<'_>, new: &Value, old: &Value) -> Result<(), Problem> {
    let text =
        |v: &Value, key: &str| v.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
    let gvk = |v: &Value| Gvk::parse(&text(v, "apiVersion"), &text(v, "kind"));
    if !new.is_object() || gvk(new) != gvk(old) {
        return Err(Problem::bad_request(format!(
            "the API version in the data ({}) does not match the expected API version ({})",
            text(new, "apiVersion"),
            ctx.served.api_version()
        )));
    }
    for key in ["name", "namespace"] {
        let (was, is) = (meta_text(old, key), meta_text(new, key));
        if was != is && !is.is_empty() {
            return Err(Problem::bad_request(format!(
                "the {key} of the object ({is}) does not match the {key} on the URL ({was})"
            )));
        }
    }
    Ok(())
}

/// Server-side apply; creates what is not there.
fn apply(ctx: &Ctx<'_>, config: &Value, force: Force) -> Result<Step, Problem> {
    let mut config = config.clone();
    fits(ctx, &config)?;
    same_name(ctx, &mut config)?;
    let current = match ctx.current() {
        Ok(current) => Some(current),
        Err(problem) if ctx.sub.is_some() => return Err(problem),
        Err(_) => None,
    };
    let live = current.as_ref().map(|c| from_stored(ctx.served, c));
    if live.is_none() && !meta_text(&config, "uid").is_empty() {
        let why = "uid mismatch: the provided object specified uid ";
        let message =
            format!("{why}{}, and no existing object was found", meta_text(&config, "uid"));
        return Err(Problem::conflict(ctx.resource(), ctx.name, &message));
    }
    let (zero, ignored) = (update::zero(ctx), update::ignored(ctx));
    let version = ctx.served.api_version();
    let writer = merge::Writer { api_version: &version, ..ctx.writer() };
    let target = merge::Target { at: At(ctx.served.ty.as_ref()), zero: &zero, ignored: &ignored };
    let pinned = meta_text(&config, "resourceVersion").to_string();
    let applied = merge::apply(live.as_ref(), &config, force, writer, target)?;
    let mut object = applied.object;
    metadata(&mut object).remove("resourceVersion");
    if !pinned.is_empty() {
        metadata(&mut object).insert("resourceVersion".into(), pinned.into());
    }
    match (current, live) {
        (Some(current), Some(live)) => update::replace(ctx, &current, live, object, Source::Apply),
        _ => {
            create::place(ctx, &mut object)?;
            create::store(ctx, object, Source::Apply)
        }
    }
}

/// What is applied must fit the schema, whatever `fieldValidation` says (`managedfields/internal/structuredmerge.go`).
fn fits(ctx: &Ctx<'_>, config: &Value) -> Result<(), Problem> {
    let misfits = merge::misfits(config, At(ctx.served.ty.as_ref()));
    let text = match misfits.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    let gvk = &ctx.served.gvk;
    Err(Problem::new(
        Reason::Unknown,
        format!(
            "failed to create typed patch object ({}/{}; {}, Kind={}): {text}",
            ctx.namespace,
            meta_text(config, "name"),
            gvk.api_version(),
            gvk.kind,
        ),
    ))
}

fn same_name(ctx: &Ctx<'_>, config: &mut Value) -> Result<(), Problem> {
    let name = meta_text(config, "name").to_string();
    if !name.is_empty() && name != ctx.name {
        return Err(Problem::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            ctx.name
        )));
    }
    metadata(config).insert("name".into(), ctx.name.into());
    if ctx.served.namespaced {
        metadata(config).insert("namespace".into(), ctx.namespace.into());
    }
    Ok(())
}
