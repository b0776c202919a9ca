//! `autoscaling/v1 Scale` over any object with replicas.

use super::Ctx;
use crate::catalog::{Action, ScaleSelector, Served};
use crate::object::meta_text;
use kinds::Selector;
use meta::{Fault, Problem, Value};
use serde_json::json;

/// The scale of an object.
pub fn of(served: &Served, action: &Action, object: &Value) -> Value {
    let Action::Scale { replicas, status, selector } = action else { return Value::Null };
    let mut metadata = json!({});
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !meta_text(object, key).is_empty() {
            metadata[key] = meta_text(object, key).into();
        }
    }
    let number = |path: &str| at(object, path).and_then(Value::as_i64);
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {},
        "status": { "replicas": number(status).unwrap_or(0) },
    });
    if let Some(replicas) = number(replicas).filter(|n| *n != 0 || !served.custom) {
        scale["spec"]["replicas"] = replicas.into();
    }
    let selector = selector_text(selector, object);
    if !selector.is_empty() {
        scale["status"]["selector"] = selector.into();
    }
    if scale["spec"]["replicas"] == 0 {
        scale["spec"] = json!({});
    }
    scale
}

fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.trim_start_matches('.').split('.').try_fold(object, |v, key| v.get(key))
}

fn selector_text(selector: &ScaleSelector, object: &Value) -> String {
    match selector {
        ScaleSelector::Path(path) if path.is_empty() => String::new(),
        ScaleSelector::Path(path) => at(object, path).map_or(String::new(), kinds::plain),
        ScaleSelector::Row(Selector::Map) => kinds::joined_pairs(object, "spec.selector"),
        ScaleSelector::Row(Selector::Labels) => kinds::selector_text(object, "spec.selector"),
    }
}

/// The object with the replicas of a PUT scale.
pub fn put(ctx: &Ctx<'_>, old: &Value, scale: &Value) -> Result<Value, Problem> {
    let Some(Action::Scale { replicas, .. }) = ctx.sub.map(|s| &s.action) else {
        return Err(Problem::internal("scale without a scale action"));
    };
    let wanted = at(scale, "spec.replicas").and_then(Value::as_i64).unwrap_or(0);
    if wanted < 0 {
        let why = "must be greater than or equal to 0";
        let fault = Fault::invalid("spec.replicas", wanted, why);
        return Err(Problem::invalid("autoscaling", "Scale", ctx.name, &[fault]));
    }
    let mut new = old.clone();
    for key in ["resourceVersion", "uid"] {
        let given = meta_text(scale, key);
        crate::object::metadata(&mut new).remove(key);
        if !given.is_empty() {
            new["metadata"][key] = given.into();
        }
    }
    set(&mut new, replicas, wanted.into());
    Ok(new)
}

fn set(object: &mut Value, path: &str, value: Value) {
    let mut slot = object;
    for key in path.trim_start_matches('.').split('.') {
        if !slot.is_object() {
            *slot = json!({});
        }
        slot = &mut slot[key];
    }
    *slot = value;
}
