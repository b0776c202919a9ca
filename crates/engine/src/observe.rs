//! Looking at containers: lists with filters, processes, numbers, sizes.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use crate::engine::Engine;
use crate::error::{Doing, EngineError, Result};
use crate::filter::Filters;
use crate::ports;
use crate::record::{Phase, Record};

/// A container in a list.
#[derive(Debug, Clone)]
pub struct ContainerView {
    pub record: Arc<Record>,
    /// Bytes of the writable layer, when asked for.
    pub size_rw: Option<u64>,
    /// Those and the image's.
    pub size_root: Option<u64>,
}

/// The answer of `top`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Top {
    pub titles: Vec<String>,
    pub processes: Vec<Vec<String>>,
}

/// How a list is narrowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListOptions {
    pub all: bool,
    /// The newest so many, whatever their state.
    pub limit: Option<usize>,
    pub size: bool,
    pub filters: Filters,
}

const FILTERS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

impl Engine {
    /// Newest first; containers of pods are not among them.
    pub async fn list(self: &Arc<Self>, options: ListOptions) -> Result<Vec<ContainerView>> {
        self.blocking(move |e| e.list_now(&options)).await
    }

    fn list_now(&self, options: &ListOptions) -> Result<Vec<ContainerView>> {
        let filters = &options.filters;
        filters.only(FILTERS)?;
        check_words(filters)?;
        let named = Names::compile(filters)?;
        let all = options.all
            || options.limit.is_some()
            || filters.has("status")
            || filters.has("exited");
        let before = self.boundary(filters, "before")?;
        let since = self.boundary(filters, "since")?;
        let mut out = Vec::new();
        for container in self.containers.all() {
            let record = container.record();
            let shown = record.pod.is_none()
                && (all || record.state.phase.is_running())
                && before.as_ref().is_none_or(|b| record.created < b.created)
                && since.as_ref().is_none_or(|s| record.created > s.created)
                && named.matches(&record.name)
                && self.passes(filters, &record)?;
            if !shown {
                continue;
            }
            let mut view = ContainerView { record, size_rw: None, size_root: None };
            if options.size {
                self.measure(&mut view);
            }
            out.push(view);
            if options.limit.is_some_and(|limit| out.len() >= limit) {
                break;
            }
        }
        Ok(out)
    }

    fn boundary(&self, filters: &Filters, key: &str) -> Result<Option<Arc<Record>>> {
        let wanted = filters.get(key).next();
        wanted.map(|w| self.containers.find(w).map(|c| c.record())).transpose()
    }

    fn measure(&self, view: &mut ContainerView) {
        let usage = self.images.snapshots().usage(&view.record.id);
        let own = usage.map_or(0, |u| u.bytes);
        view.size_rw = Some(own);
        let id = view.record.image_id.parse::<oci::Digest>();
        let image = id.ok().and_then(|id| self.images.get(&id).ok()).map_or(0, |i| i.size);
        view.size_root = Some(own + image);
    }

    fn passes(&self, filters: &Filters, record: &Record) -> Result<bool> {
        let state = &record.state;
        let health = state.health.as_ref().map_or("none", |h| h.status.word());
        let exited = |code: &str| {
            let ended = matches!(state.phase, Phase::Exited | Phase::Dead);
            ended && code.parse() == Ok(state.exit_code)
        };
        Ok(filters.any("id", |id| record.id.starts_with(id))
            && filters.any("status", |s| s == state.phase.word())
            && filters.any("exited", exited)
            && filters.any("health", |h| h == health)
            && filters.any("is-task", |t| !matches!(t, "1" | "true" | "True"))
            && filters.labels("label", |k| record.config.label(k))
            && filters.any("network", |n| self.on_network(record, n))
            && filters.any("volume", |v| has_volume(record, v))
            && filters.any("publish", |p| publishes(record, p))
            && filters.any("expose", |p| exposes(record, p))
            && filters.any("ancestor", |a| self.descends(record, a)))
    }

    fn on_network(&self, record: &Record, wanted: &str) -> bool {
        let by_id = |e: &crate::config::EndpointSettings| {
            !wanted.is_empty() && e.network_id.starts_with(wanted)
        };
        record.endpoints.contains_key(wanted) || record.endpoints.values().any(by_id)
    }

    fn descends(&self, record: &Record, wanted: &str) -> bool {
        let image = self.images.resolve(wanted).ok();
        record.config.image == wanted || image.is_some_and(|id| id.as_str() == record.image_id)
    }

    /// One container by id, name or prefix.
    pub fn inspect(&self, wanted: &str) -> Result<Arc<Record>> {
        Ok(self.containers.find(wanted)?.record())
    }

    /// The same with its sizes.
    pub async fn inspect_sized(self: &Arc<Self>, wanted: &str) -> Result<ContainerView> {
        let record = self.inspect(wanted)?;
        let mut view = ContainerView { record, size_rw: None, size_root: None };
        self.blocking(move |e| {
            e.measure(&mut view);
            Ok(view)
        })
        .await
    }

    /// Where the files lie that inspect shows.
    pub fn container_dir(&self, id: &str) -> std::path::PathBuf {
        self.containers.dir_of(id)
    }

    pub fn log_path(&self, id: &str) -> std::path::PathBuf {
        crate::logs::path(&self.containers.dir_of(id), id)
    }

    pub async fn stats(self: &Arc<Self>, wanted: &str) -> Result<Numbers> {
        let record = self.inspect(wanted)?;
        if !record.state.phase.is_live() {
            return Ok(Numbers::new(record, runtime::Stats::default(), Vec::new()));
        }
        self.blocking(move |e| {
            let stats = e.runtime.stats(&record.id)?;
            let links = u32::try_from(record.state.pid)
                .ok()
                .filter(|_| record.host.network_mode != "host")
                .and_then(|pid| net::Netns::of_process(pid).ok())
                .and_then(|netns| net::stats(&netns).ok());
            Ok(Numbers::new(record, stats, links.unwrap_or_default()))
        })
        .await
    }

    /// `ps` on the machine, narrowed to the container's processes.
    pub async fn top(self: &Arc<Self>, wanted: &str, ps_args: &str) -> Result<Top> {
        let record = self.inspect(wanted)?;
        if !record.state.phase.is_live() {
            let text = format!("container {} is not running", record.id);
            return Err(EngineError::conflict(text));
        }
        let args = if ps_args.is_empty() { "-ef".to_owned() } else { ps_args.to_owned() };
        let pid = record.state.pid;
        let top = self.blocking(move |_| top_of(pid, &args)).await?;
        self.tell(&record, "top", &[]);
        Ok(top)
    }

    pub async fn changes(self: &Arc<Self>, wanted: &str) -> Result<Vec<image::Change>> {
        let record = self.inspect(wanted)?;
        self.blocking(move |e| Ok(without_mount_points(e.images.snapshots().diff(&record.id)?)))
            .await
    }
}

/// Places that every container gets, whatever its image has; dockerd hides them in a layer of
/// their own (moby `daemon/initlayer/setup_unix.go`).
const MADE_BY_US: &[&str] = &[
    "/dev",
    "/dev/console",
    "/dev/mqueue",
    "/dev/pts",
    "/dev/shm",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/proc",
    "/sys",
    "/sys/fs",
    "/sys/fs/cgroup",
];

/// The changes that the container made itself.
fn without_mount_points(mut changes: Vec<image::Change>) -> Vec<image::Change> {
    use image::ChangeKind::{Added, Modified};
    let ours = |c: &image::Change| {
        let path = c.path.to_string_lossy();
        c.kind == Added && MADE_BY_US.contains(&path.as_ref())
    };
    let touched_etc = changes.iter().any(|c| ours(c) && c.path.starts_with("/etc"));
    changes.retain(|c| !ours(c));
    // Making the files above changed their folder, and nothing else did.
    let etc = Path::new("/etc");
    let others = changes.iter().any(|c| c.path != etc && c.path.starts_with(etc));
    if touched_etc && !others {
        changes.retain(|c| c.path != etc || c.kind != Modified);
    }
    changes
}

/// A container's numbers at one moment.
#[derive(Debug, Clone)]
pub struct Numbers {
    pub record: Arc<Record>,
    pub stats: runtime::Stats,
    pub links: Vec<net::LinkStats>,
    /// Nanoseconds of all the machine's CPUs.
    pub system_cpu: u64,
    pub machine_memory: u64,
}

impl Numbers {
    fn new(record: Arc<Record>, stats: runtime::Stats, links: Vec<net::LinkStats>) -> Self {
        let machine_memory = crate::system::machine_memory();
        Self { record, stats, links, system_cpu: crate::system::system_cpu(), machine_memory }
    }
}

/// Name filters are regular expressions over the name with and without its slash.
struct Names(Option<Vec<regex::Regex>>);

impl Names {
    fn compile(filters: &Filters) -> Result<Self> {
        if !filters.has("name") {
            return Ok(Self(None));
        }
        let compile = |text: &str| {
            regex::RegexBuilder::new(text)
                .size_limit(1 << 20)
                .build()
                .map_err(|e| EngineError::invalid(format!("invalid filter 'name={text}': {e}")))
        };
        Ok(Self(Some(filters.get("name").map(compile).collect::<Result<_>>()?)))
    }

    fn matches(&self, name: &str) -> bool {
        let Some(list) = &self.0 else { return true };
        list.iter().any(|r| r.is_match(name) || r.is_match(&format!("/{name}")))
    }
}

fn check_words(filters: &Filters) -> Result<()> {
    const STATES: &[&str] =
        &["created", "running", "paused", "restarting", "removing", "exited", "dead"];
    if let Some(status) = filters.get("status").find(|s| !STATES.contains(s)) {
        return Err(EngineError::invalid(format!("invalid filter 'status={status}'")));
    }
    if let Some(code) = filters.get("exited").find(|c| c.parse::<i32>().is_err()) {
        return Err(EngineError::invalid(format!("invalid filter 'exited={code}'")));
    }
    Ok(())
}

fn has_volume(record: &Record, wanted: &str) -> bool {
    record.mounts.iter().any(|m| m.name == wanted || m.source == wanted || m.destination == wanted)
}

fn publishes(record: &Record, wanted: &str) -> bool {
    in_range(wanted, |port, protocol| {
        record.ports.iter().any(|p| {
            ports::parse_port(&p.container).is_some_and(|(inside, proto)| {
                proto == protocol && (inside == port || p.host_port == port)
            })
        })
    })
}

fn exposes(record: &Record, wanted: &str) -> bool {
    in_range(wanted, |port, protocol| {
        let exposed = record.config.exposed_ports.iter().flatten();
        exposed.filter_map(|(p, _)| ports::parse_port(p)).any(|p| p == (port, protocol))
    })
}

/// `80`, `80/udp`, `8000-8010/tcp`
fn in_range(wanted: &str, test: impl Fn(u16, &str) -> bool) -> bool {
    let (range, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    ports::parse_range(range).is_some_and(|(low, high)| (low..=high).any(|p| test(p, protocol)))
}

/// Runs the machine's `ps` and keeps the rows of processes in the container's PID namespace
/// (moby `daemon/top_unix.go`).
fn top_of(pid: i32, args: &str) -> Result<Top> {
    let words: Vec<&str> = args.split_whitespace().collect();
    let output = std::process::Command::new("ps").args(&words).output();
    let output = output.doing(|| "error running ps".to_owned())?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(EngineError::invalid(format!("error running ps: {text}")));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let titles: Vec<String> =
        lines.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let column = titles
        .iter()
        .position(|t| t == "PID")
        .ok_or_else(|| EngineError::invalid("couldn't find PID field in ps output"))?;
    let namespace = pid_namespace(pid);
    let rows = lines.map(|line| row(line, titles.len())).filter(|row| {
        let pid = row.get(column).and_then(|p| p.parse().ok());
        namespace.is_some() && pid.is_some_and(|p| pid_namespace(p) == namespace)
    });
    let processes = rows.collect();
    Ok(Top { titles, processes })
}

fn pid_namespace(pid: i32) -> Option<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

/// As many columns as titles; the last takes the rest of the line.
fn row(line: &str, columns: usize) -> Vec<String> {
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    if columns > 0 && words.len() > columns {
        let rest = words.split_off(columns - 1).join(" ");
        words.push(rest);
    }
    words
}

/// Bytes that a directory takes on disk; links are not followed.
pub(crate) fn dir_size(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => dir_size(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
