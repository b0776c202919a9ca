//! `boxship server`: the control plane alone. Order of construction is order of start.

use crate::command::Row;
use crate::connect::ToNode;
use crate::failure::Failure;
use crate::{networks, operate, simulated};
use api::{Api, Call, Verb};
use auth::Authenticator;
use clap::{Arg, ArgMatches, Command, value_parser};
use client::Client;
use ipnet::Ipv4Net;
use kube_http::{Check, Config, Deps, Gate, Health, Server, bootstrap};
use meta::{Gvr, Identity, Time};
use pki::{Kubeconfig, Names, Pki};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

pub static ROW: Row = Row { command, run };

fn command() -> Command {
    Command::new("server")
        .about("Run the Kubernetes control plane without a node")
        .after_help(
            "Examples:\n  boxship server\n  boxship server --data-dir /tmp/try --listen 127.0.0.1:7443 --write-kubeconfig try.yaml\n  boxship server backup /backups/monday",
        )
        .args_conflicts_with_subcommands(true)
        .subcommands(operate::commands())
        .args(common())
        .arg(datastore_arg())
        .arg(networks::service_arg())
        .arg(simulated::arg())
}

pub fn data_dir_arg() -> Arg {
    Arg::new("data-dir")
        .long("data-dir")
        .value_name("DIR")
        .help("Everything this instance owns")
        .default_value("/var/lib/boxship")
        .value_parser(value_parser!(PathBuf))
}

pub fn data_dir(args: &ArgMatches) -> &Path {
    args.get_one::<PathBuf>("data-dir").expect("it has a default")
}

pub fn listen_arg() -> Arg {
    Arg::new("listen")
        .long("listen")
        .value_name("IP:PORT")
        .help("Where the Kubernetes API answers")
        .default_value("127.0.0.1:6443")
        .value_parser(value_parser!(SocketAddr))
}

/// Arguments that every way to run a control plane has.
pub fn common() -> [Arg; 3] {
    [
        data_dir_arg(),
        listen_arg(),
        Arg::new("write-kubeconfig")
            .long("write-kubeconfig")
            .value_name("FILE")
            .help("Write the administrator's kubeconfig here and keep it current")
            .value_parser(value_parser!(PathBuf)),
    ]
}

fn datastore_arg() -> Arg {
    Arg::new("datastore")
        .long("datastore")
        .value_name("embedded|etcd://HOST:PORT")
        .help(
            "Where objects are kept: in the data directory, or in an etcd cluster (not there yet)",
        )
        .default_value("embedded")
}

/// Only the embedded store is there; anything else is refused before something is touched.
fn check_datastore(args: &ArgMatches) -> Result<(), Failure> {
    let wanted: &String = args.get_one("datastore").expect("it has a default");
    let cause = match wanted.as_str() {
        "embedded" => return Ok(()),
        etcd if etcd.starts_with("etcd://") => "etcd as a datastore is not there yet",
        _ => "a datastore is `embedded` or `etcd://HOST:PORT`",
    };
    let failure = Failure::new(format!("use the datastore `{wanted}`"), cause);
    Err(failure.hint("leave --datastore out: the embedded store needs nothing else"))
}

fn run(args: &ArgMatches) -> Result<ExitCode, Failure> {
    if let Some(done) = operate::run(args) {
        return done;
    }
    check_datastore(args)?;
    let started = Instant::now();
    let runtime = runtime()?;
    runtime.block_on(async {
        let services = networks::services_alone(args, data_dir(args))?;
        let plane = ControlPlane::start(args, services).await?;
        let simulated = simulated::start(&plane, args).await?;
        println!("ready in {:.3} s", started.elapsed().as_secs_f64());
        stopped().await?;
        drop(simulated);
        plane.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Few threads with small stacks: idle threads are most of an idle process.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(64)
        .thread_keep_alive(Duration::from_secs(2))
        .thread_stack_size(1 << 20)
        .enable_all()
        .build()
        .map_err(|e| Failure::new("start the runtime", e))
}

/// Waits for SIGTERM or SIGINT.
pub async fn stopped() -> Result<(), Failure> {
    let listen = |kind| signal(kind).map_err(|e| Failure::new("listen for signals", e));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// API server, controllers and scheduler of one instance.
pub struct ControlPlane {
    pub api: Arc<Api>,
    pub store: Store,
    /// Where the node is attached.
    pub connect: ToNode,
    pki: Arc<Pki>,
    address: SocketAddr,
    server: Arc<Server>,
    face: tokio::task::JoinHandle<()>,
    loops: Vec<control::Handle>,
    compaction: tokio::task::JoinHandle<()>,
    operator: tokio::task::JoinHandle<()>,
}

impl ControlPlane {
    /// Its Services get addresses of `services`.
    pub async fn start(args: &ArgMatches, services: Ipv4Net) -> Result<Self, Failure> {
        let data_dir = data_dir(args);
        let listen: SocketAddr = *args.get_one("listen").expect("it has a default");
        let names = Names::standard("", listen.ip(), networks::nth(services, 1));
        let pki = Arc::new(open_pki(data_dir, names)?);
        let (store, control) = open_store(data_dir)?;
        let gate = Gate::new(Authenticator::default(), pki.signing_key().clone());
        let api = Arc::new(Api::new(Box::new(gate.clone()), Box::new(gate.clone())));
        let operator = operate::serve(operate::Plane {
            store: store.clone(),
            control,
            gate: gate.clone(),
            data_dir: data_dir.to_path_buf(),
        })?;
        let health = Arc::new(Health::default());
        let connect = ToNode::default();
        let server = Server::new(Deps {
            api: api.clone(),
            store: store.clone(),
            gate,
            pki: pki.clone(),
            connect: Arc::new(connect.clone()),
            health: health.clone(),
            audit: None,
            config: Config::default(),
        })
        .map_err(|e| Failure::new("configure TLS", e))?;
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|e| Failure::new(format!("listen on `{listen}`"), e).hint(IN_USE))?;
        let address = listener.local_addr().unwrap_or(listen);
        let face = tokio::spawn(server.clone().serve(listener));
        health.set(BOOTSTRAP, Check::Starting);
        service_range(&api, &store, services).await?;
        bootstrap(&api, &store, &pki)
            .await
            .map_err(|e| Failure::new("write the system objects", e))?;
        health.set(BOOTSTRAP, Check::Passes);
        let loops = start_loops(&api, &store)?;
        if let Some(path) = args.get_one::<PathBuf>("write-kubeconfig") {
            write_kubeconfig(&pki, path, "boxship", address)?;
        }
        let compaction = tokio::spawn(compact(store.clone()));
        Ok(Self { api, store, connect, pki, address, server, face, loops, compaction, operator })
    }

    /// Keeps the administrator's context in a kubeconfig current.
    pub fn keep_kubeconfig(&self, path: &Path, context: &str) -> Result<(), Failure> {
        write_kubeconfig(&self.pki, path, context, self.address)
    }

    /// Answers on a further address as well; one that is served already (by a listener on all addresses) is fine.
    pub async fn serve_also(&self, address: SocketAddr) {
        if let Ok(listener) = TcpListener::bind(address).await {
            tokio::spawn(self.server.clone().serve(listener));
        }
    }

    /// Ends watches, lets requests under way finish, stops the loops.
    pub async fn stop(self) {
        drop(self.loops);
        self.compaction.abort();
        self.operator.abort();
        self.server.stop();
        // A panic of the accept loop has been printed.
        let _ = self.face.await;
        self.store.close();
    }
}

/// As upstream's compactor: what is older than two rounds can no longer be read or watched from
/// (apiserver `pkg/storage/etcd3/compact.go`).
const COMPACT_EVERY: Duration = Duration::from_secs(300);

async fn compact(store: Store) {
    let mut before = store.view().revision();
    loop {
        tokio::time::sleep(COMPACT_EVERY).await;
        let now = store.view().revision();
        if now != before {
            store.compact(before);
            before = now;
        }
    }
}

/// Services get their addresses from this object; the bootstrap would make one of the default range.
async fn service_range(api: &Arc<Api>, store: &Store, range: Ipv4Net) -> Result<(), Failure> {
    let gvr = Gvr::new("networking.k8s.io", "v1", "servicecidrs");
    if store.view().get(&store::Key::new(&gvr.resource(), "", "kubernetes")).is_some() {
        return Ok(());
    }
    let object = serde_json::json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": { "name": "kubernetes" },
        "spec": { "cidrs": [range.to_string()] },
    });
    let identity = Identity {
        name: "system:apiserver".into(),
        groups: vec!["system:masters".into()],
        ..Identity::default()
    };
    let client = Client::new(api.clone(), store.clone(), identity, "boxship");
    let created = client.call(&Call::new(Verb::Create(object), gvr, "", "")).await;
    created.map(drop).map_err(|e| Failure::new(format!("write the Service range {range}"), e))
}

const BOOTSTRAP: &str = "poststarthook/rbac/bootstrap-roles";
const IN_USE: &str = "another instance may be running; choose another address with --listen";

fn open_pki(data_dir: &Path, names: Names) -> Result<Pki, Failure> {
    let what = || format!("open the certificates in `{}`", data_dir.join("pki").display());
    Pki::open(data_dir, names, now()).map_err(|e| Failure::new(what(), e))
}

/// The store of a data directory, and what an operator may do to its log.
pub fn open_store(data_dir: &Path) -> Result<(Store, log::Control<log::RealDisk>), Failure> {
    let dir = data_dir.join("store");
    let what = || format!("open the store in `{}`", dir.display());
    let disk = log::RealDisk::open(&dir).map_err(|e| Failure::new(what(), e))?;
    let wal = log::Wal::open(disk, log::Options::default()).map_err(|e| Failure::new(what(), e))?;
    let control = wal.control();
    let store = Store::open(Box::new(wal), store::Options::new(api::heads()))
        .map_err(|e| Failure::new(what(), e))?;
    Ok((store, control))
}

fn start_loops(api: &Arc<Api>, store: &Store) -> Result<Vec<control::Handle>, Failure> {
    let failed = |e| Failure::new("start the control loops", e);
    let controllers =
        control::start(api.clone(), store.clone(), controllers::TABLE).map_err(failed)?;
    let scheduler = control::start_scheduler(api.clone(), store.clone()).map_err(failed)?;
    Ok(vec![controllers, scheduler])
}

fn write_kubeconfig(
    pki: &Pki,
    path: &Path,
    name: &str,
    address: SocketAddr,
) -> Result<(), Failure> {
    let server = format!("https://{address}");
    let config = Kubeconfig { path: path.to_path_buf(), name: name.into(), server };
    pki.keep_kubeconfig(config, now())
        .map_err(|e| Failure::new(format!("write the kubeconfig `{}`", path.display()), e))
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
