//! `boxship up`: everything on one machine. Order of construction is order of start.

use crate::command::Row;
use crate::engine::{self, DockerFace, Opened};
use crate::failure::Failure;
use crate::kubeconfig::{self, Entry};
use crate::networks::{self, Networks, Turn};
use crate::presence::Claim;
use crate::server::{ControlPlane, common, data_dir, runtime, stopped};
use crate::{detach, unit};
use api::{Call, Patch, PatchKind, Verb};
use clap::{ArgMatches, Command};
use client::Client;
use meta::{Gvr, Identity};
use node::{Node, NodeConfig};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Instant;

pub static ROW: Row = Row { command, run };

fn command() -> Command {
    Command::new("up")
        .about("Start a Docker engine and a Kubernetes cluster on this machine")
        .after_help(
            "Examples:\n  boxship up\n  boxship up --name try --data-dir /tmp/try --listen 127.0.0.1:7443 --write-kubeconfig try.yaml --docker-host unix:///tmp/try.sock",
        )
        .args(common())
        .args([engine::name_arg(), crate::listen::host_arg("docker-host")])
        .args(engine::engine_args())
        .args(networks::args())
        .args([detach::arg(), kubeconfig::arg(), unit::arg()])
}

fn run(args: &ArgMatches) -> Result<ExitCode, Failure> {
    if args.get_flag("print-unit") {
        print!("{}", unit::text(args));
        return Ok(ExitCode::SUCCESS);
    }
    if args.get_flag("detach") {
        return detach::run(args);
    }
    detach::leave_the_terminal();
    serve(args)
}

fn serve(args: &ArgMatches) -> Result<ExitCode, Failure> {
    let began = Instant::now();
    runtime()?.block_on(async {
        let name = args.get_one::<String>("name").expect("it has a default");
        let dir = data_dir(args);
        let claim = Claim::take(dir)?;
        let turn = Turn::take()?;
        let networks = turn.choose(args, name, dir)?;
        let plane = ControlPlane::start(args, networks.services).await?;
        let Opened { engine, keeper } = engine::open(args, &dir.join("engine")).await?;
        let identity = Identity {
            name: format!("system:node:{}", node_name()),
            groups: vec!["system:nodes".into(), "system:authenticated".into()],
            ..Identity::default()
        };
        let client = Client::new(plane.api.clone(), plane.store.clone(), identity, "kubelet");
        let config = config(args, name, &networks);
        let inside = config.gateway().map(|gateway| SocketAddr::new(gateway, config.api_port));
        let node = Node::start(config, client, engine.clone())
            .await
            .map_err(|e| Failure::new("register the node", e))?;
        drop(turn);
        mark_as_control_plane(&plane, &node_name()).await?;
        if let Ok(address) = inside {
            plane.serve_also(address).await;
        }
        plane.connect.attach(node.streams(), node.meter());
        plane.api.serve_usage(Box::new(node.meter()));
        let face = DockerFace::start(args, engine).await?;
        let kubeconfigs = kubeconfig::entries(args, name, dir);
        for entry in &kubeconfigs {
            kubeconfig::prepare(&entry.path)?;
            plane.keep_kubeconfig(&entry.path, &entry.context)?;
        }
        claim.announce(&record(args, name, keeper, &kubeconfigs))?;
        unit::ready();
        println!("ready in {:.3} s", began.elapsed().as_secs_f64());
        stopped().await?;
        face.stop().await;
        node.stop().await;
        plane.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Gives the node its role, as kubeadm does. A node may not do that itself (NodeRestriction).
async fn mark_as_control_plane(plane: &ControlPlane, node: &str) -> Result<(), Failure> {
    let administrator = Identity {
        name: "kubernetes-admin".into(),
        groups: vec!["system:masters".into()],
        ..Identity::default()
    };
    let client = Client::new(plane.api.clone(), plane.store.clone(), administrator, "boxship");
    let labels = json!({ "node-role.kubernetes.io/control-plane": "" });
    let patch = Patch { kind: PatchKind::Merge, body: json!({ "metadata": { "labels": labels } }) };
    let call = Call::new(Verb::Patch(patch), Gvr::new("", "v1", "nodes"), "", node);
    let marked = client.call(&call).await;
    marked.map(drop).map_err(|e| Failure::new(format!("give the node {node:?} its role"), e))
}

/// What `boxship status` and its like need to know.
fn record(args: &ArgMatches, name: &str, keeper: i32, kubeconfigs: &[Entry]) -> Value {
    let context = |e: &Entry| json!({ "path": e.path, "context": e.context });
    json!({
        "name": name,
        "pid": std::process::id(),
        "keeper": keeper,
        "started": client::now().rfc3339(),
        "docker": args.get_one::<String>("host"),
        "kubeconfigs": kubeconfigs.iter().skip(1).map(context).collect::<Vec<_>>(),
    })
}

fn node_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_lowercase()
}

fn config(args: &ArgMatches, name: &str, networks: &Networks) -> NodeConfig {
    NodeConfig {
        name: node_name(),
        data_dir: data_dir(args).to_path_buf(),
        address: address(),
        pod_cidr: networks.pods.to_string(),
        cluster_domain: "cluster.local".into(),
        cluster_dns: networks::nth(networks.services, 10).to_string(),
        service_cidr: networks.services.to_string(),
        balancer_pool: networks.balancers.to_string(),
        instance: name.to_string(),
        api_port: args.get_one::<SocketAddr>("listen").map_or(6443, SocketAddr::port),
        network: "pods".into(),
        max_pods: 110,
        kubelet_port: 0,
    }
}

/// The address this machine would use to reach others; loopback when it has none. Nothing is sent.
fn address() -> String {
    let probe = || -> std::io::Result<String> {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        socket.connect("192.0.2.1:9")?;
        Ok(socket.local_addr()?.ip().to_string())
    };
    probe().unwrap_or_else(|_| "127.0.0.1".into())
}
