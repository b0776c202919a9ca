//! Where v1.35 answers differently from v1.20 on purpose, and who says so.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// A request and what it met.
pub struct Asked<'a> {
    pub case: &'a Value,
    pub step: &'a Value,
    /// The stored object, null when there was none.
    pub before: Value,
}

/// One intended difference: makes of a recorded answer what v1.35 says, as far as this row knows.
pub struct Row {
    pub class: &'static str,
    pub source: &'static str,
    /// Whether the row had something to say; `got` tells what cannot be known beforehand.
    pub rewrite: fn(&Asked<'_>, &mut Value, &Value) -> bool,
}

pub const ROWS: &[Row] = &[
    Row {
        class: "a Service may be PUT without resourceVersion",
        source: "pkg/registry/core/service/strategy.go: AllowUnconditionalUpdate",
        rewrite: unconditional,
    },
    Row {
        class: "a null for what is not there deletes nothing",
        source: "apimachinery pkg/util/strategicpatch/patch.go: discardNullValuesFromPatch",
        rewrite: unmatched_nulls,
    },
    Row {
        class: "nodeSelector and a Service's selector are owned as a whole",
        source: "api core/v1/types.go: +mapType=atomic since v1.21",
        rewrite: atomic_selectors,
    },
    Row {
        class: "owning a map alone is not owning what is in it, but it is owning",
        source: "structured-merge-diff typed/reconcile_schema.go (4278010), typed/tofieldset.go (14e776d)",
        rewrite: bare_maps,
    },
    Row {
        class: "a conflict names its own field, not a neighbour",
        source: "structured-merge-diff merge/conflict.go: Path is copied (24aa83d)",
        rewrite: neighbours,
    },
    Row {
        class: "a struct goes with the last field its applier set",
        source: "structured-merge-diff merge/update.go: EnsureNamedFieldsAreMembers (2e74c28)",
        rewrite: emptied_probes,
    },
    Row {
        class: "merged lists have the order of what was applied",
        source: "structured-merge-diff typed/merge.go: prefer rhs ordering (b4c53cb)",
        rewrite: order,
    },
    Row {
        class: "a Job's pods carry prefixed labels too",
        source: "pkg/apis/batch/validation/validation.go: validateGeneratedSelector",
        rewrite: prefixed_labels,
    },
    Row {
        class: "items of custom lists have an index in causes",
        source: "kube-openapi pkg/validation/validate/slice_validator.go",
        rewrite: indexed_causes,
    },
];

fn unconditional(asked: &Asked<'_>, want: &mut Value, got: &Value) -> bool {
    let cause = json!(["FieldValueInvalid", "metadata.resourceVersion"]);
    let only = want["causes"] == json!([cause, cause]);
    let is = asked.case["kind"] == "services" && only && got["code"] == 200;
    if is {
        *want = got.clone();
    }
    is
}

// === strategic merge patch ===

fn unmatched_nulls(asked: &Asked<'_>, want: &mut Value, got: &Value) -> bool {
    if asked.step["type"] != "application/strategic-merge-patch+json" {
        return false;
    }
    // Where v1.20 saw a change and refused it, nothing changes now.
    if want.get("object").is_none() {
        let is = has_null(&asked.step["body"]) && got["code"] == 200;
        if is {
            *want = got.clone();
        }
        return is;
    }
    let mut is = without_nulls(&asked.step["body"], &mut want["object"]);
    // An item that only says `$patch: delete` was added where there was nothing to delete.
    let env = "/spec/template/spec/containers/0/env";
    if asked.step["body"].pointer(&format!("{env}/0/$patch")).is_some()
        && asked.before.pointer(env).is_none()
    {
        is = true;
        put(&mut want["object"], env, Value::Null);
    }
    if is {
        want["owners"] = got["owners"].clone();
        same_generation(want, got);
    }
    is
}

fn same_generation(want: &mut Value, got: &Value) {
    let generation = got["object"]["metadata"]["generation"].clone();
    put(&mut want["object"], "/metadata/generation", generation);
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.contains_key("$patch") || map.values().any(has_null),
        Value::Array(items) => items.iter().any(has_null),
        _ => false,
    }
}

/// Takes the empty strings out that v1.20 made of nulls.
fn without_nulls(patch: &Value, object: &mut Value) -> bool {
    let (Some(patch), Some(object)) = (patch.as_object(), object.as_object_mut()) else {
        return false;
    };
    let mut any = false;
    for (key, value) in patch {
        if value.is_null() && object.get(key).is_some_and(|v| v == "") {
            object.remove(key);
            any = true;
        } else if let Some(below) = object.get_mut(key)
            && without_nulls(value, below)
        {
            any = true;
            if below.as_object().is_some_and(Map::is_empty) {
                object.remove(key);
            }
        }
    }
    any
}

// === maps that became atomic ===

const SELECTORS: [(&str, &str, &str); 2] = [
    ("f:spec/f:selector", "/spec/selector", ".spec.selector"),
    (
        "f:spec/f:template/f:spec/f:nodeSelector",
        "/spec/template/spec/nodeSelector",
        ".spec.template.spec.nodeSelector",
    ),
];

fn atomic_selectors(asked: &Asked<'_>, want: &mut Value, got: &Value) -> bool {
    let (owned, at, cause) = SELECTORS[usize::from(asked.case["kind"] != "services")];
    let was = want.clone();
    let applied = asked.step["type"] == "application/apply-patch+yaml";
    let given = asked.step["body"].pointer(at).filter(|_| applied);
    if want.get("object").is_none() || got["code"] == 409 {
        refused(asked, (at, cause), given, want, got);
        return was != *want;
    }
    let writer = asked.step["query"]["fieldManager"].as_str().unwrap();
    let operation = if applied { "Apply" } else { "Update" };
    whole_owners(&mut want["owners"], owned);
    // An apply replaces the whole.
    if let Some(given) = given {
        put(&mut want["object"], at, given.clone());
    }
    let after = want["object"].pointer(at).filter(|v| !is_empty(v)).cloned();
    let taken = !asked.before.is_null() && asked.before.pointer(at) != after.as_ref();
    if taken {
        let there = after.is_some() || given.is_some();
        only_owner(&mut want["owners"], owned, &format!("{writer}/{operation}"), there);
        same_generation(want, got);
    }
    if after.is_none() {
        put(&mut want["object"], at, got["object"].pointer(at).cloned().unwrap_or_default());
    }
    was != *want
}

/// Sets a member, or takes it away when the value is null.
fn put(object: &mut Value, at: &str, value: Value) {
    let (parent, key) = at.rsplit_once('/').unwrap();
    let Some(parent) = object.pointer_mut(parent).and_then(Value::as_object_mut) else { return };
    match value {
        Value::Null => drop(parent.remove(key)),
        value => drop(parent.insert(key.into(), value)),
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

fn whole_owners(owners: &mut Value, owned: &str) {
    for (_, paths) in owners.as_object_mut().unwrap() {
        let cut = |path: &Value| {
            let path = path.as_str().unwrap();
            let below = path.strip_prefix(owned).is_some_and(|rest| rest.starts_with('/'));
            if below { owned.to_string() } else { path.to_string() }
        };
        let set: BTreeSet<String> = paths.as_array().unwrap().iter().map(cut).collect();
        *paths = json!(set);
    }
}

fn only_owner(owners: &mut Value, owned: &str, writer: &str, there: bool) {
    for (_, paths) in owners.as_object_mut().unwrap() {
        paths.as_array_mut().unwrap().retain(|path| path != owned);
    }
    if there {
        let mine = owners.as_object_mut().unwrap().entry(writer).or_insert_with(|| json!([]));
        mine.as_array_mut().unwrap().push(owned.into());
    }
}

/// Conflicts over entries are conflicts over the whole now, and there may be one where there was none.
fn refused(
    asked: &Asked<'_>,
    (at, cause): (&str, &str),
    given: Option<&Value>,
    want: &mut Value,
    got: &Value,
) {
    let differs = given.is_some() && asked.before.pointer(at) != given;
    if got["code"] != 409 || !differs {
        return;
    }
    let is_new = |c: &&Value| c[1] == cause;
    let new: Vec<_> = got["causes"].as_array().unwrap().iter().filter(is_new).cloned().collect();
    if want["code"] != 409 && new.len() == got["causes"].as_array().unwrap().len() {
        *want = got.clone();
    } else if let Some(causes) = want["causes"].as_array_mut() {
        causes.retain(|c| !c[1].as_str().unwrap().starts_with(cause));
        causes.extend(new);
        causes.sort_by_key(Value::to_string);
    }
}

// === maps owned without anything in them ===

/// Paths that somebody owns with nothing below them: v1.20 took such an owner for one of an atomic map and gave it
/// all there was below; and what nobody had put there, nobody could conflict over.
fn bare_maps(asked: &Asked<'_>, want: &mut Value, got: &Value) -> bool {
    let was = want.clone();
    let bare = bare_paths(&asked.before);
    let below = |path: &str, of: &str| path.strip_prefix(of).is_some_and(|r| r.starts_with('/'));
    if let (Some(owners), Some(ours)) = (want["owners"].as_object_mut(), got.get("owners")) {
        for (manager, paths) in owners {
            paths.as_array_mut().unwrap().retain(|path| {
                let text = path.as_str().unwrap();
                let mine = ours[manager].as_array().is_some_and(|ours| ours.contains(path));
                let at_or_below = |(who, of): &(String, String)| {
                    who == manager && (text == of || below(text, of))
                };
                mine || !bare.iter().any(at_or_below)
            });
        }
        for (_, path) in &bare {
            let at = path.replace("f:", "");
            if !path.contains(':')
                || path.contains("k:")
                || want.pointer(&format!("/object/{at}")).is_none()
            {
                continue;
            }
            let mine = got.pointer(&format!("/object/{at}")).cloned().unwrap_or_default();
            put(&mut want["object"], &format!("/{at}"), mine);
        }
    }
    conflicts_over_bare(&bare, want, got);
    was != *want
}

fn bare_paths(before: &Value) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for entry in before["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let who = format!(
            "{}/{}",
            entry["manager"].as_str().unwrap(),
            entry["operation"].as_str().unwrap()
        );
        let mut owned = BTreeSet::new();
        super::compare::leaves(&entry["fieldsV1"], "", &mut owned);
        let alone = |path: &&String| !owned.iter().any(|p| p.starts_with(&format!("{path}/")));
        out.extend(owned.iter().filter(alone).map(|path| (who.clone(), path.clone())));
    }
    out
}

fn conflicts_over_bare(bare: &[(String, String)], want: &mut Value, got: &Value) {
    if got["code"] != 409 && want["code"] != 409 {
        return;
    }
    let dotted: Vec<String> =
        bare.iter().map(|(_, path)| path.replace("f:", ".").replace('/', "")).collect();
    let none = Vec::new();
    let ours = got["causes"].as_array().unwrap_or(&none);
    let theirs = want["causes"].as_array().unwrap_or(&none);
    let path = |c: &Value| c[1].as_str().unwrap().to_string();
    let new: Vec<_> =
        ours.iter().filter(|c| !theirs.contains(c) && dotted.contains(&path(c))).cloned().collect();
    if want["code"] != 409 && !new.is_empty() && new.len() == ours.len() {
        *want = got.clone();
    } else if let Some(causes) = want["causes"].as_array_mut() {
        let under = |c: &Value| dotted.iter().any(|d| path(c).starts_with(&format!("{d}.")));
        causes.retain(|c| ours.contains(c) || !under(c));
        causes.extend(new);
        causes.sort_by_key(Value::to_string);
    }
}

// === conflicts ===

/// The conflicting path was kept in a buffer that walking on overwrote: of some paths v1.20 names a neighbour.
fn neighbours(_: &Asked<'_>, want: &mut Value, got: &Value) -> bool {
    if want["code"] != 409 || got["code"] != 409 {
        return false;
    }
    let paths = |v: &Value| -> Vec<String> {
        v["causes"].as_array().unwrap().iter().map(|c| c[1].as_str().unwrap().into()).collect()
    };
    let (theirs, ours) = (paths(want), paths(got));
    let left = |all: &[String], but: &[String]| -> Vec<String> {
        let mut but = but.to_vec();
        let seen = |path: &&String| match but.iter().position(|p| p == *path) {
            Some(at) => {
                but.remove(at);
                false
            }
            None => true,
        };
        all.iter().filter(seen).cloned().collect()
    };
    let (theirs_left, ours_left) = (left(&theirs, &ours), left(&ours, &theirs));
    let parent = |path: &str| path.rsplit_once('.').map(|(parent, _)| parent.to_string());
    let near = |path: &String| {
        ours_left.iter().any(|p| parent(p) == parent(path))
            || ours.iter().chain(&theirs).any(|p| p.starts_with(path.as_str()))
    };
    if ours_left.len() > theirs_left.len() || !theirs_left.iter().all(near) {
        return false;
    }
    want["causes"] = got["causes"].clone();
    true
}

// === structs that lose their last field ===

/// v1.20 left a probe whose applied fields went with the defaults of the rest, port 0 included.
fn emptied_probes(asked: &Asked<'_>, want: &mut Value, got: &Value) -> bool {
    if asked.step["type"] != "application/apply-patch+yaml" || want["code"] == 409 {
        return false;
    }
    let ported =
        |c: &Value| c[1].as_str().is_some_and(|path| path.ends_with(".livenessProbe.httpGet.port"));
    if want["message"].as_str().is_some_and(|m| m.contains(r#": \"null\""#)) && got["code"] == 200 {
        *want = got.clone();
        return true;
    }
    // Of lists and maps of custom resources it left null.
    let null = want["message"].as_str().is_some_and(|m| m.contains("must be of type"));
    let typed = |c: &Value| c[0] == "FieldValueTypeInvalid";
    let still = got["code"] == 422 && got["causes"].as_array().unwrap().iter().all(typed);
    if null && (got["code"] == 200 || still) {
        *want = got.clone();
        return true;
    }
    if let Some(causes) = want.get_mut("causes").and_then(Value::as_array_mut) {
        let before = causes.len();
        let mine = got["causes"].as_array().cloned().unwrap_or_default();
        let strategy = |c: &Value| c[1] == "spec.strategy.rollingUpdate" && !mine.contains(c);
        causes.retain(|c| !ported(c) && !strategy(c));
        let is = causes.len() < before;
        if is && causes.is_empty() {
            *want = got.clone();
        }
        return is;
    }
    let containers = want.pointer_mut("/object/spec/template/spec/containers");
    let mut any = false;
    for container in containers.and_then(Value::as_array_mut).into_iter().flatten() {
        let mine = got.pointer("/object/spec/template/spec/containers").and_then(Value::as_array);
        let mine = mine.into_iter().flatten().find(|c| c["name"] == container["name"]);
        let part = mine.and_then(|c| c.get("livenessProbe"));
        if part.is_some_and(|p| p.get("httpGet").is_none())
            && container["livenessProbe"]["httpGet"]["port"] == 0
        {
            container["livenessProbe"] = part.cloned().unwrap();
            any = true;
        }
        let gone = mine.is_some() && part.is_none();
        let owned =
            asked.before["metadata"]["managedFields"].to_string().contains("f:livenessProbe");
        if gone && owned && container.get("livenessProbe").is_some() {
            container.as_object_mut().unwrap().remove("livenessProbe");
            any = true;
        }
    }
    any
}

// === order ===

fn order(asked: &Asked<'_>, want: &mut Value, got: &Value) -> bool {
    // The order alone is a change.
    let generation = "/object/metadata/generation";
    if asked.step["type"] == "application/apply-patch+yaml"
        && let (Some(theirs), Some(ours)) = (want.pointer(generation), got.pointer(generation))
        && ours.as_i64() == theirs.as_i64().map(|n| n + 1)
    {
        *want.pointer_mut(generation).unwrap() = ours.clone();
        return true;
    }
    // Of several items with one name the later one is refused, whichever that is.
    let bare = |v: &Value| v["causes"].to_string().replace(|c: char| c.is_ascii_digit(), "");
    let is = want["code"] == 422
        && bare(want) == bare(got)
        && (bare(got).contains("Duplicate") || bare(got).contains("containers["));
    if is {
        want["causes"] = got["causes"].clone();
    }
    is
}

// === texts ===

fn prefixed_labels(asked: &Asked<'_>, want: &mut Value, got: &Value) -> bool {
    let own = |c: &&Value| c[1].as_str().is_some_and(|p| p.contains("labels[batch.kubernetes.io/"));
    let new: Vec<_> = got["causes"].as_array().into_iter().flatten().filter(own).cloned().collect();
    let is = asked.case["kind"] == "jobs" && want["code"] == 422 && !new.is_empty();
    if is {
        let causes = want["causes"].as_array_mut().unwrap();
        causes.extend(new);
        causes.sort_by_key(Value::to_string);
    }
    is
}

fn indexed_causes(asked: &Asked<'_>, want: &mut Value, got: &Value) -> bool {
    let bare = |path: &str| {
        let mut out = String::new();
        let mut inside = false;
        for c in path.chars() {
            inside = inside && c != ']' || c == '[';
            if !inside && c != ']' {
                out.push(c);
            }
        }
        out
    };
    let shape = |v: &Value| -> Vec<(String, String)> {
        let causes = v["causes"].as_array().into_iter().flatten();
        let mut all: Vec<_> =
            causes.map(|c| (c[0].to_string(), bare(c[1].as_str().unwrap()))).collect();
        all.sort();
        all
    };
    let is = asked.case["kind"] == "widgets"
        && want["code"] == 422
        && shape(want) == shape(got)
        && want["causes"] != got["causes"];
    if is {
        want["causes"] = got["causes"].clone();
    }
    is
}
