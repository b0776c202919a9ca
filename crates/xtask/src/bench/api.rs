//! `cargo xtask bench api [--etcd PATH] [--pods 100000] [--seconds 4] [--only creates,lists,...]`.
//!
//! The control plane alone (`boxship server`) under the load generator of crate `kube-http`; etcd puts values of
//! the same size in the same run, and lists are compared with copying their bytes over TLS.

use super::instance::Instance;
use super::report::{Figure, Report};
use super::stats::Sample;
use super::{Scratch, Setup, built, etcd::Etcd, process};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A part of the benchmark: its name for `--only`.
struct Part {
    name: &'static str,
    run: fn(&mut Bench<'_>) -> Result<(), String>,
}

const PARTS: &[Part] = &[
    Part { name: "start", run: start },
    Part { name: "idle", run: idle },
    Part { name: "creates", run: creates },
    Part { name: "watches", run: watches },
    Part { name: "lists", run: lists },
    Part { name: "memory", run: memory },
];

struct Bench<'a> {
    setup: &'a Setup,
    report: &'a mut Report,
    scratch: Scratch,
    load: PathBuf,
    seconds: String,
}

pub fn run(setup: &Setup, report: &mut Report) -> Result<(), String> {
    let load = match setup.option("load") {
        Some(path) => PathBuf::from(path),
        None => built("load", &["--package", "kube-http", "--example", "load"])?,
    };
    let seconds = setup.option("seconds").unwrap_or("4").to_string();
    let scratch = Scratch::new("api")?;
    let mut bench = Bench { setup, report, scratch, load, seconds };
    let only = setup.option("only");
    for part in PARTS {
        if only.is_none_or(|only| only.split(',').any(|name| name == part.name)) {
            (part.run)(&mut bench)?;
        }
    }
    Ok(())
}

impl Bench<'_> {
    /// A server on a directory of this name.
    fn server(&self, name: &str) -> Result<Instance, String> {
        let dir = self.scratch.path().join(name);
        std::fs::create_dir_all(&dir).map_err(|e| format!("make `{}`: {e}", dir.display()))?;
        Instance::start(&self.setup.binary, "server", &dir, &["--listen", "127.0.0.1:0"])
    }

    /// Runs the load generator.
    fn load(&self, args: &[&str]) -> Result<Value, String> {
        let output = Command::new(&self.load)
            .args(args)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| format!("{}: {e}", self.load.display()))?;
        let told = serde_json::from_slice(&output.stdout);
        told.map_err(|_| format!("load {} failed", args.join(" ")))
    }

    fn load_on(&self, server: &Instance, what: &str, args: &[&str]) -> Result<Value, String> {
        let kubeconfig = text(&server.kubeconfig);
        self.load(&[&[what, "--kubeconfig", &kubeconfig], args].concat())
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn number(told: &Value, name: &str) -> f64 {
    told[name].as_f64().unwrap_or(0.0)
}

fn percentile(told: &Value, name: &str) -> Duration {
    Duration::from_micros(told["us"][name].as_u64().unwrap_or(0))
}

fn rate(told: &Value) -> Figure {
    Figure::Rate(number(told, "done") / number(told, "seconds").max(1e-9))
}

/// Process start to the first answered list, on empty directories and on one that has a cluster.
fn start(bench: &mut Bench<'_>) -> Result<(), String> {
    let once = |name: &str| -> Result<Duration, String> {
        let since = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began = since();
        let server = bench.server(name)?;
        let told = bench.load_on(&server, "first", &[])?;
        Ok(Duration::from_secs_f64(number(&told, "at")).saturating_sub(began))
    };
    let first = (0..7).map(|i| once(&format!("start-{i}"))).collect::<Result<Sample, _>>()?;
    let again = (0..7).map(|_| once("start-0")).collect::<Result<Sample, _>>()?;
    bench.report.sample("start on an empty directory to first answer", &first);
    bench.report.sample("start on an existing one to first answer", &again);
    Ok(())
}

fn idle(bench: &mut Bench<'_>) -> Result<(), String> {
    let server = bench.server("idle")?;
    std::thread::sleep(Duration::from_secs(3));
    bench.report.memory("idle control plane, resident", server.memory()?);
    let (core, switches) = server.idle(Duration::from_secs(10))?;
    bench.report.figure("idle control plane, processor over 10 s", Figure::Core(core));
    bench.report.figure("context switches in these 10 s", Figure::Count(switches));
    bench.load_on(&server, "first", &[])?;
    // What kubectl asks for first.
    for path in ["/openapi/v2", "/openapi/v3", "/openapi/v3/apis/apps/v1", "/api", "/apis"] {
        let args = ["--path", path, "--accept", "json", "--limit", "0", "--rounds", "1"];
        bench.load_on(&server, "list", &args)?;
    }
    std::thread::sleep(Duration::from_secs(3));
    bench.report.memory("the same after discovery and OpenAPI were read", server.memory()?);
    Ok(())
}

/// Bytes of a value: about what a small object is.
const VALUE: &str = "1000";

fn creates(bench: &mut Bench<'_>) -> Result<(), String> {
    let server = bench.server("creates")?;
    let etcd = Etcd::start(bench.setup, &bench.scratch.path().join("etcd"));
    if let Err(why) = &etcd {
        bench.report.note(&format!("no etcd to compare with: {why}"));
    }
    for clients in ["1", "16", "256"] {
        let load = ["--clients", clients, "--seconds", &bench.seconds, "--bytes", VALUE];
        let before = process::processor(server.pid())?;
        let ours = bench.load_on(&server, "creates", &load)?;
        let used = process::processor(server.pid())?.saturating_sub(before);
        let what = format!("durable creates, {clients} clients");
        match &etcd {
            Ok(etcd) => {
                let address = ["puts", "--etcd", etcd.address.as_str()];
                let theirs = bench.load(&[address.as_slice(), &load].concat())?;
                bench.report.against(&what, rate(&ours), "etcd put", rate(&theirs));
            }
            Err(_) => bench.report.figure(&what, rate(&ours)),
        }
        let each = used.div_f64(number(&ours, "done").max(1.0));
        bench.report.figure("  latency p50", Figure::Time(percentile(&ours, "p50")));
        bench.report.figure("  latency p99", Figure::Time(percentile(&ours, "p99")));
        bench.report.figure("  server's processor time per create", Figure::Time(each));
    }
    Ok(())
}

fn watches(bench: &mut Bench<'_>) -> Result<(), String> {
    for (what, watchers, rate, seconds) in [
        ("1 000 watchers, unpaced writes", "1000", "0", "1"),
        ("1 000 watchers, 20 writes/s", "1000", "20", "5"),
    ] {
        let server = bench.server(&format!("watches-{rate}"))?;
        let load = ["--watchers", watchers, "--rate", rate, "--seconds", seconds];
        let before = process::processor(server.pid())?;
        let told = bench.load_on(&server, "watch", &load)?;
        let used = process::processor(server.pid())?.saturating_sub(before);
        let delivered = number(&told, "delivered");
        if delivered < number(&told, "wanted") {
            return Err(format!("{what}: {delivered} of {} delivered", told["wanted"]));
        }
        if rate == "0" {
            let rate = Figure::Rate(delivered / number(&told, "seconds").max(1e-9));
            bench.report.figure(&format!("{what}: deliveries"), rate);
            bench.report.figure("  events written", Figure::Count(number(&told, "written") as u64));
        } else {
            let [p50, p99] = ["p50", "p99"].map(|p| Figure::Time(percentile(&told, p)));
            bench.report.figure(&format!("{what}: written to seen, p50"), p50);
            bench.report.figure("  p99", p99);
        }
        let each = used.div_f64(delivered.max(1.0));
        bench.report.figure("  server's processor time per delivery", Figure::Time(each));
    }
    Ok(())
}

fn lists(bench: &mut Bench<'_>) -> Result<(), String> {
    let server = bench.server("pods")?;
    let empty = server.memory()?;
    let filled = bench.load_on(&server, "fill", &["--pods", "10000"])?;
    bench.report.figure("pods created, 64 clients", rate(&filled));
    std::thread::sleep(Duration::from_secs(2));
    bench.report.memory("10 000 pods stored, resident", server.memory()?);
    let more = server.memory()?.resident.saturating_sub(empty.resident);
    bench.report.figure("  more than empty", Figure::Bytes(more));
    for (accept, limit) in [("json", "0"), ("json", "500"), ("protobuf", "0"), ("protobuf", "500")]
    {
        let path = "/api/v1/pods";
        let load = ["--path", path, "--accept", accept, "--limit", limit, "--rounds", "10"];
        let before = process::processor(server.pid())?;
        let told = bench.load_on(&server, "list", &load)?;
        let used = process::processor(server.pid())?.saturating_sub(before);
        let bytes = (number(&told, "bytes") as u64).to_string();
        let copied = bench.load(&["copy", "--bytes", &bytes, "--rounds", "10"])?;
        let [ours, raw] = [&told, &copied].map(|t| Figure::Time(percentile(t, "p50")));
        let how = if limit == "0" { "at once".into() } else { format!("by {limit}") };
        let size = Figure::Bytes(number(&told, "bytes") as u64).text();
        let what = format!("list of 10 000 pods, {accept} {how}, {size}");
        bench.report.against(&what, ours, "copied over TLS", raw);
        let each = Figure::Time(used / 11);
        bench.report.figure("  server's processor time per list", each);
    }
    bench.report.memory("after these lists, resident", server.memory()?);
    Ok(())
}

fn memory(bench: &mut Bench<'_>) -> Result<(), String> {
    let pods = bench.setup.number("pods", 100_000)?.to_string();
    let server = bench.server("memory")?;
    let filled = bench.load_on(&server, "fill", &["--pods", &pods])?;
    bench.report.figure(&format!("{pods} pods created, 64 clients"), rate(&filled));
    std::thread::sleep(Duration::from_secs(5));
    bench.report.memory(&format!("{pods} pods stored, resident"), server.memory()?);
    drop(server);
    let began = Instant::now();
    let server = bench.server("memory")?;
    bench.load_on(&server, "first", &[])?;
    bench.report.figure("  start with them to first answer", Figure::Time(began.elapsed()));
    bench.report.memory("  resident after that start", server.memory()?);
    Ok(())
}
