//! `config`: the kubeconfig itself.

use super::{loaded, text, yaml};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use meta::Value;
use remote::Kubeconfig;
use serde_json::json;
use std::path::PathBuf;

pub async fn view(call: &Call) -> Result<u8, Failure> {
    let mut config = loaded(call)?.value;
    if call.has("minify") {
        minify(&mut config, call.get("context"));
    }
    if !call.has("raw") {
        redact(&mut config);
    }
    config["preferences"] = json!({});
    match call.get("output") {
        None | Some("yaml") => out::write(yaml::emit(&config).as_bytes()),
        Some("json") => out::line(super::print::four_spaces(&config)),
        Some(format) => {
            let template = format.strip_prefix("jsonpath=").ok_or_else(|| {
                call.bad_value("output", format, "it is yaml, json or jsonpath=...")
            })?;
            let template = super::jsonpath::Template::parse(template).map_err(Failure::plain)?;
            out::write(template.render(&config).map_err(Failure::plain)?.as_bytes());
        }
    }
    Ok(0)
}

fn minify(config: &mut Value, context: Option<&str>) {
    let name = context.map_or_else(|| text(config, "/current-context").to_owned(), str::to_owned);
    let contexts = config["contexts"].as_array().cloned().unwrap_or_default();
    let Some(context) = contexts.iter().find(|c| c["name"] == name.as_str()) else { return };
    let keep = [
        ("contexts", name.clone()),
        ("clusters", text(context, "/context/cluster").to_owned()),
        ("users", text(context, "/context/user").to_owned()),
    ];
    for (list, name) in keep {
        if let Some(entries) = config[list].as_array_mut() {
            entries.retain(|entry| entry["name"] == name.as_str());
        }
    }
}

/// What is secret, and what kubectl prints instead.
fn redact(config: &mut Value) {
    const HIDDEN: &[(&str, &str, &str, &str)] = &[
        ("clusters", "cluster", "certificate-authority-data", "DATA+OMITTED"),
        ("users", "user", "client-certificate-data", "DATA+OMITTED"),
        ("users", "user", "client-key-data", "DATA+OMITTED"),
        ("users", "user", "token", "REDACTED"),
        ("users", "user", "password", "REDACTED"),
    ];
    for (list, member, key, instead) in HIDDEN {
        for entry in config[*list].as_array_mut().into_iter().flatten() {
            if let Some(value) = entry.get_mut(*member).and_then(|m| m.get_mut(*key)) {
                *value = (*instead).into();
            }
        }
    }
}

pub async fn current(call: &Call) -> Result<u8, Failure> {
    let config = loaded(call)?;
    match config.current() {
        "" => Err(Failure::plain("error: current-context is not set")),
        name => {
            out::line(name);
            Ok(0)
        }
    }
}

pub async fn contexts(call: &Call) -> Result<u8, Failure> {
    let config = loaded(call)?;
    let all = config.value["contexts"].as_array().cloned().unwrap_or_default();
    if call.get("output") == Some("name") {
        all.iter().for_each(|one| out::line(text(one, "/name")));
        return Ok(0);
    }
    let mut rows = Vec::new();
    if !call.has("no-headers") {
        let headings = ["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"];
        rows.push(headings.map(str::to_owned).to_vec());
    }
    for one in all
        .iter()
        .filter(|one| call.args.is_empty() || call.args.contains(&text(one, "/name").to_owned()))
    {
        let mark = if text(one, "/name") == config.current() { "*" } else { "" };
        let mut row = vec![mark.to_owned(), text(one, "/name").to_owned()];
        row.extend(
            ["cluster", "user", "namespace"]
                .map(|key| text(&one["context"], &format!("/{key}")).to_owned()),
        );
        rows.push(row);
    }
    out::write(out::kube_table(&rows).as_bytes());
    Ok(0)
}

pub async fn clusters(call: &Call) -> Result<u8, Failure> {
    out::line("NAME");
    let config = loaded(call)?;
    for one in config.value["clusters"].as_array().into_iter().flatten() {
        out::line(text(one, "/name"));
    }
    Ok(0)
}

/// The file changes go to, as it is.
fn file(call: &Call) -> Result<(PathBuf, Value), Failure> {
    let path = match call.get("kubeconfig") {
        Some(path) => PathBuf::from(path),
        None => Kubeconfig::default_paths().into_iter().next().unwrap_or_default(),
    };
    let read = std::fs::read(&path);
    let bytes = read.map_err(|e| Failure::new(format!("read `{}`", path.display()), e))?;
    let parsed = schema::yaml_to_json(&bytes);
    let value = parsed.map_err(|e| Failure::new(format!("read `{}`", path.display()), e))?.value;
    Ok((path, value))
}

/// Whole or not at all, with the mode it had.
fn write(path: &PathBuf, value: &Value) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::new(format!("write `{}`", path.display()), e);
    let part = path.with_extension(format!("part-{}", std::process::id()));
    std::fs::write(&part, yaml::emit(value)).map_err(failed)?;
    let mode = std::fs::metadata(path).map_err(failed)?.permissions();
    std::fs::set_permissions(&part, mode).map_err(failed)?;
    std::fs::rename(&part, path).map_err(failed)
}

pub async fn use_context(call: &Call) -> Result<u8, Failure> {
    let name = &call.args[0];
    if loaded(call)?.entry("contexts", name).is_none() {
        return Err(Failure::plain(format!("error: no context exists with the name: \"{name}\"")));
    }
    let (path, mut value) = file(call)?;
    value["current-context"] = name.as_str().into();
    write(&path, &value)?;
    out::line(format!("Switched to context \"{name}\"."));
    Ok(0)
}

pub async fn set_context(call: &Call) -> Result<u8, Failure> {
    let (path, mut value) = file(call)?;
    let current = text(&value, "/current-context").to_owned();
    let name = match (call.has("current"), call.args.first()) {
        (true, _) => current,
        (false, Some(name)) => name.clone(),
        (false, None) => {
            return Err(Failure::plain(
                "error: you must specify a non-empty context name or --current",
            ));
        }
    };
    if value["contexts"].as_array().is_none() {
        value["contexts"] = json!([]);
    }
    let contexts = value["contexts"].as_array_mut().expect("it was just made one");
    let known = contexts.iter().position(|one| one["name"] == name.as_str());
    let at = known.unwrap_or_else(|| {
        contexts.push(json!({ "name": name, "context": { "cluster": "", "user": "" } }));
        contexts.len() - 1
    });
    for flag in ["cluster", "user", "namespace"] {
        if let Some(given) = call.get(flag) {
            contexts[at]["context"][flag] = given.into();
        }
    }
    write(&path, &value)?;
    let said = if known.is_some() { "modified" } else { "created" };
    out::line(format!("Context \"{name}\" {said}."));
    Ok(0)
}

pub async fn delete_context(call: &Call) -> Result<u8, Failure> {
    let name = &call.args[0];
    let (path, mut value) = file(call)?;
    let missing = || {
        Failure::plain(format!("error: cannot delete context {name}, not in {}", path.display()))
    };
    let contexts = value["contexts"].as_array_mut().ok_or_else(missing)?;
    let before = contexts.len();
    contexts.retain(|one| one["name"] != name.as_str());
    if contexts.len() == before {
        return Err(missing());
    }
    write(&path, &value)?;
    out::line(format!("deleted context {name} from {}", path.display()));
    Ok(0)
}
