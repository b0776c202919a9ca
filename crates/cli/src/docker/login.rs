//! `login`, `logout`, and the passwords other commands send: docker's own `config.json`.
//!
//! Credential helpers are programs of others; they are not run here, and a registry that names one is told so.

use super::engine;
use crate::failure::Failure;
use crate::parse::Call;
use crate::{out, term};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use meta::Value;
use serde_json::json;
use std::io::Read;
use std::path::PathBuf;

/// What docker calls its own registry in `config.json`.
const HUB: &str = "https://index.docker.io/v1/";

fn config_path(call: &Call) -> PathBuf {
    let dir = call.get("config").map(PathBuf::from);
    let dir = dir.or_else(|| std::env::var_os("DOCKER_CONFIG").map(PathBuf::from));
    let home = || std::env::home_dir().unwrap_or_default().join(".docker");
    dir.unwrap_or_else(home).join("config.json")
}

fn read(call: &Call) -> Result<Value, Failure> {
    let path = config_path(call);
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => serde_json::from_str(&text)
            .map_err(|e| Failure::new(format!("read `{}`", path.display()), e)),
        Ok(_) => Ok(json!({})),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(json!({})),
        Err(e) => Err(Failure::new(format!("read `{}`", path.display()), e)),
    }
}

/// Writes whole or not at all, readable by its owner only.
fn write(call: &Call, config: &Value) -> Result<(), Failure> {
    use std::os::unix::fs::OpenOptionsExt;
    let path = config_path(call);
    let failed = |e: std::io::Error| Failure::new(format!("write `{}`", path.display()), e);
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    let part = path.with_extension(format!("json.{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(&part).map_err(failed)?;
    let text = serde_json::to_string_pretty(config).unwrap_or_default();
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
    std::fs::rename(&part, &path).map_err(failed)
}

/// The registry of an image's name, as `config.json` calls it.
fn registry_of(name: &str) -> &str {
    match name.split_once('/') {
        Some((domain, _)) if domain.contains(['.', ':']) || domain == "localhost" => {
            if domain == "docker.io" { HUB } else { domain }
        }
        _ => HUB,
    }
}

fn stored(config: &Value, server: &str) -> Option<Value> {
    let auths = config["auths"].as_object()?;
    let host = |name: &str| {
        let name = name.trim_start_matches("https://").trim_start_matches("http://");
        name.split('/').next().unwrap_or_default().to_owned()
    };
    let found = auths.get(server).or_else(|| {
        auths.iter().find(|(name, _)| host(name) == host(server)).map(|(_, entry)| entry)
    })?;
    let mut out = json!({ "serveraddress": server });
    if let Some(token) = found["identitytoken"].as_str().filter(|token| !token.is_empty()) {
        out["identitytoken"] = token.into();
    }
    if let Some(auth) = found["auth"].as_str().filter(|auth| !auth.is_empty()) {
        let decoded = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
        let (name, password) = decoded.split_once(':')?;
        out["username"] = name.into();
        out["password"] = password.trim_end_matches('\0').into();
    }
    Some(out)
}

/// The `X-Registry-Auth` for an image.
///
/// # Errors
/// When `config.json` cannot be read, or a helper keeps the password.
pub fn header(call: &Call, image: &str) -> Result<String, Failure> {
    let config = read(call)?;
    let server = registry_of(image);
    let entry = stored(&config, server);
    if entry.is_none()
        && let Some(helper) = config["credHelpers"][server].as_str()
    {
        let what = format!("find the password of `{server}`");
        let why = format!("it is kept by the helper `{helper}`, which is not run here");
        return Err(Failure::new(what, why).hint("log in without the helper, or use docker itself"));
    }
    let value = entry.unwrap_or_else(|| json!({}));
    Ok(URL_SAFE.encode(value.to_string()))
}

/// The `X-Registry-Config` of a build: every password there is.
///
/// # Errors
/// When `config.json` cannot be read.
pub fn all(call: &Call) -> Result<String, Failure> {
    let config = read(call)?;
    let servers = config["auths"].as_object().into_iter().flatten();
    let known = servers.filter_map(|(server, _)| Some((server.clone(), stored(&config, server)?)));
    Ok(URL_SAFE.encode(Value::Object(known.collect()).to_string()))
}

pub async fn login(call: &Call) -> Result<u8, Failure> {
    let server = call.args.first().map_or(HUB, String::as_str);
    let asked = |e: std::io::Error| Failure::new("read the answer", e);
    let name = match call.get("username") {
        Some(name) => name.to_owned(),
        None => term::ask("Username: ").map_err(asked)?,
    };
    let password = if call.has("password-stdin") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(asked)?;
        text.trim_end_matches(['\r', '\n']).to_owned()
    } else if let Some(password) = call.get("password") {
        out::write_err(
            b"WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n",
        );
        password.to_owned()
    } else {
        term::secret("Password: ").map_err(asked)?
    };
    let body = json!({ "username": name, "password": password, "serveraddress": server });
    let answer = engine(call)?.post("/auth", Some(&body)).await;
    let answer = answer.map_err(|e| Failure::docker(format!("log in to `{server}`"), &e))?;
    let mut config = read(call)?;
    let entry = match answer["IdentityToken"].as_str().filter(|token| !token.is_empty()) {
        Some(token) => {
            json!({ "auth": STANDARD.encode(format!("{name}:")), "identitytoken": token })
        }
        None => json!({ "auth": STANDARD.encode(format!("{name}:{password}")) }),
    };
    config["auths"][server] = entry;
    write(call, &config)?;
    let path = config_path(call);
    out::write_err(
        format!("\nWARNING! Your credentials are stored unencrypted in '{}'.\n\n", path.display())
            .as_bytes(),
    );
    out::line(answer["Status"].as_str().unwrap_or("Login Succeeded"));
    Ok(0)
}

pub async fn logout(call: &Call) -> Result<u8, Failure> {
    let server = call.args.first().map_or(HUB, String::as_str);
    let mut config = read(call)?;
    let removed = config["auths"].as_object_mut().and_then(|auths| auths.remove(server));
    if removed.is_none() {
        out::line(format!("Not logged in to {server}"));
        return Ok(0);
    }
    out::line(format!("Removing login credentials for {server}"));
    write(call, &config)?;
    Ok(0)
}
