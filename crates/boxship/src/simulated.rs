//! `--simulated-nodes N`: nodes that run nothing but answer as if they did, to try a large cluster on a laptop.

use crate::failure::Failure;
use crate::server::ControlPlane;
use api::{Call, Verb};
use clap::{Arg, ArgMatches, value_parser};
use client::Client;
use controllers::simulated::{LABEL, SIMULATED_NODES};
use meta::{Gvr, Identity, Problem, Reason, Value};
use serde_json::json;
use tokio::task::JoinSet;

/// The pod ranges below have room for no more.
const MOST: u64 = 32_768;

pub fn arg() -> Arg {
    Arg::new("simulated-nodes")
        .long("simulated-nodes")
        .value_name("N")
        .help("Keep N nodes whose pods only pretend to run")
        .value_parser(value_parser!(u64).range(1..=MOST))
}

/// Makes the nodes that are missing and starts the loop that keeps them and their pods.
///
/// # Errors
/// When a node cannot be made or the loop cannot be started.
pub async fn start(
    plane: &ControlPlane,
    args: &ArgMatches,
) -> Result<Option<control::Handle>, Failure> {
    let Some(count) = args.get_one::<u64>("simulated-nodes") else { return Ok(None) };
    let identity = Identity::controller("simulated-nodes");
    let client = Client::new(plane.api.clone(), plane.store.clone(), identity, "simulated-nodes");
    let mut making = JoinSet::new();
    for at in 0..*count {
        let client = client.clone();
        making.spawn(async move { make(&client, at).await });
    }
    while let Some(made) = making.join_next().await {
        let made = made.unwrap_or_else(|panic| Err(Problem::internal(panic)));
        made.map_err(|e| Failure::new("make a simulated node", e))?;
    }
    control::start(plane.api.clone(), plane.store.clone(), SIMULATED_NODES)
        .map(Some)
        .map_err(|e| Failure::new("start the loop of simulated nodes", e))
}

/// One that is there already is kept as it is.
async fn make(client: &Client, at: u64) -> Result<(), Problem> {
    let call = Call::new(Verb::Create(node(at)), Gvr::new("", "v1", "nodes"), "", "");
    match client.call(&call).await {
        Err(problem) if problem.reason != Reason::AlreadyExists => Err(problem),
        _ => Ok(()),
    }
}

/// With a range of its own from 10.128.0.0/9; only the last thousands meet the 10.244.0.0/16 of other nodes.
fn node(at: u64) -> Value {
    let name = format!("simulated-{at}");
    let range = format!("10.{}.{}.0/24", 128 + at / 256 % 128, at % 256);
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": {
            LABEL: "true",
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "node-role.kubernetes.io/simulated": "",
            "topology.kubernetes.io/zone": format!("zone-{}", at % 3),
        } },
        "spec": { "podCIDR": range, "podCIDRs": [range] },
    })
}
