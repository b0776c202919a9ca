//! The words of a build request.

use std::collections::BTreeMap;

use build::BuildRequest;
use docker_http::{Query, Refusal};
use image::DockerConfig;
use oci::{Platform, Reference};

/// The query's words; moby `daemon/server/router/build/build_routes.go`.
pub fn read(query: &Query, headers: &http::HeaderMap) -> Result<BuildRequest, Refusal> {
    if !query.get("remote").is_empty() {
        let text = "building from a remote context is not supported yet; send the context";
        return Err(Refusal::bad_request(text));
    }
    if !matches!(query.get("outputs"), "" | "null" | "[]") {
        return Err(Refusal::bad_request("--output is not supported yet by this endpoint"));
    }
    for key in ["cachefrom", "ulimits", "cpushares", "cpusetcpus", "cpuperiod", "cpuquota"] {
        if !matches!(query.get(key), "" | "0" | "null" | "[]") {
            let text = format!("the build parameter {key:?} is not supported yet; leave it out");
            return Err(Refusal::bad_request(text));
        }
    }
    let text = |key: &str, default: &str| match query.get(key) {
        "" => default.to_owned(),
        value => value.to_owned(),
    };
    let names = query.all("t").filter(|t| !t.is_empty()).map(|t| {
        Reference::parse_tagged(t)
            .map_err(|e| Refusal::bad_request(format!("invalid reference format: {e}")))
    });
    let platform = match query.get("platform") {
        "" => Platform::host(),
        platform => Platform::parse(platform).map_err(Refusal::bad_request)?,
    };
    Ok(BuildRequest {
        dockerfile: text("dockerfile", "Dockerfile"),
        names: names.collect::<Result<_, _>>()?,
        target: Some(query.get("target").to_owned()).filter(|t| !t.is_empty()),
        build_args: map(query, "buildargs")?,
        labels: map(query, "labels")?,
        platform,
        network: text("networkmode", "default"),
        extra_hosts: query.all("extrahosts").filter(|h| !h.is_empty()).map(str::to_owned).collect(),
        no_cache: query.flag("nocache"),
        pull: query.flag("pull"),
        shm_size: query.number("shmsize")?.unwrap_or(0),
        memory: query.number("memory")?.unwrap_or(0),
        auths: registry_config(headers)?,
        ..BuildRequest::default()
    })
}

/// Credentials by registry: base64url of JSON; moby `build_routes.go`, `getAuthConfigs`.
fn registry_config(headers: &http::HeaderMap) -> Result<DockerConfig, Refusal> {
    use base64::Engine as _;
    let bad = |e: &dyn std::fmt::Display| {
        Refusal::bad_request(format!("invalid X-Registry-Config header: {e}"))
    };
    let Some(value) = headers.get("X-Registry-Config") else {
        return Ok(DockerConfig::default());
    };
    let text = value.to_str().map_err(|e| bad(&e))?.trim().trim_end_matches('=');
    let text = text.replace('+', "-").replace('/', "_");
    let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text);
    let bytes = decoded.map_err(|e| bad(&e))?;
    if bytes.is_empty() {
        return Ok(DockerConfig::default());
    }
    let auths = serde_json::from_slice(&bytes).map_err(|e| bad(&e))?;
    Ok(DockerConfig { auths, ..DockerConfig::default() })
}

/// A JSON object of texts; nulls (`--build-arg X` without a value and none set) are left out.
fn map(query: &Query, key: &str) -> Result<BTreeMap<String, String>, Refusal> {
    let text = match query.get(key) {
        "" => "{}",
        text => text,
    };
    let parsed: BTreeMap<String, Option<String>> = serde_json::from_str(text)
        .map_err(|e| Refusal::bad_request(format!("error reading {key}: {e}")))?;
    Ok(parsed.into_iter().filter_map(|(k, v)| Some((k, v?))).collect())
}
