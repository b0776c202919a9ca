//! `boxship status`: one instance at a glance.

use crate::command::Row;
use crate::failure::Failure;
use crate::networks;
use crate::presence::{self, Presence};
use crate::server::{data_dir, data_dir_arg, runtime};
use clap::{ArgMatches, Command};
use meta::Time;
use remote::{Docker, DockerConfig, Kube};
use serde_json::Value;
use std::path::Path;
use std::process::ExitCode;

pub static ROW: Row = Row { command, run };

fn command() -> Command {
    Command::new("status")
        .about("Show an instance: versions, node, pods, addresses, memory")
        .after_help("Ends with 0 when the instance runs and answers, else with 3.\n\nExamples:\n  boxship status\n  boxship status --data-dir /tmp/try")
        .args([data_dir_arg()])
}

/// "Program is not running", as init scripts say it (LSB).
const NOT_RUNNING: u8 = 3;

fn run(args: &ArgMatches) -> Result<ExitCode, Failure> {
    let dir = data_dir(args);
    let record = match presence::of(dir)? {
        Presence::Running(record) => record,
        Presence::Stopped => {
            println!("the instance in {} is down; `boxship up` starts it", dir.display());
            return Ok(ExitCode::from(NOT_RUNNING));
        }
        Presence::Nothing => {
            println!("there is no instance in {}", dir.display());
            return Ok(ExitCode::from(NOT_RUNNING));
        }
    };
    runtime()?.block_on(async {
        let asked = Asked { dir, record: &record, kube: kube(dir)?, docker: docker(&record)? };
        let mut rows = Vec::new();
        for (title, cell) in ROWS {
            rows.push((*title, cell(&asked).await.unwrap_or_else(|e| format!("no answer: {e}"))));
        }
        let wide = rows.iter().map(|(title, _)| title.len()).max().unwrap_or_default();
        for (title, cell) in &rows {
            for (i, line) in cell.lines().enumerate() {
                println!("{:<wide$}  {line}", if i == 0 { title } else { "" });
            }
        }
        let answers = rows.iter().all(|(_, cell)| !cell.starts_with("no answer"));
        Ok(if answers { ExitCode::SUCCESS } else { ExitCode::from(NOT_RUNNING) })
    })
}

fn kube(dir: &Path) -> Result<Kube, Failure> {
    let failed = |e| Failure::new("reach the instance's Kubernetes API", e);
    Kube::from_file(&dir.join("kubeconfig")).map_err(failed)
}

fn docker(record: &Value) -> Result<Docker, Failure> {
    let host = record["docker"].as_str().unwrap_or_default().to_string();
    let config = DockerConfig { host, ..DockerConfig::from_env() };
    Docker::new(&config).map_err(|e| Failure::new("reach the instance's Docker API", e))
}

struct Asked<'a> {
    dir: &'a Path,
    record: &'a Value,
    kube: Kube,
    docker: Docker,
}

type Cell<'a> = std::pin::Pin<Box<dyn Future<Output = Result<String, remote::Error>> + 'a>>;

static ROWS: &[(&str, for<'a> fn(&'a Asked<'a>) -> Cell<'a>)] = &[
    ("instance", |a| Box::pin(std::future::ready(Ok(instance(a))))),
    ("Kubernetes", |a| Box::pin(kubernetes(a))),
    ("Docker", |a| Box::pin(engine(a))),
    ("node", |a| Box::pin(node(a))),
    ("pods", |a| Box::pin(pods(a))),
    ("networks", |a| Box::pin(std::future::ready(Ok(ranges(a))))),
    ("balancers", |a| Box::pin(balancers(a))),
    ("memory", |a| Box::pin(std::future::ready(Ok(memory(a))))),
    ("disk", |a| Box::pin(std::future::ready(Ok(disk(a))))),
];

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

fn instance(a: &Asked<'_>) -> String {
    let started = Time::parse(text(a.record, "started")).unwrap_or_else(client::now);
    let secs = (client::now().0 - started.0) / 1_000_000;
    let since = format!("{} h {} min {} s", secs / 3600, secs / 60 % 60, secs % 60);
    let (name, pid) = (text(a.record, "name"), &a.record["pid"]);
    format!("{name} in {}, process {pid}, for {since}", a.dir.display())
}

async fn kubernetes(a: &Asked<'_>) -> Result<String, remote::Error> {
    let version = a.kube.get("/version").await?;
    let files = a.record["kubeconfigs"].as_array().into_iter().flatten();
    let contexts: Vec<String> =
        files.map(|f| format!("context {} in {}", text(f, "context"), text(f, "path"))).collect();
    let line = format!("{} at {}", text(&version, "gitVersion"), a.kube.server);
    Ok(std::iter::once(line).chain(contexts).collect::<Vec<_>>().join("\n"))
}

async fn engine(a: &Asked<'_>) -> Result<String, remote::Error> {
    let (version, info) = (a.docker.get("/version").await?, a.docker.get("/info").await?);
    let (api, host) = (text(&version, "ApiVersion"), text(a.record, "docker"));
    let (running, images) = (&info["ContainersRunning"], &info["Images"]);
    Ok(format!("API {api} at {host}, {running} containers running, {images} images"))
}

async fn node(a: &Asked<'_>) -> Result<String, remote::Error> {
    let list = a.kube.get("/api/v1/nodes").await?;
    let line = |node: &Value| {
        let status = &node["status"];
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let holds: Vec<&str> =
            conditions.filter(|c| c["status"] == "True").map(|c| text(c, "type")).collect();
        let addresses = status["addresses"].as_array().into_iter().flatten();
        let ip = addresses.filter(|x| x["type"] == "InternalIP").map(|x| text(x, "address")).next();
        let capacity = &status["capacity"];
        format!(
            "{} at {}: {}; {} CPUs, {} memory",
            text(&node["metadata"], "name"),
            ip.unwrap_or("no address"),
            if holds.is_empty() { "NotReady".into() } else { holds.join(", ") },
            text(capacity, "cpu"),
            text(capacity, "memory"),
        )
    };
    Ok(items(&list).map(line).collect::<Vec<_>>().join("\n"))
}

async fn pods(a: &Asked<'_>) -> Result<String, remote::Error> {
    let (list, nodes) = (a.kube.get("/api/v1/pods").await?, a.kube.get("/api/v1/nodes").await?);
    let mut by_phase = std::collections::BTreeMap::<&str, usize>::new();
    for pod in items(&list) {
        *by_phase.entry(text(&pod["status"], "phase")).or_default() += 1;
    }
    let room = items(&nodes).map(|n| text(&n["status"]["allocatable"], "pods")).next();
    let counted: Vec<String> = by_phase.iter().map(|(phase, n)| format!("{n} {phase}")).collect();
    let counted = if counted.is_empty() { "none".into() } else { counted.join(", ") };
    Ok(format!("{counted} (room for {})", room.unwrap_or("none")))
}

fn ranges(a: &Asked<'_>) -> String {
    networks::kept_text(a.dir)
}

async fn balancers(a: &Asked<'_>) -> Result<String, remote::Error> {
    let list = a.kube.get("/api/v1/services").await?;
    let line = |service: &Value| {
        let ip = service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str()?;
        let ports = service["spec"]["ports"].as_array().into_iter().flatten();
        let ports: Vec<String> = ports.map(|p| format!("{ip}:{}", p["port"])).collect();
        let meta = &service["metadata"];
        Some(format!("{}/{}: {}", text(meta, "namespace"), text(meta, "name"), ports.join(", ")))
    };
    let lines: Vec<String> = items(&list).filter_map(line).collect();
    Ok(if lines.is_empty() { "no Service of type LoadBalancer".into() } else { lines.join("\n") })
}

fn memory(a: &Asked<'_>) -> String {
    let daemon = resident(&a.record["pid"]).unwrap_or_default();
    let keeper = resident(&a.record["keeper"]).unwrap_or_default();
    format!("daemon {:.1} MB, keeper {:.1} MB resident", daemon / 1024.0, keeper / 1024.0)
}

/// Kilobytes.
fn resident(pid: &Value) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn disk(a: &Asked<'_>) -> String {
    match nix::sys::statvfs::statvfs(a.dir) {
        Ok(stat) => {
            let gb = |blocks: u64| blocks as f64 * stat.fragment_size() as f64 / 1e9;
            let (free, all) = (gb(stat.blocks_available()), gb(stat.blocks()));
            format!("{free:.1} GB of {all:.1} GB free at {}", a.dir.display())
        }
        Err(e) => format!("unknown: {e}"),
    }
}
