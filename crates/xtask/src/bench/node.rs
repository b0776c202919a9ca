//! `cargo xtask bench node [--pods 30,100] [--only start,idle,...]`: `boxship up` on this machine.
//!
//! Wants root and a network namespace where nothing else uses its addresses. The load generator is an example of crate
//! `node`; it works through the API as any client does.

use super::instance::Instance;
use super::report::{Figure, Report};
use super::stats::Sample;
use super::{Scratch, Setup, built};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

struct Bench<'a> {
    setup: &'a Setup,
    report: &'a mut Report,
    scratch: Scratch,
    load: PathBuf,
}

struct Part {
    name: &'static str,
    run: fn(&mut Bench<'_>) -> Result<(), String>,
}

const PARTS: &[Part] = &[
    Part { name: "ready", run: ready },
    Part { name: "pods", run: pods },
    Part { name: "idle", run: idle },
    Part { name: "service", run: service },
    Part { name: "endpoints", run: endpoints },
];

pub fn run(setup: &Setup, report: &mut Report) -> Result<(), String> {
    let load = match setup.option("load") {
        Some(path) => PathBuf::from(path),
        None => built("pods", &["--package", "node", "--example", "pods"])?,
    };
    let mut bench = Bench { setup, report, scratch: Scratch::new("node")?, load };
    let only = setup.option("only");
    for part in PARTS {
        if only.is_none_or(|only| only.split(',').any(|name| name == part.name)) {
            (part.run)(&mut bench)?;
        }
    }
    Ok(())
}

/// A node under test; its containers and kernel objects go with it.
struct Node<'a> {
    instance: Option<Instance>,
    binary: &'a Path,
    name: String,
    dir: PathBuf,
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        drop(self.instance.take());
        let reset = Command::new(self.binary)
            .args(["reset", "--name", &self.name, "--data-dir"])
            .arg(self.dir.join("data"))
            .output();
        match reset {
            Ok(output) if output.status.success() => {}
            Ok(output) => eprintln!("reset: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => eprintln!("reset: {error}"),
        }
    }
}

impl<'a> Bench<'a> {
    fn up(&self, name: &str) -> Result<Node<'a>, String> {
        let dir = self.scratch.path().join(name);
        std::fs::create_dir_all(&dir).map_err(|e| format!("make `{}`: {e}", dir.display()))?;
        let instance = start(&self.setup.binary, name, &dir)?;
        let node = Node {
            instance: Some(instance),
            binary: &self.setup.binary,
            name: format!("bench-{name}"),
            dir,
        };
        import(&node.dir)?;
        Ok(node)
    }

    fn load(&self, node: &Node<'_>, args: &[&str]) -> Result<Value, String> {
        let output = Command::new(&self.load)
            .arg("--kubeconfig")
            .arg(node.dir.join("kubeconfig"))
            .args(args)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| format!("{}: {e}", self.load.display()))?;
        let told = serde_json::from_slice(&output.stdout);
        told.map_err(|_| format!("pods {} failed", args.join(" ")))
    }
}

fn start(binary: &Path, name: &str, dir: &Path) -> Result<Instance, String> {
    let (name, host) = (format!("bench-{name}"), format!("unix://{}/docker.sock", dir.display()));
    let args = ["--name", &name, "--listen", "127.0.0.1:16443", "--docker-host", &host];
    Instance::start(binary, "up", dir, &args)
}

/// An image of busybox alone, brought in over the engine's socket.
fn import(dir: &Path) -> Result<(), String> {
    let root = dir.join("root");
    let bin = root.join("bin");
    let failed = |e: std::io::Error| format!("make a root file system: {e}");
    std::fs::create_dir_all(&bin).map_err(failed)?;
    std::fs::copy("/bin/busybox", bin.join("busybox")).map_err(failed)?;
    for applet in ["sh", "sleep", "httpd", "mkdir", "echo"] {
        // There already on the second start on a directory.
        let _ = std::os::unix::fs::symlink("busybox", bin.join(applet));
    }
    let script = format!(
        "tar -C {root} -c . | docker -H unix://{dir}/docker.sock import - busybox:latest",
        root = root.display(),
        dir = dir.display()
    );
    let made = Command::new("sh").args(["-c", &script]).output().map_err(failed)?;
    let errors = String::from_utf8_lossy(&made.stderr);
    if made.status.success() { Ok(()) } else { Err(format!("docker import: {errors}")) }
}

fn sample(told: &Value) -> Sample {
    let all = told["ms"].as_array().into_iter().flatten().filter_map(Value::as_f64);
    all.map(|ms| Duration::from_secs_f64(ms / 1e3)).collect()
}

/// First start, second start, and the first answer of an app by name and address.
fn ready(bench: &mut Bench<'_>) -> Result<(), String> {
    let (mut cold, mut warm, mut first) = (Sample::default(), Sample::default(), Sample::default());
    for round in 0..5 {
        let mut node = bench.up(&format!("ready{round}"))?;
        cold.push(node.instance.as_ref().map_or(Duration::ZERO, |i| i.ready));
        let told = bench.load(&node, &["first"])?;
        first.push(Duration::from_secs_f64(told["ms"].as_f64().unwrap_or(0.0) / 1e3));
        drop(node.instance.take());
        let again = start(&bench.setup.binary, &format!("ready{round}"), &node.dir)?;
        warm.push(again.ready);
        node.instance = Some(again);
    }
    bench.report.sample("up to ready, first start", &cold);
    bench.report.sample("up to ready, second start", &warm);
    bench.report.sample("create to an answer through Service and DNS", &first);
    Ok(())
}

/// Create to Running as a watch shows it, one after another and many at once.
fn pods(bench: &mut Bench<'_>) -> Result<(), String> {
    let node = bench.up("pods")?;
    let mut alone = Sample::default();
    for _ in 0..10 {
        let told = bench.load(&node, &["start", "1"])?;
        alone.push(sample(&told).median());
    }
    bench.report.sample("pod create to Running, one after another", &alone);
    for count in bench.setup.option("pods").unwrap_or("30,100").split(',') {
        let told = bench.load(&node, &["start", count])?;
        bench.report.sample(&format!("pod create to Running, {count} at once"), &sample(&told));
        if let Some(instance) = &node.instance {
            bench.report.memory(&format!("daemon after {count} at once"), instance.memory()?);
        }
    }
    Ok(())
}

fn idle(bench: &mut Bench<'_>) -> Result<(), String> {
    let node = bench.up("idle")?;
    let secs = Duration::from_secs(bench.setup.number("seconds", 30)? as u64);
    for count in ["0", "30"] {
        if count != "0" {
            bench.load(&node, &["keep", count])?;
        }
        std::thread::sleep(Duration::from_secs(5));
        let Some(instance) = &node.instance else { continue };
        bench.report.memory(&format!("daemon at rest with {count} pods"), instance.memory()?);
        let before = written(instance.pid());
        let (core, switches) = instance.idle(secs)?;
        let what = format!("with {count} pods over {} s", secs.as_secs());
        bench.report.figure(&format!("processor {what}"), Figure::Core(core));
        bench.report.figure(&format!("context switches {what}"), Figure::Count(switches));
        let bytes = written(instance.pid()).saturating_sub(before);
        bench.report.figure(&format!("bytes written {what}"), Figure::Count(bytes));
    }
    Ok(())
}

/// `write_bytes` of `/proc/<pid>/io`.
fn written(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("write_bytes: "));
    line.and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn service(bench: &mut Bench<'_>) -> Result<(), String> {
    let node = bench.up("service")?;
    let told = bench.load(&node, &["service"])?;
    let mean = |way: &str, of: &str| {
        let one = |way: &str| told[way][of].as_f64().unwrap_or(0.0);
        f64::midpoint(one(way), one(&format!("{way}2")))
    };
    for (of, what) in [
        ("requests", "round trips on 4 connections"),
        ("connects", "connections with a round trip"),
    ] {
        let (ours, theirs) = (Figure::Rate(mean("service", of)), Figure::Rate(mean("direct", of)));
        bench.report.against(&format!("{what}, through a Service"), ours, "direct", theirs);
    }
    let told = bench.load(&node, &["dns"])?;
    bench.report.figure(
        "DNS answers, 32 under way",
        Figure::Rate(told["per_second"].as_f64().unwrap_or(0.0)),
    );
    Ok(())
}

/// From the write of an endpoint to the first connection that follows it, among many others.
fn endpoints(bench: &mut Bench<'_>) -> Result<(), String> {
    let node = bench.up("endpoints")?;
    let told = bench.load(&node, &["endpoints", "1000", "5000"])?;
    bench.report.sample(
        "endpoint change to packet path, 1000 Services with 5000 endpoints",
        &sample(&told),
    );
    Ok(())
}
