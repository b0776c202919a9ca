//! The server: what it is made of, how it starts and stops.

use crate::audit::Audit;
use crate::config::Config;
use crate::connect::Connect;
use crate::exchange::now;
use crate::gate::Gate;
use crate::health::Health;
use crate::limits::Limit;
use crate::listen;
use crate::metrics::Metrics;
use api::Api;
use pki::{Pki, PkiError};
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What the server stands on.
pub struct Deps {
    pub api: Arc<Api>,
    pub store: Store,
    pub gate: Gate,
    pub pki: Arc<Pki>,
    pub connect: Arc<dyn Connect>,
    pub health: Arc<Health>,
    /// `None` records nothing.
    pub audit: Option<Audit>,
    pub config: Config,
}

/// One API server; serves any number of listeners.
pub struct Server {
    pub(crate) deps: Deps,
    pub(crate) reads: Limit,
    pub(crate) writes: Limit,
    pub(crate) metrics: Metrics,
    pub(crate) tls: Arc<rustls::ServerConfig>,
    stop: watch::Sender<bool>,
}

/// Tells a connection or a watch that the server stops.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    pub async fn stopped(mut self) {
        // The sender going away is a stop as well.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}

impl Server {
    /// # Errors
    /// When TLS cannot be configured.
    pub fn new(deps: Deps) -> Result<Arc<Self>, PkiError> {
        let tls = deps.pki.server_config()?;
        // A quarter of a request's time may be spent waiting for its turn, as upstream has it.
        let patience = deps.config.request_timeout / 4;
        let (reads, writes) =
            (Limit::new(deps.config.reads, patience), Limit::new(deps.config.writes, patience));
        let (stop, _) = watch::channel(false);
        Ok(Arc::new(Self { deps, reads, writes, metrics: Metrics::default(), tls, stop }))
    }

    /// Accepts connections until [`Server::stop`], then waits for what is under way, within `Config::drain`.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let renewing = tokio::spawn(renew(self.clone()));
        listen::run(self, listener).await;
        renewing.abort();
    }

    /// Ends watches, refuses new connections, lets requests under way finish.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(crate) fn stopping(&self) -> Stop {
        Stop(self.stop.subscribe())
    }
}

/// Looks after the certificates once a day; what is in use stays so when that fails.
async fn renew(server: Arc<Server>) {
    loop {
        let pki = server.deps.pki.clone();
        let renewed = tokio::task::spawn_blocking(move || pki.renew(now())).await;
        let next = match renewed {
            Ok(Ok(next)) => next,
            Ok(Err(error)) => {
                tracing::error!("renewing certificates: {error}");
                now().plus_secs(3600)
            }
            Err(_) => return,
        };
        let wait = u64::try_from(next.ms_since(now())).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(wait.max(60_000))).await;
    }
}
