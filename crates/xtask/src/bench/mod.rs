//! `cargo xtask bench <name>`: measures whole processes with clients of their own, beside a peer in the same run
//! where there is one, and says what was seen. One file per benchmark, one row per benchmark.
//!
//! Every benchmark ends by itself, uses data directories of its own and leaves nothing running.

mod api;
mod build;
mod engine;
mod etcd;
pub mod instance;
mod node;
pub mod process;
pub mod race;
pub mod report;
mod scheduler;
pub mod stats;

use report::Report;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A benchmark: fills the report; what it printed so far stays when it fails.
struct Row {
    name: &'static str,
    help: &'static str,
    run: fn(&Setup, &mut Report) -> Result<(), String>,
}

const ROWS: &[Row] = &[
    Row {
        name: "api",
        help: "control plane: durable creates, lists, watches, start, memory; against etcd",
        run: api::run,
    },
    Row { name: "engine", help: "containers, against docker and runc", run: engine::run },
    Row { name: "build", help: "image builds, against docker", run: build::run },
    Row { name: "scheduler", help: "scheduling on simulated nodes", run: scheduler::run },
    Row { name: "node", help: "pods on this machine, start to ready, idle", run: node::run },
];

/// What a run was asked for.
pub struct Setup {
    /// The program under test.
    pub binary: PathBuf,
    /// Arguments the benchmark reads itself: `--name value` pairs and flags.
    pub args: Vec<String>,
}

impl Setup {
    /// The value after `--<name>`.
    pub fn option(&self, name: &str) -> Option<&str> {
        value(&self.args, name)
    }

    /// Whether `--<name>` was given.
    pub fn flag(&self, name: &str) -> bool {
        self.args.iter().any(|arg| arg.strip_prefix("--") == Some(name))
    }

    /// A number after `--<name>`.
    ///
    /// # Errors
    /// When what follows is no number.
    pub fn number(&self, name: &str, otherwise: usize) -> Result<usize, String> {
        let Some(text) = self.option(name) else { return Ok(otherwise) };
        text.parse().map_err(|_| format!("--{name} wants a number, not {text:?}"))
    }
}

fn value<'a>(args: &'a [String], name: &str) -> Option<&'a str> {
    let at = args.iter().position(|arg| arg.strip_prefix("--") == Some(name))?;
    args.get(at + 1).map(String::as_str)
}

pub fn run(args: &[String]) -> Result<(), String> {
    let chosen = args.first().and_then(|name| ROWS.iter().find(|row| row.name == name));
    let Some(row) = chosen else {
        println!("usage: cargo xtask bench <name> [--binary PATH] [--json FILE] [options]");
        ROWS.iter().for_each(|row| println!("  {:<10} {}", row.name, row.help));
        return if args.is_empty() { Ok(()) } else { Err("no such benchmark".into()) };
    };
    let args = args[1..].to_vec();
    let binary = match value(&args, "binary") {
        Some(path) => absolute(path)?,
        None => built("boxship", &["--package", "boxship"])?,
    };
    let json = value(&args, "json").map(PathBuf::from);
    let json = json.unwrap_or_else(|| target().join(format!("bench-{}.json", row.name)));
    let mut report = Report::begin(row.name);
    let result = (row.run)(&Setup { binary, args }, &mut report);
    report.end(&json)?;
    result
}

fn absolute(path: &str) -> Result<PathBuf, String> {
    std::fs::canonicalize(path).map_err(|e| format!("--binary `{path}`: {e}"))
}

/// Builds a program in the release profile (`args` select it) and answers its path.
///
/// # Errors
/// When it does not build.
pub fn built(name: &str, args: &[&str]) -> Result<PathBuf, String> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release"])
        .args(args)
        .current_dir(crate::source::root())
        .status()
        .map_err(|e| format!("cargo build {}: {e}", args.join(" ")))?;
    if !status.success() {
        return Err(format!("cargo build {} failed", args.join(" ")));
    }
    let dir = target().join("release");
    let dir = if args.contains(&"--example") { dir.join("examples") } else { dir };
    Ok(dir.join(name))
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    named.unwrap_or_else(|| crate::source::root().join("target"))
}

/// A fresh directory below the system's temporary one; removed when dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// # Errors
    /// When it cannot be made.
    pub fn new(what: &str) -> Result<Self, String> {
        let dir = std::env::temp_dir().join(format!("boxship-bench-{what}-{}", std::process::id()));
        // One left by a run that was killed.
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).map_err(|e| format!("make `{}`: {e}", dir.display()))?;
        Ok(Self(dir))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in the temporary directory, where it is swept.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
