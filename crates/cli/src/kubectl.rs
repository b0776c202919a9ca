//! kubectl's commands over the Kubernetes API, with kubectl's outputs and messages.
//!
//! `apply` is server-side always; the words printed are those of the client-side one. Kustomizations and plugins are
//! not here.

mod apply;
mod change;
mod config;
mod describe;
mod exec;
mod explain;
mod forward;
mod generate;
mod get;
mod info;
mod jsonpath;
mod kinds;
mod logs;
mod manifests;
mod nodes;
mod print;
mod remove;
mod rollout;
mod select;
mod table;
mod top;
mod wait;
mod yaml;

use crate::command::{Command, Flag, NONE, on, one};
use crate::failure::Failure;
use crate::parse::Call;
use meta::Value;
use remote::{Kube, Kubeconfig, Target};
use serde_json::json;
use std::path::PathBuf;

pub const GLOBALS: &[Flag] = &[
    one("kubeconfig", None, "FILE", "Which clusters there are (else KUBECONFIG, ~/.kube/config)"),
    one("context", None, "NAME", "Which of its contexts"),
    one("cluster", None, "NAME", "Another cluster than the context's"),
    one("user", None, "NAME", "Another user than the context's"),
    one("namespace", Some('n'), "NAME", "In which namespace"),
    one("server", Some('s'), "https://HOST:PORT", "The API server's address"),
    one("token", None, "TOKEN", "Who is asking"),
    on("insecure-skip-tls-verify", None, "Believe any server"),
];

pub const ROOT: Command = Command {
    name: "kubectl",
    about: "Work with the cluster",
    usage: "[OPTIONS] COMMAND",
    subs: table::COMMANDS,
    globals: GLOBALS,
    ..NONE
};

/// Where a call goes.
struct Cluster {
    kube: Kube,
    namespace: String,
}

fn loaded(call: &Call) -> Result<Kubeconfig, Failure> {
    let paths = match call.get("kubeconfig") {
        Some(path) => vec![PathBuf::from(path)],
        None => Kubeconfig::default_paths(),
    };
    Kubeconfig::load(&paths).map_err(|e| Failure::kube("read the kubeconfig", &e))
}

/// The cluster a call means.
fn cluster(call: &Call) -> Result<Cluster, Failure> {
    let target = target(call)?;
    let namespace = call.get("namespace").map_or_else(|| target.namespace.clone(), str::to_owned);
    Ok(Cluster { kube: Kube::new(target), namespace })
}

fn target(call: &Call) -> Result<Target, Failure> {
    let failed = |e: remote::Error| Failure::kube("find the cluster", &e);
    let overrides = ["server", "token", "cluster", "user", "insecure-skip-tls-verify"];
    let config = loaded(call)?;
    if overrides.iter().all(|flag| call.get(flag).is_none()) {
        return config.target(call.get("context")).map_err(failed);
    }
    let context = call.get("context").unwrap_or(config.current());
    let named = config.entry("contexts", context).cloned().unwrap_or_default();
    let part = |flag: &str, list: &str| {
        let name = call.get(flag).or(named[flag].as_str()).unwrap_or_default();
        config.entry(list, name).cloned().unwrap_or_else(|| json!({}))
    };
    let (mut cluster, mut user) = (part("cluster", "clusters"), part("user", "users"));
    if let Some(server) = call.get("server") {
        cluster["server"] = server.into();
    }
    if call.has("insecure-skip-tls-verify") {
        cluster["insecure-skip-tls-verify"] = true.into();
        if let Some(cluster) = cluster.as_object_mut() {
            cluster.retain(|key, _| !key.starts_with("certificate-authority"));
        }
    }
    if let Some(token) = call.get("token") {
        user = json!({ "token": token });
    }
    let mut target = Target::new(&cluster, &user).map_err(failed)?;
    if let Some(namespace) = named["namespace"].as_str() {
        namespace.clone_into(&mut target.namespace);
    }
    Ok(target)
}

/// A member of an object as text; empty when it is none.
fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// ` (dry run)` and the like, behind what is printed.
fn dry_run(call: &Call) -> Result<DryRun, Failure> {
    match call.get("dry-run") {
        None | Some("none" | "false") => Ok(DryRun::None),
        Some("client" | "true" | "unchanged") => Ok(DryRun::Client),
        Some("server") => Ok(DryRun::Server),
        Some(other) => Err(call.bad_value("dry-run", other, "it is none, client or server")),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DryRun {
    None,
    Client,
    Server,
}

impl DryRun {
    fn query(self) -> &'static str {
        if self == Self::Server { "dryRun=All&" } else { "" }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }
}
