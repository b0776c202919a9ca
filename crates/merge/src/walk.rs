//! Walking values by their schema: which fields a value sets, how two values differ, one value over another,
//! and a value without some fields.
//!
//! Semantics of structured-merge-diff `typed/{tofieldset,compare,merge,remove}.go`.

use crate::fieldset::{FieldSet, Step};
use crate::shape::{At, Form};
use meta::{Map, Value};
use std::collections::BTreeMap;

/// How `new` differs from `old`. Containers that appear or vanish are in the sets themselves too.
#[derive(Debug, Default)]
pub struct Comparison {
    pub added: FieldSet,
    pub modified: FieldSet,
    pub removed: FieldSet,
}

// === fields a value sets ===

/// Every field that `value` sets: leaves, items of keyed lists, entries of maps.
pub fn field_set(value: &Value, at: At<'_>) -> FieldSet {
    let mut out = FieldSet::default();
    collect(value, at, &mut out);
    out
}

fn collect(value: &Value, at: At<'_>, out: &mut FieldSet) {
    match (at.form(value), value) {
        (Form::Map, Value::Object(members)) => {
            for (name, member) in members {
                collect_member(name, member, at, out);
            }
        }
        (Form::Set | Form::Keyed(_), Value::Array(items)) => {
            for item in items {
                let Ok(step) = at.step(item) else { continue };
                out.insert_here(step.clone());
                collect(item, at.item(), out.below_mut(step));
            }
        }
        _ => {}
    }
}

fn collect_member(name: &str, member: &Value, at: At<'_>, out: &mut FieldSet) {
    let child = at.field(name);
    let step = Step::Field(name.into());
    let empty = member.is_null() || member.as_object().is_some_and(Map::is_empty);
    if empty || child.form(member) == Form::Leaf || !at.declares(name) {
        out.insert_here(step.clone());
    }
    collect(member, child, out.below_mut(step));
}

// === how two values differ ===

/// Compares two values of one type.
pub fn compare(old: &Value, new: &Value, at: At<'_>) -> Comparison {
    let mut out = Comparison::default();
    differ(Some(old), Some(new), at, &mut Vec::new(), &mut out);
    out
}

fn differ(
    old: Option<&Value>,
    new: Option<&Value>,
    at: At<'_>,
    path: &mut Vec<Step>,
    out: &mut Comparison,
) {
    match at.form_of_either(old, new) {
        Form::Map => differ_members(old, new, at, path, out),
        Form::Set | Form::Keyed(_) => differ_items(old, new, at, path, out),
        Form::Leaf => {
            if let (Some(old), Some(new)) = (old, new)
                && !same(old, new)
            {
                out.modified.insert(path);
            }
        }
    }
    match (old, new) {
        (None, Some(_)) => out.added.insert(path),
        (Some(_), None) => out.removed.insert(path),
        _ => {}
    }
}

fn differ_members(
    old: Option<&Value>,
    new: Option<&Value>,
    at: At<'_>,
    path: &mut Vec<Step>,
    out: &mut Comparison,
) {
    let none = Map::new();
    let old = old.and_then(Value::as_object).unwrap_or(&none);
    let new = new.and_then(Value::as_object).unwrap_or(&none);
    let fresh = new.keys().filter(|name| !old.contains_key(*name));
    for name in old.keys().chain(fresh) {
        path.push(Step::Field(name.clone()));
        differ(old.get(name), new.get(name), at.field(name), path, out);
        path.pop();
    }
}

fn differ_items(
    old: Option<&Value>,
    new: Option<&Value>,
    at: At<'_>,
    path: &mut Vec<Step>,
    out: &mut Comparison,
) {
    let (old, new) = (Items::of(old, at), Items::of(new, at));
    let fresh = new.order.iter().filter(|step| !old.by_step.contains_key(*step));
    for step in old.order.iter().chain(fresh) {
        path.push(step.clone());
        let (before, after) = (old.by_step.get(step), new.by_step.get(step));
        differ(before.copied(), after.copied(), at.item(), path, out);
        path.pop();
    }
}

/// Items of a list by step; of repeated steps the first counts.
struct Items<'a> {
    order: Vec<Step>,
    by_step: BTreeMap<Step, &'a Value>,
}

impl<'a> Items<'a> {
    fn of(list: Option<&'a Value>, at: At<'_>) -> Self {
        let mut out = Self { order: Vec::new(), by_step: BTreeMap::new() };
        for item in list.and_then(Value::as_array).into_iter().flatten() {
            if let Ok(step) = at.step(item)
                && !out.by_step.contains_key(&step)
            {
                out.order.push(step.clone());
                out.by_step.insert(step, item);
            }
        }
        out
    }
}

/// Equality of leaves; numbers are equal by value, so that `1` is `1.0`.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y))
        }
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(k, v)| y.get(k).is_some_and(|w| same(v, w)))
        }
        _ => a == b,
    }
}

// === one value over another ===

/// `over` laid over `base`: leaves of `over` win, keyed lists and maps are merged.
pub fn merge(base: &Value, over: &Value, at: At<'_>) -> Value {
    combine(Some(base), Some(over), at).unwrap_or(Value::Null)
}

fn combine(base: Option<&Value>, over: Option<&Value>, at: At<'_>) -> Option<Value> {
    match at.form_of_either(base, over) {
        Form::Leaf => over.or(base).cloned(),
        Form::Map => Some(combine_members(base, over, at)),
        Form::Set | Form::Keyed(_) => Some(combine_items(base, over, at)),
    }
}

fn combine_members(base: Option<&Value>, over: Option<&Value>, at: At<'_>) -> Value {
    let none = Map::new();
    let base = base.and_then(Value::as_object).unwrap_or(&none);
    let over = over.and_then(Value::as_object).unwrap_or(&none);
    let fresh = over.keys().filter(|name| !base.contains_key(*name));
    let merged = base.keys().chain(fresh).filter_map(|name| {
        let value = combine(base.get(name), over.get(name), at.field(name))?;
        Some((name.clone(), value))
    });
    Value::Object(merged.collect())
}

/// Items keep the order of `over`; items only in `base` stay where they were relative to their neighbours.
fn combine_items(base: Option<&Value>, over: Option<&Value>, at: At<'_>) -> Value {
    let (base, over) = (Items::of(base, at), Items::of(over, at));
    let mut shared = over.order.iter().filter(|s| base.by_step.contains_key(*s)).peekable();
    let mut left = base.order.iter().peekable();
    let mut right = over.order.iter().peekable();
    let mut out = Vec::new();
    let mut take = |step: &Step| {
        let (b, o) = (base.by_step.get(step).copied(), over.by_step.get(step).copied());
        out.extend(combine(b, o, at.item()));
    };
    loop {
        match (left.peek().copied(), right.peek().copied()) {
            (None, None) => break,
            (Some(l), Some(r)) if l == r => {
                take(l);
                left.next();
                right.next();
                shared.next();
            }
            (Some(l), None) if over.by_step.contains_key(l) => drop(left.next()),
            (Some(l), Some(_))
                if over.by_step.contains_key(l) && shared.peek().is_some_and(|s| *s != l) =>
            {
                left.next();
            }
            (Some(l), _) if !over.by_step.contains_key(l) => {
                take(l);
                left.next();
            }
            (_, Some(r)) => {
                take(r);
                right.next();
                shared.next_if(|s| *s == r);
            }
            (Some(_), None) => drop(left.next()),
        }
    }
    Value::Array(out)
}

// === a value without some fields ===

/// `value` without the members of `gone`. A container that becomes empty is null where it stood, unless it is a
/// member itself; at the top it is nothing.
pub fn remove(value: &Value, gone: &FieldSet, at: At<'_>) -> Option<Value> {
    match (at.form(value), value) {
        (Form::Map, Value::Object(members)) if !members.is_empty() => {
            let kept: Map = members
                .iter()
                .filter_map(|(name, member)| {
                    let step = Step::Field(name.clone());
                    Some((name.clone(), remove_at(&step, member, gone, at.field(name))?))
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        (Form::Set | Form::Keyed(_), Value::Array(items)) if !items.is_empty() => {
            let kept: Vec<_> = items
                .iter()
                .filter_map(|item| match at.step(item) {
                    Ok(step) => remove_at(&step, item, gone, at.item()),
                    Err(_) => Some(item.clone()),
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        (Form::Leaf, Value::Array(_) | Value::Object(_)) | (_, Value::Null) => None,
        _ => Some(value.clone()),
    }
}

fn remove_at(step: &Step, value: &Value, gone: &FieldSet, at: At<'_>) -> Option<Value> {
    if gone.is_member(step) {
        return None;
    }
    match gone.below(step) {
        Some(below) if !below.is_empty() => Some(remove(value, below, at).unwrap_or_default()),
        _ => Some(value.clone()),
    }
}

/// Makes the struct fields on the way to members of `set` members themselves, so that a struct that loses its
/// last field goes as well.
pub fn with_struct_fields(set: &FieldSet, at: At<'_>) -> FieldSet {
    let mut out = FieldSet::default();
    for (step, member, below) in set.steps() {
        let child = match step {
            Step::Field(name) => at.field(name),
            _ => at.item(),
        };
        let on_the_way =
            !below.is_empty() && matches!(step, Step::Field(name) if at.declares(name));
        if member || on_the_way {
            out.insert_here(step.clone());
        }
        *out.below_mut(step.clone()) = with_struct_fields(below, child);
    }
    out
}
