//! The structure rules of ARCHITECTURE.md that a compiler does not check.

use crate::source::{self, Source};
use std::collections::BTreeMap;
use std::fs;

/// A file longer than this needs a reason: it must be a table.
const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
const LOCKED_PACKAGES_MAX: usize = 420;

/// Layers from the ground up; a crate depends on its own layer or lower ones only.
const LAYERS: &[(&str, &[&str])] = &[
    ("words", &["meta", "schema", "kinds", "oci"]),
    (
        "brains",
        &[
            "store",
            "merge",
            "auth",
            "api",
            "typed",
            "controllers",
            "scheduler",
            "kubelet",
            "netplan",
            "dockerfile",
        ],
    ),
    ("hands", &["log", "pki", "image", "runtime", "net", "ingress", "engine", "build"]),
    ("loops", &["client", "remote", "control", "node"]),
    ("faces", &["kube-http", "docker-http", "registry-http", "cli"]),
    ("bin", &["boxship"]),
    ("dev", &["sim", "testkit", "xtask"]),
];

/// Crates that touch the kernel by hand.
const UNSAFE_IN: &[&str] = &["runtime", "net", "image"];
/// Crates that must not know Kubernetes.
const KUBERNETES_FREE: &[&str] =
    &["oci", "image", "runtime", "net", "engine", "build", "docker-http", "registry-http"];
/// What makes a brain impure.
const IMPURE: &[&str] = &[
    "std::fs::",
    "TcpStream",
    "UdpSocket",
    "TcpListener",
    "std::env::",
    "std::process",
    "std::thread",
    "tokio::",
    "SystemTime::now",
    "Instant::now",
    "getrandom",
];
/// The store's hands: the writer thread and how others wait for it.
const STORE_HANDS: &[&str] = &["writer.rs", "board.rs", "pending.rs"];
const UNFINISHED: &[&str] = &["todo!(", "unimplemented!(", "FIXME", "XXX"];

pub fn run(_: &[String]) -> Result<(), String> {
    let sources = source::all()?;
    let mut faults = Vec::new();
    for source in &sources {
        file_rules(source, &mut faults);
    }
    layer_rules(&mut faults)?;
    lock_rules(&mut faults)?;
    header_rules(&sources, &mut faults);
    if faults.is_empty() {
        println!("tidy: {} files keep the structure rules", sources.len());
        return Ok(());
    }
    faults.sort();
    Err(format!("{} faults\n  {}", faults.len(), faults.join("\n  ")))
}

fn file_rules(source: &Source, faults: &mut Vec<String>) {
    if source.crate_name() == "xtask" {
        return;
    }
    let path = &source.path;
    let code =
        || source.text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//"));
    for (at, line) in code() {
        if UNFINISHED.iter().any(|word| line.contains(word)) {
            faults.push(format!("{path}:{}: unfinished: {}", at + 1, line.trim()));
        }
        if line.contains("unsafe ")
            && !line.contains("unsafe_code")
            && !UNSAFE_IN.contains(&source.crate_name())
        {
            faults.push(format!("{path}:{}: unsafe outside {UNSAFE_IN:?}", at + 1));
        }
    }
    if source.is_test() {
        return;
    }
    purity_rules(source, faults);
    let is_table = path.ends_with("table.rs") || path.contains("/tables/");
    if source.product_lines() > FILE_LINES_MAX && !is_table {
        faults.push(format!("{path}: {} lines", source.product_lines()));
    }
    for function in source.functions() {
        if function.lines > FUNCTION_LINES_MAX {
            faults.push(format!(
                "{path}:{}: fn {} has {} lines",
                function.line, function.name, function.lines
            ));
        }
    }
}

fn purity_rules(source: &Source, faults: &mut Vec<String>) {
    let brain =
        LAYERS[1].1.contains(&source.crate_name()) || LAYERS[0].1.contains(&source.crate_name());
    let hand =
        source.crate_name() == "store" && STORE_HANDS.iter().any(|f| source.path.ends_with(f));
    if !brain || hand || source.path.ends_with("build.rs") {
        return;
    }
    let product = source.text.lines().take(source.product_lines()).enumerate();
    for (at, line) in product.filter(|(_, l)| !l.trim_start().starts_with("//")) {
        // What the program was compiled for is no environment.
        let line = line.replace("std::env::consts", "");
        if let Some(word) = IMPURE.iter().find(|word| line.contains(**word)) {
            faults.push(format!("{}:{}: a brain uses {word}", source.path, at + 1));
        }
    }
}

fn layer_rules(faults: &mut Vec<String>) -> Result<(), String> {
    let rank: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(rank, (_, crates))| crates.iter().map(move |name| (*name, rank)))
        .collect();
    for dir in fs::read_dir(source::root().join("crates")).map_err(|e| e.to_string())?.flatten() {
        let name = dir.file_name().to_string_lossy().into_owned();
        let Some(&mine) = rank.get(name.as_str()) else {
            faults.push(format!(
                "crates/{name}: not in the picture of ARCHITECTURE.md (tidy.rs, LAYERS)"
            ));
            continue;
        };
        let manifest = fs::read_to_string(dir.path().join("Cargo.toml")).unwrap_or_default();
        for dep in dependencies(&manifest) {
            if rank.get(dep).is_some_and(|&theirs| theirs > mine) && !excepted(&name, dep) {
                faults.push(format!("crates/{name}: depends upwards on {dep}"));
            }
            if KUBERNETES_FREE.contains(&name.as_str())
                && matches!(dep, "kinds" | "api" | "store" | "k8s-openapi")
            {
                faults
                    .push(format!("crates/{name}: must not know Kubernetes, but depends on {dep}"));
            }
        }
    }
    Ok(())
}

/// `kinds` describes kinds in the words of the store's snapshots, which its hooks read.
fn excepted(name: &str, dep: &str) -> bool {
    name == "kinds" && dep == "store"
}

/// Names under `[dependencies]` (not dev or build dependencies).
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
}

fn lock_rules(faults: &mut Vec<String>) -> Result<(), String> {
    let lock = fs::read_to_string(source::root().join("Cargo.lock")).map_err(|e| e.to_string())?;
    let packages = lock.matches("[[package]]").count();
    println!("tidy: {packages} locked packages");
    if packages > LOCKED_PACKAGES_MAX {
        faults.push(format!("Cargo.lock: {packages} packages, at most {LOCKED_PACKAGES_MAX}"));
    }
    Ok(())
}

/// Every crate says at its door what it is.
fn header_rules(sources: &[Source], faults: &mut Vec<String>) {
    let doors = sources.iter().filter(|s| s.path.ends_with("/src/lib.rs"));
    for door in doors.filter(|s| !s.text.starts_with("//!")) {
        faults.push(format!("{}: no header saying what the crate is", door.path));
    }
}
