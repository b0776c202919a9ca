//! Ingress: the built-in class, its front Service, and the proxy's table kept in step with the objects.
//!
//! The proxy is reached like everything else: a Service of type LoadBalancer without selector leads to it. Service and
//! listeners come with the first Ingress of the class, so that a cluster without one pays nothing.

mod certificates;
mod front;
mod input;
mod status;

use crate::ops::Hands;
use certificates::Loaded;
use ingress::Table;
use std::sync::Arc;
use store::View;
use tokio::task::JoinSet;

/// Whose IngressClasses are served here.
const CONTROLLER: &str = "boxship.io/ingress";
/// The class made at the start; default where no other is.
const CLASS: &str = "boxship";

/// Kinds whose changes matter.
const INPUTS: [&str; 5] = [
    "ingresses.networking.k8s.io",
    "ingressclasses.networking.k8s.io",
    "services",
    "endpointslices.discovery.k8s.io",
    "secrets",
];

/// What a pass works with.
struct Follower {
    hands: Hands,
    table: Arc<Table>,
    loaded: Loaded,
    /// Runs from the first Ingress on.
    proxy: JoinSet<()>,
}

/// Follows the store until the task is dropped.
pub(crate) async fn run(hands: Hands) {
    if let Err(problem) = front::ensure_class(&hands.client).await {
        tracing::error!(%problem, "no default ingress class");
    }
    let store = hands.client.store().clone();
    let mut subscription = store.subscribe();
    let mut follower =
        Follower { hands, table: Arc::default(), loaded: Loaded::default(), proxy: JoinSet::new() };
    let mut seen = follower.pass().await;
    loop {
        subscription.past(seen).await;
        seen = match concerns(&store.view(), seen) {
            Some(newest) => newest,
            None => follower.pass().await,
        };
    }
}

/// The newest revision when nothing since `seen` matters here; else `None`.
fn concerns(view: &View, seen: u64) -> Option<u64> {
    let changes = view.changes(seen).ok()?;
    let matters = changes.iter().any(|c| INPUTS.contains(&c.after.key.resource.as_str()));
    (!matters).then(|| changes.up_to().max(seen))
}

impl Follower {
    /// Reads everything and swaps what differs. Gives the revision it was read at.
    async fn pass(&mut self) -> u64 {
        let view = self.hands.client.view();
        let ours = input::ours(&view);
        if self.proxy.is_empty() && !ours.is_empty() {
            self.open().await;
        }
        let routes = netplan::ingress::routes(&input::input(&view, &ours));
        if **self.table.routes.load() != routes {
            self.table.routes.store(Arc::new(routes));
        }
        if let Some(fresh) = self.loaded.refresh(&view, &ours) {
            self.table.certificates.store(Arc::new(fresh));
        }
        status::report(&self.hands.client, &view, &ours).await;
        view.revision()
    }

    /// Listens, and tells the front Service where.
    async fn open(&mut self) {
        match front::open(&self.hands).await {
            Ok(sockets) => {
                let table = self.table.clone();
                self.proxy.spawn(async move {
                    let Err(error) = ingress::serve(sockets, table).await;
                    tracing::error!(%error, "the ingress proxy cannot serve TLS");
                });
            }
            Err(problem) => tracing::error!(%problem, "the ingress proxy has no way in"),
        }
    }
}
