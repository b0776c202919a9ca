//! The words of a build request.

use std::collections::BTreeMap;

use build::BuildRequest;
use docker_http::{Query, Refusal};
use image::DockerConfig;
use oci::{Platform, Reference};

use super::words::{self, Typed};

/// How progress is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The classic builder's lines.
    Classic,
    Plain,
    RawJson,
    /// Only the image's id.
    Quiet,
}

/// Everything a caller says; files are still in the body.
#[derive(Debug, Clone)]
pub struct Order {
    pub request: BuildRequest,
    pub progress: Progress,
    /// Instead of a posted context: a git address or a URL.
    pub remote: Option<String>,
    /// Whether `.boxship/` of the tar is the request's.
    pub reserved: bool,
    /// The build checks alone.
    pub check: bool,
    /// `--build-context` that is not in the tar.
    pub contexts: BTreeMap<String, String>,
    pub outputs: Vec<Typed>,
    pub cache_from: Vec<Typed>,
    pub cache_to: Vec<Typed>,
}

/// The query's words; moby `daemon/server/router/build/build_routes.go`.
pub fn read(query: &Query, headers: &http::HeaderMap) -> Result<Order, Refusal> {
    for key in ["ulimits", "cpushares", "cpusetcpus", "cpuperiod", "cpuquota"] {
        if !matches!(query.get(key), "" | "0" | "null" | "[]") {
            let text = format!("the build parameter {key:?} is not supported yet; leave it out");
            return Err(Refusal::bad_request(text));
        }
    }
    let progress = match query.get("progress") {
        _ if query.flag("q") => Progress::Quiet,
        "" => Progress::Classic,
        "plain" => Progress::Plain,
        "rawjson" => Progress::RawJson,
        other => return Err(Refusal::bad_request(format!("unknown progress {other:?}"))),
    };
    let order = Order {
        request: request(query, headers)?,
        progress,
        remote: Some(query.get("remote").to_owned()).filter(|r| !r.is_empty()),
        reserved: query.flag("boxship"),
        check: query.flag("check"),
        contexts: words::map(query, "buildcontexts")?,
        outputs: words::typed(query, "outputs")?,
        cache_from: words::typed(query, "cachefrom")?,
        cache_to: words::typed(query, "cacheto")?,
    };
    check(order)
}

/// Refuses kinds and attributes that would have no effect.
fn check(mut order: Order) -> Result<Order, Refusal> {
    let unknown = |what: &str, kind: &str| {
        Err(Refusal::bad_request(format!("{what} type={kind} is not supported yet")))
    };
    for output in &order.outputs {
        match output.kind.as_str() {
            "image" | "registry" => output.only(&["name", "push"])?,
            "local" | "tar" | "oci" | "docker" => output.only(&["dest", "name"])?,
            kind => return unknown("--output", kind),
        }
        for name in output.attr("name").split(',').filter(|n| !n.is_empty()) {
            order.request.names.push(reference(name)?);
        }
    }
    for from in &order.cache_from {
        match from.kind.as_str() {
            "registry" => from.only(&["ref"])?,
            "local" => from.only(&["src"])?,
            kind => return unknown("--cache-from", kind),
        }
    }
    for to in &order.cache_to {
        match to.kind.as_str() {
            "inline" => order.request.cache_inline = true,
            "registry" => to.only(&["ref", "mode"])?,
            "local" => to.only(&["dest", "mode"])?,
            kind => return unknown("--cache-to", kind),
        }
        if !["", "max"].contains(&to.attr("mode")) {
            return Err(Refusal::bad_request(
                "--cache-to mode=min is not supported yet: the cache of every step is written \
                 (hint: leave mode out, or say mode=max)",
            ));
        }
        order.request.cache_export |= to.kind != "inline";
    }
    Ok(order)
}

pub fn reference(name: &str) -> Result<Reference, Refusal> {
    Reference::parse_tagged(name)
        .map_err(|e| Refusal::bad_request(format!("invalid reference format: {e}")))
}

fn request(query: &Query, headers: &http::HeaderMap) -> Result<BuildRequest, Refusal> {
    let text = |key: &str, default: &str| match query.get(key) {
        "" => default.to_owned(),
        value => value.to_owned(),
    };
    let list = |key: &str| query.all(key).filter(|v| !v.is_empty()).map(str::to_owned).collect();
    let platform = match query.get("platform") {
        "" => Platform::host(),
        platform => Platform::parse(platform).map_err(Refusal::bad_request)?,
    };
    let build_args = words::map(query, "buildargs")?;
    let ssh = words::map(query, "ssh")?.into_iter().map(|(id, path)| (id, path.into()));
    Ok(BuildRequest {
        dockerfile: text("dockerfile", "Dockerfile"),
        names: query.all("t").filter(|t| !t.is_empty()).map(reference).collect::<Result<_, _>>()?,
        target: Some(query.get("target").to_owned()).filter(|t| !t.is_empty()),
        cache_inline: build_args.get("BUILDKIT_INLINE_CACHE").is_some_and(|v| v == "1"),
        build_args,
        labels: words::map(query, "labels")?,
        platform,
        network: text("networkmode", "default"),
        extra_hosts: list("extrahosts"),
        no_cache: query.flag("nocache"),
        no_cache_filter: list("nocachefilter"),
        pull: query.flag("pull"),
        keep_failed: query.flag("debugshell"),
        shm_size: query.number("shmsize")?.unwrap_or(0),
        memory: query.number("memory")?.unwrap_or(0),
        auths: registry_config(headers)?,
        ssh: ssh.collect(),
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
