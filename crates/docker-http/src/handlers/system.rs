//! Ping, version, info, disk usage, auth.

use std::sync::Arc;

use engine::filter::Filters;
use engine::{Engine, ListOptions, Stamp};
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue, PRAGMA};
use image::Credentials;
use oci::Reference;
use serde_json::{Value, json};

use super::Handled;
use super::transfer::credentials;
use crate::body::full;
use crate::call::Call;
use crate::refusal::Refusal;
use crate::version::{DOCKER_RELEASE, MAX, MIN};
use crate::{reply, view};

fn pong(body: &'static str) -> crate::body::Reply {
    let mut reply = http::Response::new(full(body));
    let headers = reply.headers_mut();
    // "2" would send CLIs that obey it (20.10) to BuildKit's doors, which are not served.
    headers.insert("Builder-Version", HeaderValue::from_static("1"));
    headers.insert("Swarm", HeaderValue::from_static("inactive"));
    let no_cache = HeaderValue::from_static("no-cache, no-store, must-revalidate");
    headers.insert(CACHE_CONTROL, no_cache);
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(http::header::CONTENT_TYPE, text);
    reply
}

pub async fn ping(_: Call) -> Handled {
    Ok(pong("OK"))
}

pub async fn ping_head(_: Call) -> Handled {
    Ok(pong(""))
}

fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Go's name of this machine's architecture.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

pub async fn version(_: Call) -> Handled {
    let own = env!("CARGO_PKG_VERSION");
    Ok(reply::ok(&json!({
        "Platform": { "Name": "Boxship" },
        "Components": [
            {
                "Name": "Engine",
                "Version": DOCKER_RELEASE,
                "Details": {
                    "ApiVersion": MAX.to_string(),
                    "Arch": arch(),
                    "BuildTime": "",
                    "Experimental": "false",
                    "GitCommit": own,
                    "GoVersion": "",
                    "KernelVersion": kernel(),
                    "MinAPIVersion": MIN.to_string(),
                    "Os": "linux",
                },
            },
            { "Name": "boxship", "Version": own, "Details": { "GitCommit": "" } },
        ],
        "Version": DOCKER_RELEASE,
        "ApiVersion": MAX.to_string(),
        "MinAPIVersion": MIN.to_string(),
        "GitCommit": own,
        "GoVersion": "",
        "Os": "linux",
        "Arch": arch(),
        "KernelVersion": kernel(),
        "BuildTime": "",
    })))
}

fn os_name() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("PRETTY_NAME="));
    line.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}

pub async fn info(call: Call) -> Handled {
    let engine = &call.face.engine;
    let counts = counts(engine).await?;
    let machine = engine.machine;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut out = json!({
        "ID": engine.id(),
        "Containers": counts.iter().sum::<usize>(),
        "ContainersRunning": counts[0],
        "ContainersPaused": counts[1],
        "ContainersStopped": counts[2],
        "Images": engine.images.list().len(),
        "Driver": "overlay2",
        "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]],
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": null,
            "Log": ["json-file", "local", "none"],
        },
        "MemoryLimit": true,
        "SwapLimit": true,
        "CpuCfsPeriod": true,
        "CpuCfsQuota": true,
        "CPUShares": true,
        "CPUSet": true,
        "PidsLimit": true,
        "OomKillDisable": !machine.cgroup_v2,
        "IPv4Forwarding": true,
        "Debug": false,
        "NFd": 0,
        "NGoroutines": 0,
        "NEventsListener": 0,
        "SystemTime": Stamp::now().rfc3339_nano(),
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": if machine.cgroup_v2 { "2" } else { "1" },
        "KernelVersion": kernel(),
        "OperatingSystem": os_name(),
        "OSVersion": "",
        "OSType": "linux",
        "Architecture": std::env::consts::ARCH,
        "NCPU": machine.cpus,
        "MemTotal": engine::machine_memory(),
        "Name": host,
        "ServerVersion": DOCKER_RELEASE,
        "DockerRootDir": engine.config.data_dir,
        "IndexServerAddress": "https://index.docker.io/v1/",
        "Labels": [],
        "ExperimentalBuild": false,
        "LiveRestoreEnabled": true,
    });
    for (key, value) in fixed().as_object().into_iter().flatten() {
        out[key] = value.clone();
    }
    Ok(reply::ok(&out))
}

/// Parts of `info` that say the same on every engine of ours.
fn fixed() -> Value {
    json!({
        "RegistryConfig": {
            "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"],
            "IndexConfigs": {
                "docker.io": { "Name": "docker.io", "Mirrors": [], "Secure": true, "Official": true },
            },
            "Mirrors": [],
        },
        "GenericResources": null,
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Runtimes": { "runc": { "path": "boxship" } },
        "DefaultRuntime": "runc",
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": false,
            "Error": "",
            "RemoteManagers": null,
        },
        "Isolation": "",
        "InitBinary": "boxship",
        "ContainerdCommit": { "ID": "" },
        "RuncCommit": { "ID": "" },
        "InitCommit": { "ID": "" },
        "SecurityOptions": ["name=seccomp,profile=builtin"],
        "CDISpecDirs": [],
        "FirewallBackend": { "Driver": "nftables" },
        "Warnings": null,
    })
}

async fn counts(engine: &Arc<Engine>) -> Result<[usize; 3], Refusal> {
    let all = ListOptions { all: true, ..ListOptions::default() };
    let mut out = [0; 3];
    for found in engine.list(all).await? {
        match found.record.state.phase.word() {
            "running" | "restarting" => out[0] += 1,
            "paused" => out[1] += 1,
            _ => out[2] += 1,
        }
    }
    Ok(out)
}

/// `POST /auth`: `docker login`.
pub async fn auth(call: Call) -> Handled {
    let (face, _, given) = call.json::<Credentials>().await?;
    face.engine.login(given).await?;
    Ok(reply::ok(&json!({ "Status": "Login Succeeded", "IdentityToken": "" })))
}

/// `GET /distribution/{name}/json`
pub async fn distribution(call: Call) -> Handled {
    let auth = credentials(&call)?;
    let bad = |e: oci::ReferenceError| Refusal::bad_request(e.to_string());
    let reference = Reference::parse(call.param(0)).map_err(bad)?.or_latest();
    let engine = &call.face.engine;
    let found = engine.images.distribution(&reference, auth).await;
    let found = found.map_err(engine::EngineError::from)?;
    Ok(reply::ok(&json!({ "Descriptor": found.descriptor, "Platforms": found.platforms })))
}

/// `GET /system/df`; `type` narrows it.
pub async fn disk_usage(call: Call) -> Handled {
    let engine = &call.face.engine;
    let wanted: Vec<&str> = call.query.all("type").collect();
    for kind in &wanted {
        if !["container", "image", "volume", "build-cache"].contains(kind) {
            return Err(Refusal::bad_request(format!("unknown object type: {kind}")));
        }
    }
    let wants = |kind: &str| wanted.is_empty() || wanted.contains(&kind);
    let mut out = json!({});
    let all = ListOptions { all: true, size: true, ..ListOptions::default() };
    let containers = engine.list(all).await?;
    if wants("image") {
        let count = |id: &str| containers.iter().filter(|c| c.record.image_id == id).count();
        let rows = engine.images.list().into_iter().map(|image| {
            let mut row = view::image::row(&image, call.version);
            row["Containers"] = json!(count(image.id.as_str()));
            row["SharedSize"] = json!(0);
            row
        });
        out["Images"] = rows.collect();
        out["LayersSize"] = json!(engine.layers_size().await?);
    }
    if wants("container") {
        let now = Stamp::now();
        let rows = containers.iter().map(|c| view::container::row(engine, c, now));
        out["Containers"] = rows.collect();
    }
    if wants("volume") {
        let mut rows = Vec::new();
        for volume in engine.volume_list(&Filters::default())? {
            let links = engine.volume_links(&volume.name);
            let size = engine.volume_size(&volume.name).await?;
            let mut row = view::network::volume(&volume);
            row["UsageData"] = json!({ "RefCount": links, "Size": size });
            rows.push(row);
        }
        out["Volumes"] = json!(rows);
    }
    if wants("build-cache") {
        let rows = match &call.face.builder {
            Some(builder) => builder.cache().await,
            None => Vec::new(),
        };
        out["BuildCache"] = json!(rows);
    }
    out["BuilderSize"] = json!(0);
    Ok(reply::json(StatusCode::OK, &out))
}
