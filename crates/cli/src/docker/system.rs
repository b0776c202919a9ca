//! `version`, `info`, `system df` and everything that prunes.

use super::format::{Sheet, filters, one, text};
use super::{engine, inspect};
use crate::failure::Failure;
use crate::parse::Call;
use crate::{out, term};
use meta::Value;
use remote::Docker;
use serde_json::json;

pub async fn version(call: &Call) -> Result<u8, Failure> {
    let client = json!({
        "Version": env!("CARGO_PKG_VERSION"), "ApiVersion": "1.47", "DefaultAPIVersion": "1.47",
        "Os": std::env::consts::OS, "Arch": arch(),
    });
    let server = engine(call)?.get("/version").await;
    let both = json!({ "Client": client, "Server": server.as_ref().ok() });
    one(call, &both, |both| {
        let mut out = section("Client: Boxship", &both["Client"]);
        if !both["Server"].is_null() {
            let name = text(&both["Server"]["Platform"]["Name"]);
            out.push_str(&section(&format!("\nServer: {name}"), &both["Server"]));
        }
        out
    })?;
    server.map_err(|e| Failure::docker("ask the engine for its version", &e))?;
    Ok(0)
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn section(title: &str, of: &Value) -> String {
    let row = |name: &str, value: String| format!(" {:18}{value}\n", format!("{name}:"));
    let mut out = format!("{title}\n");
    for (name, key) in [
        ("Version", "Version"),
        ("API version", "ApiVersion"),
        ("Go version", "GoVersion"),
        ("Git commit", "GitCommit"),
        ("Built", "BuildTime"),
    ] {
        let value = text(&of[key]);
        if !value.is_empty() {
            out.push_str(&row(name, value));
        }
    }
    out.push_str(&row("OS/Arch", format!("{}/{}", text(&of["Os"]), text(&of["Arch"]))));
    out
}

pub async fn info(call: &Call) -> Result<u8, Failure> {
    let info = engine(call)?.get("/info").await;
    let info = info.map_err(|e| Failure::docker("ask the engine for its state", &e))?;
    one(call, &info, told)?;
    for warning in info["Warnings"].as_array().into_iter().flatten() {
        out::write_err(format!("{}\n", text(warning)).as_bytes());
    }
    Ok(0)
}

const INFO: &[(&str, &str)] = &[
    ("Containers", "Containers"),
    (" Running", "ContainersRunning"),
    (" Paused", "ContainersPaused"),
    (" Stopped", "ContainersStopped"),
    ("Images", "Images"),
    ("Server Version", "ServerVersion"),
    ("Storage Driver", "Driver"),
    ("Logging Driver", "LoggingDriver"),
    ("Cgroup Driver", "CgroupDriver"),
    ("Cgroup Version", "CgroupVersion"),
    ("Default Runtime", "DefaultRuntime"),
    ("Kernel Version", "KernelVersion"),
    ("Operating System", "OperatingSystem"),
    ("OSType", "OSType"),
    ("Architecture", "Architecture"),
    ("CPUs", "NCPU"),
    ("Total Memory", "MemTotal"),
    ("Name", "Name"),
    ("ID", "ID"),
    ("Docker Root Dir", "DockerRootDir"),
    ("Debug Mode", "Debug"),
    ("Live Restore Enabled", "LiveRestoreEnabled"),
];

fn told(info: &Value) -> String {
    let mut out = format!("Client:\n Version:    {}\n\nServer:\n", env!("CARGO_PKG_VERSION"));
    for (name, key) in INFO {
        let value = match *key {
            "MemTotal" => out::size_binary(info[*key].as_f64().unwrap_or_default()),
            _ => text(&info[*key]),
        };
        out.push_str(&format!(" {name}: {value}\n"));
    }
    out
}

const DF: Sheet = Sheet {
    fields: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
    columns: &["Type", "TotalCount", "Active", "Size", "Reclaimable"],
    quiet: "Type",
};

pub async fn df(call: &Call) -> Result<u8, Failure> {
    let used = engine(call)?.get("/system/df").await;
    let used = used.map_err(|e| Failure::docker("measure the space on disk", &e))?;
    if call.has("verbose") {
        out::line(inspect::indented(&used));
        return Ok(0);
    }
    DF.print(call, DF.columns, &[images(&used), containers(&used), volumes(&used), builds(&used)])?;
    Ok(0)
}

fn list<'a>(used: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + Clone {
    used[key].as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

fn row(kind: &str, total: usize, active: usize, size: f64, free: f64) -> Value {
    let percent =
        if size > 0.0 { format!(" ({:.0}%)", free / size * 100.0) } else { String::new() };
    json!({
        "Type": kind, "TotalCount": total.to_string(), "Active": active.to_string(),
        "Size": out::size(size, 4), "Reclaimable": format!("{}{percent}", out::size(free, 4)),
    })
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default().max(0.0)
}

fn images(used: &Value) -> Value {
    let all = list(used, "Images");
    let busy = all.clone().filter(|one| number(&one["Containers"]) > 0.0);
    let own = |one: &Value| number(&one["Size"]) - number(&one["SharedSize"]);
    let size = number(&used["LayersSize"]);
    let kept: f64 = busy.clone().map(own).sum();
    row("Images", all.count(), busy.count(), size, (size - kept).max(0.0))
}

fn containers(used: &Value) -> Value {
    let all = list(used, "Containers");
    let is_active =
        |one: &&Value| matches!(one["State"].as_str(), Some("running" | "paused" | "restarting"));
    let busy = all.clone().filter(is_active);
    let size: f64 = all.clone().map(|one| number(&one["SizeRw"])).sum();
    let kept: f64 = busy.clone().map(|one| number(&one["SizeRw"])).sum();
    row("Containers", all.count(), busy.count(), size, size - kept)
}

fn volumes(used: &Value) -> Value {
    let all = list(used, "Volumes");
    let is_used = |one: &&Value| number(&one["UsageData"]["RefCount"]) > 0.0;
    let busy = all.clone().filter(is_used);
    let size: f64 = all.clone().map(|one| number(&one["UsageData"]["Size"])).sum();
    let kept: f64 = busy.clone().map(|one| number(&one["UsageData"]["Size"])).sum();
    row("Local Volumes", all.count(), busy.count(), size, size - kept)
}

fn builds(used: &Value) -> Value {
    let all = list(used, "BuildCache");
    let busy = all.clone().filter(|one| one["InUse"] == true);
    let own = |one: &Value| if one["Shared"] == true { 0.0 } else { number(&one["Size"]) };
    let size: f64 = all.clone().map(own).sum();
    let kept: f64 = busy.clone().map(own).sum();
    row("Build Cache", all.count(), busy.count(), size, size - kept)
}

/// One thing to prune: where, what the answer lists, and under which heading.
struct Pruned {
    path: &'static str,
    list: &'static str,
    heading: &'static str,
}

const CONTAINERS: Pruned =
    Pruned { path: "/containers/prune", list: "ContainersDeleted", heading: "Deleted Containers:" };
const NETWORKS: Pruned =
    Pruned { path: "/networks/prune", list: "NetworksDeleted", heading: "Deleted Networks:" };
const VOLUMES: Pruned =
    Pruned { path: "/volumes/prune", list: "VolumesDeleted", heading: "Deleted Volumes:" };
const IMAGES: Pruned =
    Pruned { path: "/images/prune", list: "ImagesDeleted", heading: "Deleted Images:" };
const BUILDS: Pruned =
    Pruned { path: "/build/prune", list: "CachesDeleted", heading: "Deleted build cache objects:" };

/// Prunes one kind and tells what went; the bytes that came free.
async fn pruned(
    call: &Call,
    engine: &Docker,
    what: &Pruned,
    more: &[(&str, &str)],
    query: &str,
) -> Result<f64, Failure> {
    let path = format!("{}?filters={}{query}", what.path, filters(call, more)?);
    let answer = engine.post(&path, None).await;
    let answer = answer.map_err(|e| Failure::docker(format!("prune ({})", what.path), &e))?;
    let gone: Vec<String> = list(&answer, what.list)
        .map(|one| match one {
            Value::Object(row) => {
                let pair = row
                    .iter()
                    .next()
                    .map(|(key, id)| format!("{}: {}", key.to_lowercase(), text(id)));
                pair.unwrap_or_default()
            }
            other => text(other),
        })
        .collect();
    if !gone.is_empty() {
        out::line(format!("{}\n{}\n", what.heading, gone.join("\n")));
    }
    Ok(number(&answer["SpaceReclaimed"]))
}

fn agreed(call: &Call, question: &str) -> bool {
    call.has("force")
        || term::agrees(&format!("WARNING! {question}\nAre you sure you want to continue?"))
}

fn freed(bytes: f64) {
    out::line(format!("Total reclaimed space: {}", out::size(bytes, 4)));
}

pub async fn prune_containers(call: &Call) -> Result<u8, Failure> {
    if agreed(call, "This will remove all stopped containers.") {
        freed(pruned(call, &engine(call)?, &CONTAINERS, &[], "").await?);
    }
    Ok(0)
}

pub async fn prune_networks(call: &Call) -> Result<u8, Failure> {
    let question = "This will remove all custom networks not used by at least one container.";
    if agreed(call, question) {
        pruned(call, &engine(call)?, &NETWORKS, &[], "").await?;
    }
    Ok(0)
}

pub async fn prune_volumes(call: &Call) -> Result<u8, Failure> {
    let (question, more): (_, &[(&str, &str)]) = match call.has("all") {
        true => (
            "This will remove all local volumes not used by at least one container.",
            &[("all", "true")],
        ),
        false => {
            ("This will remove anonymous local volumes not used by at least one container.", &[])
        }
    };
    if agreed(call, question) {
        freed(pruned(call, &engine(call)?, &VOLUMES, more, "").await?);
    }
    Ok(0)
}

fn dangling(call: &Call) -> [(&'static str, &'static str); 1] {
    [("dangling", if call.has("all") { "false" } else { "true" })]
}

pub async fn prune_images(call: &Call) -> Result<u8, Failure> {
    let question = match call.has("all") {
        true => "This will remove all images without at least one container associated to them.",
        false => "This will remove all dangling images.",
    };
    if agreed(call, question) {
        freed(pruned(call, &engine(call)?, &IMAGES, &dangling(call), "").await?);
    }
    Ok(0)
}

pub async fn prune_builds(call: &Call) -> Result<u8, Failure> {
    if agreed(call, "This will remove all dangling build cache.") {
        let keep = call.get("keep-storage").map(|size| {
            let bytes = super::options::bytes(size).unwrap_or_default();
            format!("&keep-storage={bytes}")
        });
        let query = format!("&all={}{}", call.has("all"), keep.unwrap_or_default());
        freed(pruned(call, &engine(call)?, &BUILDS, &[], &query).await?);
    }
    Ok(0)
}

pub async fn prune(call: &Call) -> Result<u8, Failure> {
    let images = match call.has("all") {
        true => "all images without at least one container associated to them",
        false => "all dangling images",
    };
    let volumes = if call.has("volumes") {
        "\n  - all anonymous volumes not used by at least one container"
    } else {
        ""
    };
    let question = format!(
        "This will remove:\n  - all stopped containers\n  - all networks not used by at least one container{volumes}\n  - {images}\n  - unused build cache\n"
    );
    if !agreed(call, &question) {
        return Ok(0);
    }
    let engine = engine(call)?;
    let mut bytes = pruned(call, &engine, &CONTAINERS, &[], "").await?;
    bytes += pruned(call, &engine, &NETWORKS, &[], "").await?;
    if call.has("volumes") {
        bytes += pruned(call, &engine, &VOLUMES, &[], "").await?;
    }
    bytes += pruned(call, &engine, &BUILDS, &[], &format!("&all={}", call.has("all"))).await?;
    bytes += pruned(call, &engine, &IMAGES, &dangling(call), "").await?;
    freed(bytes);
    Ok(0)
}
