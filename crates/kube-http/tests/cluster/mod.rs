//! A control plane in this process: store, pipeline and face, without controllers and without a node.

#![allow(dead_code, reason = "every test takes the parts it needs")]

use api::Api;
use auth::Authenticator;
use kube_http::{Audit, Check, Config, Deps, Gate, Health, NoNode, Server, bootstrap};
use log::{RealDisk, Wal};
use meta::Time;
use pki::{Kubeconfig, Names, Pki};
use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use store::{Options, Store};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub struct Cluster {
    pub address: SocketAddr,
    pki: Arc<Pki>,
    server: Arc<Server>,
    task: JoinHandle<()>,
}

impl Cluster {
    pub async fn start(data_dir: &Path, listen: SocketAddr) -> Result<Self, Box<dyn Error>> {
        Self::start_with(data_dir, listen, Config::default(), None).await
    }

    pub async fn start_with(
        data_dir: &Path,
        listen: SocketAddr,
        config: Config,
        audit: Option<Audit>,
    ) -> Result<Self, Box<dyn Error>> {
        let names = Names::standard("", listen.ip(), [10, 96, 0, 1].into());
        let pki = Arc::new(Pki::open(data_dir, names, now())?);
        let disk = RealDisk::open(&data_dir.join("store"))?;
        let log = Wal::open(disk, log::Options::default())?;
        let store = Store::open(Box::new(log), Options::new(api::heads()))?;
        let gate = Gate::new(Authenticator::default(), pki.signing_key().clone());
        let api = Arc::new(Api::new(Box::new(gate.clone()), Box::new(gate.clone())));
        let health = Arc::new(Health::default());
        let deps = Deps {
            api: api.clone(),
            store: store.clone(),
            gate,
            pki: pki.clone(),
            connect: Arc::new(NoNode),
            health: health.clone(),
            audit,
            config,
        };
        let server = Server::new(deps)?;
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(server.clone().serve(listener));
        let hook = "poststarthook/rbac/bootstrap-roles";
        health.set(hook, Check::Starting);
        bootstrap(&api, &store, &pki).await?;
        health.set(hook, Check::Passes);
        Ok(Self { address, pki, server, task })
    }

    pub fn write_kubeconfig(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let (path, name) = (path.to_path_buf(), "boxship".into());
        let server = format!("https://{}", self.address);
        Ok(self.pki.keep_kubeconfig(Kubeconfig { path, name, server }, now())?)
    }

    /// Certificates and keys, for clients of tests.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    pub async fn stop(self) {
        self.server.stop();
        // A panic of the accept loop has been printed.
        let _ = self.task.await;
    }
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
