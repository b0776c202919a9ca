//! Commands that change objects: scale, label, annotate, patch, set, edit.

use super::apply::{managed, patch as send};
use super::print::Output;
use super::select::{self, Found};
use super::{DryRun, dry_run, text, yaml};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use meta::{Map, Value};
use serde_json::json;

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// `a=b,c=d` as a map.
pub fn pairs(text: &str) -> Value {
    let pair = |part: &str| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        (key.trim().to_owned(), Value::from(value.trim()))
    };
    Value::Object(text.split(',').filter(|part| !part.is_empty()).map(pair).collect())
}

/// Arguments before those that are changes.
fn split(call: &Call, is_change: impl Fn(&str) -> bool) -> (Vec<String>, Vec<String>) {
    let at = call.args.iter().position(|word| is_change(word)).unwrap_or(call.args.len());
    (call.args[..at].to_vec(), call.args[at..].to_vec())
}

pub async fn scale(call: &Call) -> Result<u8, Failure> {
    let Some(replicas) = call.number::<i64>("replicas")? else {
        return Err(Failure::plain("error: required flag(s) \"replicas\" not set"));
    };
    let (cluster, kinds, found) = select::fetched(call, &call.args).await?;
    let output = Output::of(call)?;
    let dry = dry_run(call)?;
    let current = call.number::<i64>("current-replicas")?.filter(|n| *n >= 0);
    for one in &found {
        let seen = one.object["spec"]["replicas"].as_i64().unwrap_or_default();
        if let Some(expected) = current.filter(|expected| *expected != seen) {
            let why = format!("Expected replicas to be {expected}, was {seen}");
            return Err(Failure::plain(format!("error: {why}")));
        }
        let mut done = one.object.clone();
        if dry != DryRun::Client {
            let path = managed(&format!("{}/scale", one.path()), "kubectl-scale", dry);
            let change = json!({ "spec": { "replicas": replicas } });
            let answer = send(&cluster, &path, MERGE, &change).await;
            answer.map_err(|e| Failure::kube(format!("scale {}", one.word()), &e))?;
        }
        done["apiVersion"] = one.kind.api_version().into();
        done["kind"] = one.kind.kind.as_str().into();
        output.object(call, &kinds, &done, &format!("scaled{}", dry.suffix()))?;
    }
    Ok(0)
}

pub async fn label(call: &Call) -> Result<u8, Failure> {
    marks(call, "labels", "labeled", "unlabeled").await
}

pub async fn annotate(call: &Call) -> Result<u8, Failure> {
    marks(call, "annotations", "annotated", "annotated").await
}

/// Labels and annotations: `key=value` sets, `key-` removes.
async fn marks(call: &Call, member: &str, done: &str, undone: &str) -> Result<u8, Failure> {
    let is_change = |word: &str| word.contains('=') || (word.ends_with('-') && word.len() > 1);
    let (words, changes) = split(call, is_change);
    let lists = call.has("list");
    if changes.is_empty() && !lists {
        let what = if member == "labels" { "label" } else { "annotation" };
        return Err(Failure::plain(format!("error: at least one {what} update is required")));
    }
    let (cluster, kinds, found) = select::fetched(call, &words).await?;
    let output = Output::of(call)?;
    let dry = dry_run(call)?;
    for one in &found {
        if lists {
            let known = one.object["metadata"][member].as_object().cloned().unwrap_or_default();
            known
                .iter()
                .for_each(|(k, v)| out::line(format!("{k}={}", v.as_str().unwrap_or_default())));
            continue;
        }
        let patch = marks_patch(call, one, member, &changes)?;
        let unchanged = changes_nothing(&one.object["metadata"][member], &patch);
        let removes = patch.values().all(Value::is_null);
        let said = match (unchanged, removes) {
            (true, _) if member == "labels" => format!("not {done}"),
            (true, _) => done.to_owned(),
            (false, true) => undone.to_owned(),
            (false, false) => done.to_owned(),
        };
        let mut seen = one.object.clone();
        if dry != DryRun::Client && !unchanged {
            let manager = if member == "labels" { "kubectl-label" } else { "kubectl-annotate" };
            let path = managed(&one.path(), manager, dry);
            let body = json!({ "metadata": { member: patch } });
            let answer = send(&cluster, &path, MERGE, &body).await;
            seen = answer.map_err(|e| Failure::kube(format!("change {}", one.word()), &e))?;
        }
        output.object(call, &kinds, &seen, &format!("{said}{}", dry.suffix()))?;
    }
    Ok(0)
}

fn marks_patch(call: &Call, one: &Found, member: &str, changes: &[String]) -> Result<Map, Failure> {
    let known = one.object["metadata"][member].as_object().cloned().unwrap_or_default();
    let mut patch = Map::new();
    for change in changes {
        match change.split_once('=') {
            Some((key, value)) => {
                let old = known.get(key).and_then(Value::as_str);
                if let Some(old) = old.filter(|old| *old != value && !call.has("overwrite")) {
                    let why =
                        format!("'{key}' already has a value ({old}), and --overwrite is false");
                    return Err(Failure::plain(format!("error: {why}")));
                }
                patch.insert(key.to_owned(), value.into());
            }
            None => {
                let key = change.trim_end_matches('-');
                if !known.contains_key(key) && member == "labels" {
                    out::line(format!("label \"{key}\" not found."));
                }
                patch.insert(key.to_owned(), Value::Null);
            }
        }
    }
    Ok(patch)
}

fn changes_nothing(known: &Value, patch: &Map) -> bool {
    patch.iter().all(|(key, value)| known.get(key).unwrap_or(&Value::Null) == value)
}

pub async fn patch(call: &Call) -> Result<u8, Failure> {
    let source = match (call.get("patch"), call.get("patch-file")) {
        (Some(text), None) => text.to_owned(),
        (None, Some(path)) => {
            std::fs::read_to_string(path).map_err(|e| Failure::new(format!("read `{path}`"), e))?
        }
        _ => {
            return Err(Failure::plain(
                "error: must specify --patch or --patch-file containing the contents of the patch",
            ));
        }
    };
    let body = schema::yaml_to_json(source.as_bytes())
        .map_err(|e| Failure::plain(format!("error: unable to parse \"{source}\": {e}")))?
        .value;
    let sort = match call.get("type").unwrap_or("strategic") {
        "strategic" => STRATEGIC,
        "merge" => MERGE,
        "json" => "application/json-patch+json",
        other => return Err(call.bad_value("type", other, "it is json, merge or strategic")),
    };
    let (cluster, kinds, found) = select::fetched(call, &call.args).await?;
    let output = Output::of(call)?;
    let dry = dry_run(call)?;
    let sub = call.get("subresource").map(|sub| format!("/{sub}")).unwrap_or_default();
    for one in &found {
        let path = managed(&format!("{}{sub}", one.path()), "kubectl-patch", dry);
        let done = send(&cluster, &path, sort, &body).await;
        let done = done.map_err(|e| Failure::kube(format!("patch {}", one.word()), &e))?;
        let same = text(&done, "/metadata/resourceVersion")
            == text(&one.object, "/metadata/resourceVersion");
        let said = if same { "patched (no change)" } else { "patched" };
        output.object(call, &kinds, &done, &format!("{said}{}", dry.suffix()))?;
    }
    Ok(0)
}

/// The pod spec inside an object.
fn pod_spec(object: &Value) -> Option<&Value> {
    let places = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];
    let inner = places.iter().find_map(|place| object.pointer(place));
    inner.or_else(|| (object["kind"] == "Pod").then(|| &object["spec"]))
}

/// A patch of the pod spec at its place.
fn around(object: &Value, spec: Value) -> Value {
    if object.pointer("/spec/jobTemplate").is_some() {
        json!({ "spec": { "jobTemplate": { "spec": { "template": { "spec": spec } } } } })
    } else if object.pointer("/spec/template").is_some() {
        json!({ "spec": { "template": { "spec": spec } } })
    } else {
        json!({ "spec": spec })
    }
}

/// Patches containers of every object and says what was done.
async fn set_containers(
    call: &Call,
    words: &[String],
    said: &str,
    change: impl Fn(&str) -> Option<Value>,
) -> Result<u8, Failure> {
    let (cluster, kinds, found) = select::fetched(call, words).await?;
    let output = Output::of(call)?;
    let dry = dry_run(call)?;
    for one in &found {
        let mut object = one.object.clone();
        object["kind"] = one.kind.kind.as_str().into();
        object["apiVersion"] = one.kind.api_version().into();
        let spec = pod_spec(&object);
        let spec = spec
            .ok_or_else(|| Failure::plain(format!("error: {} has no pod template", one.word())))?;
        let mut patch = Map::new();
        for list in ["containers", "initContainers"] {
            let names = spec[list].as_array().into_iter().flatten().map(|c| text(c, "/name"));
            let changed: Vec<Value> = names
                .filter_map(|name| {
                    let mut one = change(name)?;
                    one["name"] = name.into();
                    Some(one)
                })
                .collect();
            if !changed.is_empty() {
                patch.insert(list.to_owned(), changed.into());
            }
        }
        if patch.is_empty() {
            return Err(Failure::plain(
                "error: unable to find container named in the command line",
            ));
        }
        let body = around(&object, Value::Object(patch));
        let mut done = object.clone();
        if dry != DryRun::Client {
            let path = managed(&one.path(), "kubectl-set", dry);
            let answer = send(&cluster, &path, STRATEGIC, &body).await;
            done = answer.map_err(|e| Failure::kube(format!("change {}", one.word()), &e))?;
        }
        let same = text(&done, "/metadata/resourceVersion")
            == text(&one.object, "/metadata/resourceVersion");
        if !same || dry == DryRun::Client || !output.is_plain() {
            output.object(call, &kinds, &done, &format!("{said}{}", dry.suffix()))?;
        }
    }
    Ok(0)
}

pub async fn set_image(call: &Call) -> Result<u8, Failure> {
    let (words, changes) = split(call, |word| word.contains('='));
    if changes.is_empty() {
        return Err(Failure::plain("error: at least one image update is required"));
    }
    let images: Vec<(&str, &str)> = changes.iter().filter_map(|c| c.split_once('=')).collect();
    let change = |name: &str| {
        let found = images.iter().find(|(container, _)| *container == name || *container == "*");
        found.map(|(_, image)| json!({ "image": image }))
    };
    set_containers(call, &words, "image updated", change).await
}

/// Whether `-c` names a container; without it, all.
fn chosen(call: &Call, name: &str) -> bool {
    call.get("containers").is_none_or(|wanted| wanted == "*" || wanted == name)
}

pub async fn set_env(call: &Call) -> Result<u8, Failure> {
    let is_change = |word: &str| word.contains('=') || word.ends_with('-');
    let (words, changes) = split(call, is_change);
    let list: Vec<Value> = changes
        .iter()
        .map(|change| match change.split_once('=') {
            Some((name, value)) => json!({ "name": name, "value": value }),
            None => json!({ "name": change.trim_end_matches('-'), "$patch": "delete" }),
        })
        .collect();
    if list.is_empty() {
        return Err(Failure::plain("error: at least one environment variable must be provided"));
    }
    set_containers(call, &words, "env updated", |name| {
        chosen(call, name).then(|| json!({ "env": list }))
    })
    .await
}

pub async fn set_resources(call: &Call) -> Result<u8, Failure> {
    let mut resources = json!({});
    for flag in ["limits", "requests"] {
        if let Some(text) = call.get(flag) {
            resources[flag] = pairs(text);
        }
    }
    set_containers(call, &call.args, "resource requirements updated", |name| {
        chosen(call, name).then(|| json!({ "resources": resources }))
    })
    .await
}

const HELP: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,\n# and an empty file will abort the edit. If an error occurs while saving this file will be\n# reopened with the relevant failures.\n#\n";

pub async fn edit(call: &Call) -> Result<u8, Failure> {
    let (cluster, kinds, found) = select::fetched(call, &call.args).await?;
    let output = Output::of(call)?;
    for one in &found {
        let mut before = one.object.clone();
        super::print::strip_managed(&mut before);
        let Some(after) = edited(&before, &one.kind.plural)? else {
            out::line("Edit cancelled, no changes made.");
            continue;
        };
        let patch = merge_patch(&before, &after);
        let path = managed(&one.path(), "kubectl-edit", DryRun::None);
        let done = send(&cluster, &path, MERGE, &patch).await;
        let done = done.map_err(|e| Failure::kube(format!("edit {}", one.word()), &e))?;
        output.object(call, &kinds, &done, "edited")?;
    }
    Ok(0)
}

/// The object as the person's editor leaves it; nothing when nothing changed.
fn edited(before: &Value, name: &str) -> Result<Option<Value>, Failure> {
    let path =
        std::env::temp_dir().join(format!("boxship-edit-{}-{name}.yaml", std::process::id()));
    let failed = |e: std::io::Error| Failure::new(format!("edit `{}`", path.display()), e);
    let original = format!("{HELP}{}", yaml::emit(before));
    std::fs::write(&path, &original).map_err(failed)?;
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let editor = set("KUBE_EDITOR").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".into());
    let status = std::process::Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "edit"])
        .arg(&path)
        .status()
        .map_err(failed)?;
    let text = std::fs::read_to_string(&path).map_err(failed)?;
    // A leftover in the directory for such files does no harm.
    let _ = std::fs::remove_file(&path);
    if !status.success() {
        return Err(Failure::new(format!("run the editor `{editor}`"), status));
    }
    if text == original || text.lines().all(|line| line.trim().is_empty() || line.starts_with('#'))
    {
        return Ok(None);
    }
    let parsed = schema::yaml_to_json(text.as_bytes());
    let value = parsed
        .map_err(|e| Failure::plain(format!("error: the edited file is not YAML: {e}")))?
        .value;
    Ok((value != *before).then_some(value))
}

/// What turns one value into the other, as RFC 7386 says it.
fn merge_patch(before: &Value, after: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (before, after) else { return after.clone() };
    let mut out = Map::new();
    for (key, value) in new {
        match old.get(key) {
            Some(known) if known == value => {}
            Some(known) => drop(out.insert(key.clone(), merge_patch(known, value))),
            None => drop(out.insert(key.clone(), value.clone())),
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        out.insert(key.clone(), Value::Null);
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_say_what_changed() {
        let before = json!({ "a": 1, "b": { "c": 1, "d": 2 }, "e": [1] });
        let after = json!({ "a": 1, "b": { "c": 3 }, "e": [1, 2] });
        let patch = merge_patch(&before, &after);
        assert_eq!(patch, json!({ "b": { "c": 3, "d": null }, "e": [1, 2] }));
    }
}
