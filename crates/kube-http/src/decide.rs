//! The loop of plan, commit and settle, and what a panic in it costs: one request.

use crate::server::Server;
use api::{ConnectPlan, Next, Outcome, Reply, WatchPlan};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What came of a request.
pub enum Decided {
    Reply(Reply),
    Watch(Box<WatchPlan>),
    Connect(Box<ConnectPlan>),
}

/// Plans until the answer stands; somebody else's faster write starts over on a new snapshot.
pub async fn decide(server: &Arc<Server>, request: &api::Request) -> Decided {
    let (api, store) = (&server.deps.api, &server.deps.store);
    loop {
        let planned = guarded(|| api.plan(request, &store.view())).unwrap_or_else(Outcome::Reply);
        let mut pending = match planned {
            Outcome::Reply(reply) => return Decided::Reply(reply),
            Outcome::Watch(plan) => return Decided::Watch(plan),
            Outcome::Connect(plan) => return Decided::Connect(plan),
            Outcome::Commit(pending) => pending,
        };
        let result = store.request(std::mem::take(&mut pending.txn)).await;
        match guarded(|| api.settle(pending, result)).unwrap_or_else(Next::Reply) {
            Next::Reply(reply) => return Decided::Reply(reply),
            Next::Retry => tokio::task::yield_now().await,
        }
    }
}

/// Runs `work`; a panic kills this request only.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Reply> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        Reply::text(500, "This request caused apiserver to panic. Look in the logs for details.\n")
    })
}
