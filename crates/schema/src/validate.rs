//! Structural validation of values, with the messages of k8s.io/kube-openapi `pkg/validation` as
//! k8s.io/apiextensions-apiserver `pkg/apiserver/validation/validation.go` turns them into field errors.

mod format;
#[cfg(test)]
mod tests;

use crate::graph::{Field, Scalar, Shape, Struct, Type};
use crate::rules::Rules;
use meta::{Fault, FaultRule, Map, Value};

/// Checks a value against types, required fields, enums and rules; every fault is reported.
///
/// CRDs: the whole schema but CEL; `metadata` is decoded and validated elsewhere. Built-in types:
/// required fields and enums.
pub fn validate(value: &Value, ty: &Type, path: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    match &ty.shape {
        Shape::Message(_) => builtin(value, ty, path, &mut faults),
        _ => node(value, ty, path, &mut faults),
    }
    faults
}

/// Items of sets and keyed lists of a custom resource that repeat an earlier one
/// (k8s.io/apiextensions-apiserver `pkg/apiserver/schema/listtype/validation.go`).
pub fn duplicates(value: &Value, ty: &Type, path: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    repeated(value, ty, path, &mut faults);
    faults
}

fn repeated(value: &Value, ty: &Type, path: &str, faults: &mut Vec<Fault>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match ty.child(key) {
                    Some(child) if !matches!(child.shape, Shape::Message(_)) => {
                        repeated(value, child, &join(path, key), faults);
                    }
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                let identity = identity(item, ty);
                if let Some(this) = &identity
                    && items[..at]
                        .iter()
                        .filter(|e| self::identity(e, ty).as_ref() == Some(this))
                        .count()
                        == 1
                {
                    faults.push(Fault::duplicate(format!("{path}[{at}]"), this.clone()));
                }
            }
            for (at, item) in items.iter().enumerate() {
                if let Some(item_type) = ty.item() {
                    repeated(item, item_type, &format!("{path}[{at}]"), faults);
                }
            }
        }
        _ => {}
    }
}

/// What tells an item of a set or keyed list from the others.
fn identity(item: &Value, ty: &Type) -> Option<Value> {
    match ty.list_kind()? {
        crate::graph::ListKind::Set => Some(item.clone()),
        crate::graph::ListKind::Map(keys) => {
            let item = item.as_object()?;
            let pairs =
                keys.iter().filter_map(|key| Some((key.to_string(), item.get(&**key)?.clone())));
            Some(Value::Object(pairs.collect()))
        }
        crate::graph::ListKind::Atomic => None,
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
}

/// Required fields and enums of Go types. A zero value counts as absent: Go cannot tell.
fn builtin(value: &Value, ty: &Type, path: &str, faults: &mut Vec<Fault>) {
    match (value, &ty.shape) {
        (Value::Object(map), Shape::Message(id)) => {
            for field in &crate::facts::message(*id).fields {
                builtin_field(map.get(&*field.name), field, &join(path, &field.name), faults);
            }
        }
        (Value::Object(map), Shape::Map(item)) => {
            map.iter().for_each(|(key, value)| builtin(value, item, &join(path, key), faults));
        }
        (Value::Array(items), Shape::List(list)) => {
            for (at, item) in items.iter().enumerate() {
                builtin(item, &list.item, &format!("{path}[{at}]"), faults);
            }
        }
        _ => {}
    }
}

fn builtin_field(value: Option<&Value>, field: &Field, path: &str, faults: &mut Vec<Fault>) {
    let set = value.filter(|v| !v.is_null() && **v != "");
    let Some(value) = set else {
        if field.required && !matches!(field.ty.shape, Shape::Message(_)) {
            faults.push(Fault::required(path, ""));
        }
        return;
    };
    if !field.options.is_empty() {
        let options: Vec<&str> = field.options.iter().map(|o| &**o).collect();
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for item in items {
            if !item.as_str().is_some_and(|text| options.contains(&text)) {
                faults.push(Fault::not_supported(path, item.clone(), &options));
            }
        }
    }
    builtin(value, &field.ty, path, faults);
}

fn node(value: &Value, ty: &Type, path: &str, faults: &mut Vec<Fault>) {
    if matches!(ty.shape, Shape::Message(_)) || value.is_null() && ty.nullable {
        return;
    }
    if let Some(wanted) = mismatch(value, ty) {
        let noun = noun(value);
        let why = format!("{path} in body must be of type {wanted}: {noun:?}");
        faults.push(Fault::new(FaultRule::TypeInvalid, path, Some(noun.into()), why));
        return;
    }
    if let Some(rules) = &ty.rules {
        junctors(value, rules, path, faults);
        match value {
            Value::String(text) => string(text, rules, path, faults),
            Value::Number(_) => number(value, rules, path, faults),
            Value::Array(items) => list(items, rules, path, faults),
            Value::Object(map) => object(map, rules, path, faults),
            _ => {}
        }
        enumeration(value, rules, path, faults);
    }
    children(value, ty, path, faults);
}

fn children(value: &Value, ty: &Type, path: &str, faults: &mut Vec<Fault>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if let Some(child) = ty.child(key) {
                    node(value, child, &join(path, key), faults);
                }
            }
        }
        Value::Array(items) => {
            if let Some(item_type) = ty.item() {
                for (at, item) in items.iter().enumerate() {
                    node(item, item_type, &format!("{path}[{at}]"), faults);
                }
            }
        }
        _ => {}
    }
}

/// The type a value should have been of.
fn mismatch(value: &Value, ty: &Type) -> Option<&'static str> {
    let integral = || value.as_f64().is_some_and(|f| f.fract() == 0.0);
    let (fine, wanted) = match &ty.shape {
        Shape::Scalar(Scalar::String) => (value.is_string(), "string"),
        Shape::Scalar(Scalar::Bool) => (value.is_boolean(), "boolean"),
        Shape::Scalar(Scalar::Int32 | Scalar::Int64) => (integral(), "integer"),
        Shape::Scalar(Scalar::Double) => (value.is_number(), "number"),
        Shape::Scalar(Scalar::IntOrString) => (integral() || value.is_string(), "integer,string"),
        Shape::List(_) => (value.is_array(), "array"),
        Shape::Object(_) | Shape::Map(_) if ty.is_object() => (value.is_object(), "object"),
        _ => (true, ""),
    };
    (!fine).then_some(wanted)
}

fn noun(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn invalid(path: &str, value: impl Into<Value>, why: String, faults: &mut Vec<Fault>) {
    faults.push(Fault::invalid(path, value, format!("{path} in body {why}")));
}

fn string(text: &str, rules: &Rules, path: &str, faults: &mut Vec<Fault>) {
    let length = text.chars().count() as u64;
    if let Some(most) = rules.max_length.filter(|most| length > *most) {
        let why = format!("may not be more than {most} bytes");
        faults.push(Fault::new(FaultRule::TooLong, path, None, why));
    }
    if let Some(least) = rules.min_length.filter(|least| length < *least) {
        invalid(path, text, format!("should be at least {least} chars long"), faults);
    }
    if let Some(pattern) = rules.pattern.as_ref().filter(|p| !p.0.is_match(text)) {
        invalid(path, text, format!("should match '{}'", pattern.0), faults);
    }
    if !format::is_valid(&rules.format, text) {
        let why = format!("{path} in body must be of type {}: {text:?}", rules.format);
        faults.push(Fault::new(FaultRule::TypeInvalid, path, Some(text.into()), why));
    }
}

fn number(value: &Value, rules: &Rules, path: &str, faults: &mut Vec<Fault>) {
    let given = value.as_f64().unwrap_or_default();
    let mut refuse = |why: String| invalid(path, value.clone(), why, faults);
    if let Some(most) = rules.maximum {
        if rules.exclusive_maximum && given >= most {
            refuse(format!("should be less than {most}"));
        } else if given > most {
            refuse(format!("should be less than or equal to {most}"));
        }
    }
    if let Some(least) = rules.minimum {
        if rules.exclusive_minimum && given <= least {
            refuse(format!("should be greater than {least}"));
        } else if given < least {
            refuse(format!("should be greater than or equal to {least}"));
        }
    }
    if let Some(step) =
        rules.multiple_of.filter(|step| *step > 0.0 && (given / step).fract() != 0.0)
    {
        refuse(format!("should be a multiple of {step}"));
    }
}

fn list(items: &[Value], rules: &Rules, path: &str, faults: &mut Vec<Fault>) {
    let count = items.len() as u64;
    if let Some(least) = rules.min_items.filter(|least| count < *least) {
        invalid(path, count, format!("should have at least {least} items"), faults);
    }
    if let Some(most) = rules.max_items.filter(|most| count > *most) {
        too_many(path, count, most, faults);
    }
    let repeated = || items.iter().enumerate().any(|(i, item)| items[..i].contains(item));
    if rules.unique_items && repeated() {
        invalid(path, Value::Array(items.to_vec()), "shouldn't contain duplicates".into(), faults);
    }
}

fn object(map: &Map, rules: &Rules, path: &str, faults: &mut Vec<Fault>) {
    let count = map.len() as u64;
    if let Some(least) = rules.min_properties.filter(|least| count < *least) {
        invalid(path, count, format!("should have at least {least} properties"), faults);
    }
    if let Some(most) = rules.max_properties.filter(|most| count > *most) {
        too_many(path, count, most, faults);
    }
    for name in rules.required.iter().filter(|name| !map.contains_key(&***name)) {
        faults.push(Fault::required(join(path, name), ""));
    }
}

fn too_many(path: &str, count: u64, most: u64, faults: &mut Vec<Fault>) {
    let why = format!("must have at most {most} {}", if most == 1 { "item" } else { "items" });
    faults.push(Fault::new(FaultRule::TooMany, path, Some(count.into()), why));
}

fn enumeration(value: &Value, rules: &Rules, path: &str, faults: &mut Vec<Fault>) {
    if rules.options.is_empty() || rules.options.contains(value) {
        return;
    }
    let shown: Vec<String> = rules
        .options
        .iter()
        .map(|option| option.as_str().map_or_else(|| option.to_string(), str::to_string))
        .collect();
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    faults.push(Fault::not_supported(path, value.clone(), &shown));
}

/// Upstream reports these without a field: the path stands in the text.
fn junctors(value: &Value, rules: &Rules, path: &str, faults: &mut Vec<Fault>) {
    let check = |ty: &Type| {
        let mut faults = Vec::new();
        node(value, ty, path, &mut faults);
        faults
    };
    let refuse = |why: String| Fault::invalid("<nil>", "", format!("{path:?} {why}"));
    if !rules.any_of.is_empty() {
        let results: Vec<_> = rules.any_of.iter().map(check).collect();
        if !results.iter().any(Vec::is_empty) {
            faults.push(refuse("must validate at least one schema (anyOf)".into()));
            faults.extend(results.into_iter().min_by_key(Vec::len).into_iter().flatten());
        }
    }
    if !rules.one_of.is_empty() {
        let results: Vec<_> = rules.one_of.iter().map(check).collect();
        let valid = results.iter().filter(|faults| faults.is_empty()).count();
        let must = "must validate one and only one schema (oneOf).";
        match valid {
            1 => {}
            0 => {
                faults.push(refuse(format!("{must} Found none valid")));
                faults.extend(results.into_iter().min_by_key(Vec::len).into_iter().flatten());
            }
            many => faults.push(refuse(format!("{must} Found {many} valid alternatives"))),
        }
    }
    if !rules.all_of.is_empty() {
        let results: Vec<_> = rules.all_of.iter().map(check).collect();
        let valid = results.iter().filter(|faults| faults.is_empty()).count();
        if valid < results.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            faults.push(refuse(format!("must validate all the schemas (allOf){none}")));
            faults.extend(results.into_iter().flatten());
        }
    }
    if rules.not.as_deref().is_some_and(|not| check(not).is_empty()) {
        faults.push(refuse("must not validate the schema (not)".into()));
    }
}

impl Type {
    /// Schemas below a junctor have properties without being typed `object`.
    fn is_object(&self) -> bool {
        let structure: Option<&Struct> = self.structure();
        structure.is_none_or(|object| !object.fields.is_empty()) || self.rules.is_none()
    }
}
