//! The loop of plan, commit and settle, and what a panic in it costs: one request.

use crate::server::Server;
use api::{ConnectPlan, Next, Outcome, Reply, WatchPlan};
use meta::{Details, Problem, Reason};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use store::OutOfRange;

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
        let planned = guarded(|| plan(server, request)).unwrap_or_else(Outcome::Reply);
        let mut pending = match planned {
            Outcome::Reply(reply) => return Decided::Reply(reply),
            Outcome::Watch(plan) => return Decided::Watch(plan),
            Outcome::Connect(plan) => return Decided::Connect(plan),
            Outcome::Rewind(_) => {
                return Decided::Reply(Reply::problem(&Problem::internal("read the past twice")));
            }
            Outcome::Commit(pending) => pending,
        };
        let result = store.request(std::mem::take(&mut pending.txn)).await;
        match guarded(|| api.settle(pending, result)).unwrap_or_else(Next::Reply) {
            Next::Reply(reply) => return Decided::Reply(reply),
            Next::Retry => tokio::task::yield_now().await,
        }
    }
}

fn plan(server: &Server, request: &api::Request) -> Outcome {
    let (api, view) = (&server.deps.api, server.deps.store.view());
    let revision = match api.plan(request, &view) {
        Outcome::Rewind(revision) => revision,
        outcome => return outcome,
    };
    match view.at(revision) {
        Ok(past) => api.plan_past(request, &view, Ok(&past)),
        Err(OutOfRange::Compacted(compacted)) => api.plan_past(request, &view, Err(compacted)),
        Err(OutOfRange::Future { current }) => {
            Outcome::Reply(Reply::problem(&from_the_future(revision, current)))
        }
    }
}

/// k8s.io/apiserver `pkg/storage/errors.go`: NewTooLargeResourceVersionError.
fn from_the_future(asked: u64, current: u64) -> Problem {
    let text = format!("Too large resource version: {asked}, current: {current}");
    let cause = meta::Cause {
        reason: "ResourceVersionTooLarge".into(),
        message: "Too large resource version".into(),
        field: String::new(),
    };
    let details = Details { causes: vec![cause], retry_after_secs: 1, ..Details::default() };
    Problem::new(Reason::Timeout, format!("Timeout: {text}")).with(details)
}

/// Runs `work`; a panic kills this request only.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Reply> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        Reply::text(500, "This request caused apiserver to panic. Look in the logs for details.\n")
    })
}
