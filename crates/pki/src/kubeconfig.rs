//! Kubeconfig files: one context is added or replaced, everything else in the file stays.

use crate::ca::Issued;
use crate::files::{PkiError, Secrecy, make_dir, read, write};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use meta::Value;
use serde_json::json;
use std::path::Path;

/// Cluster, user and context of one name.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    pub name: &'a str,
    /// `https://127.0.0.1:6443`
    pub server: &'a str,
    /// PEM.
    pub ca: &'a str,
    pub client: &'a Issued,
}

/// Writes `context` into the kubeconfig at `path` and makes it the current one.
///
/// # Errors
/// When the file exists but is not a kubeconfig, or cannot be written.
pub fn write_kubeconfig(path: &Path, context: &Context<'_>) -> Result<(), PkiError> {
    let mut config = match read(path)?.filter(|text| !text.trim().is_empty()) {
        Some(text) => serde_saphyr::from_str(&text).map_err(|e| PkiError::new(path, e))?,
        None => json!({ "apiVersion": "v1", "kind": "Config", "preferences": {} }),
    };
    merge(&mut config, context).map_err(|why| PkiError::new(path, why))?;
    let text = serde_saphyr::to_string(&config).map_err(|e| PkiError::new(path, e))?;
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty() && !p.exists()) {
        make_dir(parent)?;
    }
    write(path, &text, Secrecy::Private)
}

/// Takes the context, cluster and user of one name out of the kubeconfig at `path`; what is not there is fine.
///
/// # Errors
/// When the file exists but is not a kubeconfig, or cannot be written.
pub fn remove_context(path: &Path, name: &str) -> Result<(), PkiError> {
    let Some(text) = read(path)?.filter(|text| !text.trim().is_empty()) else { return Ok(()) };
    let mut config: Value = serde_saphyr::from_str(&text).map_err(|e| PkiError::new(path, e))?;
    for list in ["clusters", "users", "contexts"] {
        if let Some(entries) = config.get_mut(list).and_then(Value::as_array_mut) {
            entries.retain(|entry| entry.get("name").and_then(Value::as_str) != Some(name));
        }
    }
    if config.get("current-context").and_then(Value::as_str) == Some(name) {
        config["current-context"] = "".into();
    }
    let text = serde_saphyr::to_string(&config).map_err(|e| PkiError::new(path, e))?;
    write(path, &text, Secrecy::Private)
}

fn merge(config: &mut Value, context: &Context<'_>) -> Result<(), String> {
    if !config.is_object() {
        return Err("is not a kubeconfig: the top level is not a map".into());
    }
    let name = context.name;
    let cluster = json!({
        "certificate-authority-data": STANDARD.encode(context.ca),
        "server": context.server,
    });
    let user = json!({
        "client-certificate-data": STANDARD.encode(&context.client.certificate),
        "client-key-data": STANDARD.encode(&context.client.key),
    });
    put(config, "clusters", name, "cluster", cluster)?;
    put(config, "users", name, "user", user)?;
    put(config, "contexts", name, "context", json!({ "cluster": name, "user": name }))?;
    config["current-context"] = name.into();
    Ok(())
}

/// Replaces the entry `name` of a list of `{name, <member>}`.
fn put(
    config: &mut Value,
    list: &str,
    name: &str,
    member: &str,
    value: Value,
) -> Result<(), String> {
    if config.get(list).is_none_or(Value::is_null) {
        config[list] = json!([]);
    }
    let entries = config[list].as_array_mut().ok_or_else(|| format!("{list} is not a list"))?;
    entries.retain(|entry| entry.get("name").and_then(Value::as_str) != Some(name));
    entries.push(json!({ "name": name, member: value }));
    Ok(())
}
