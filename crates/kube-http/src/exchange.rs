//! One request: authenticate, plan, commit, settle, answer.

use crate::answer::{self, Coding, Response};
use crate::body::Body;
use crate::connect::Connection;
use crate::info::Info;
use crate::server::Server;
use crate::watch::WatchBody;
use crate::{gzip, intake, limits, local};
use api::{Method, Next, Outcome, Reply, WatchPlan};
use auth::Credentials;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Request};
use hyper::body::Incoming;
use meta::{Details, Identity, Problem, Reason, Time};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use store::OutOfRange;

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// The other end of a connection.
#[derive(Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// Whom the client certificate names; why it does not hold.
    pub certificate: Result<Option<Identity>, String>,
}

/// What a request is, before its body.
pub struct Head {
    pub method: Method,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub info: Info,
    pub identity: Identity,
    pub now: Time,
}

/// Answers any request; a panic answers 500 and ends nothing else.
pub async fn exchange(
    server: Arc<Server>,
    peer: Arc<Peer>,
    request: Request<Incoming>,
) -> Response {
    let started = Instant::now();
    let uri = request.uri();
    let (path, query) = (intake::decoded(uri.path()), intake::query(uri.query().unwrap_or("")));
    let info = Info::of(request.method().as_str(), &path, &query);
    let id = audit_id(&request);
    let mut response = match enter(&server, &peer, &request, path, query, &info) {
        Ok(head) => limited(&server, head, request).await,
        Err(problem) => answer::problem(&problem),
    };
    response.headers_mut().insert(AUDIT_ID, id);
    server.metrics.count(&info, response.status().as_u16(), started.elapsed());
    response
}

/// The client's own id when it is sound, else a fresh one.
fn audit_id(request: &Request<Incoming>) -> HeaderValue {
    let given = request.headers().get(AUDIT_ID).filter(|id| id.len() <= 64 && !id.is_empty());
    given.cloned().unwrap_or_else(|| {
        let id = uuid::Uuid::new_v4().to_string();
        HeaderValue::from_str(&id).expect("a UUID is printable")
    })
}

fn enter(
    server: &Server,
    peer: &Peer,
    request: &Request<Incoming>,
    path: String,
    query: Vec<(String, String)>,
    info: &Info,
) -> Result<Head, Problem> {
    let now = now();
    let method = Method::parse(request.method().as_str()).ok_or_else(|| {
        let text = "the server does not allow this method on the requested resource";
        Problem::new(Reason::MethodNotAllowed, text)
    })?;
    let certificate = peer.certificate.as_ref().map_err(|why| {
        tracing::info!("client certificate of {}: {why}", peer.address);
        Problem::new(Reason::Unauthorized, "Unauthorized")
    })?;
    let authorization = intake::authorization(request.headers());
    let credentials =
        Credentials { certificate: certificate.as_ref(), authorization: &authorization };
    let (gate, view) = (&server.deps.gate, server.deps.store.view());
    let who = gate.identify(credentials, &view, now)?;
    let identity = gate.assume(&intake::impersonation(request.headers()), who, &view)?;
    Ok(Head { method, path, query, info: info.clone(), identity, now })
}

/// Holds a place among the requests under way, and a time limit; watches and streams need neither.
async fn limited(server: &Arc<Server>, head: Head, request: Request<Incoming>) -> Response {
    if head.info.streams() || head.info.verb == "watch" {
        return answered(server, head, request).await;
    }
    let limit = if head.info.mutates() { &server.writes } else { &server.reads };
    let Some(_slot) = limit.enter() else {
        return answer::reply(limits::refusal(), Coding::Plain);
    };
    let most = server.deps.config.request_timeout;
    match tokio::time::timeout(most, answered(server, head, request)).await {
        Ok(response) => response,
        Err(_) => answer::problem(&Problem::new(
            Reason::Timeout,
            "Timeout: request did not complete within the allotted timeout",
        )),
    }
}

async fn answered(server: &Arc<Server>, head: Head, request: Request<Incoming>) -> Response {
    if let Some(response) = local::answer(server, &head).await {
        return response;
    }
    let coding = coding(&head, &request);
    if head.info.streams() {
        return stream(server, head, request, coding).await;
    }
    let (parts, body) = request.into_parts();
    let body = match intake::body(body, server.deps.config.body_bytes).await {
        Ok(body) => body,
        Err(problem) => return answer::problem(&problem),
    };
    if server.deps.gate.is_preparing() && head.info.subresource == "token" {
        let gate = server.deps.gate.clone();
        // The signing key of a new cluster is still being made: wait without blocking other requests.
        let _ = tokio::task::spawn_blocking(move || gate.prepare()).await;
    }
    let request = to_api(&head, &parts.headers, body);
    match decide(server, &request).await {
        Decided::Reply(reply) => answer::reply(reply, coding),
        Decided::Watch(plan) => watch(server, plan),
        Decided::Connect(_) => answer::problem(&Problem::internal(
            "a request to connect came by a path that does not stream",
        )),
    }
}

/// Requests that may stream keep their body (and their connection) for [`crate::Connect`].
async fn stream(
    server: &Arc<Server>,
    head: Head,
    request: Request<Incoming>,
    coding: Coding,
) -> Response {
    let planned = to_api(&head, request.headers(), Bytes::new());
    match decide(server, &planned).await {
        Decided::Reply(reply) => answer::reply(reply, coding),
        Decided::Watch(plan) => watch(server, plan),
        Decided::Connect(plan) => {
            let connection = Connection { plan: *plan, identity: head.identity, request };
            server.deps.connect.connect(connection).await
        }
    }
}

fn coding(head: &Head, request: &Request<Incoming>) -> Coding {
    let header = intake::joined(request.headers(), "accept-encoding");
    let reads = matches!(head.method, Method::Get);
    if reads && gzip::accepted(&header) { Coding::Gzip } else { Coding::Plain }
}

fn to_api(head: &Head, headers: &http::HeaderMap, body: Bytes) -> api::Request {
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy).expect("the kernel always has random bytes after boot");
    api::Request {
        method: head.method,
        path: head.path.clone(),
        query: head.query.clone(),
        content_type: intake::header(headers, "content-type").into(),
        accept: intake::joined(headers, "accept"),
        user_agent: intake::header(headers, "user-agent").into(),
        if_none_match: intake::header(headers, "if-none-match").into(),
        body,
        identity: head.identity.clone(),
        now: head.now,
        entropy,
    }
}

enum Decided {
    Reply(Reply),
    Watch(Box<WatchPlan>),
    Connect(Box<api::ConnectPlan>),
}

/// Plans until the answer stands; somebody else's faster write starts over on a new snapshot.
async fn decide(server: &Arc<Server>, request: &api::Request) -> Decided {
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

fn watch(server: &Arc<Server>, plan: Box<WatchPlan>) -> Response {
    let config = &server.deps.config;
    let timeout =
        plan.timeout_secs.map_or_else(|| spread(config.watch_timeout), Duration::from_secs);
    let content_type = plan.content_type.clone();
    let body = WatchBody::new(
        plan,
        server.deps.store.clone(),
        timeout,
        config.bookmark_every,
        &server.stopping(),
    );
    let mut response = http::Response::new(Body::Watch(Box::new(body)));
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    if let Ok(value) = HeaderValue::from_str(&content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
    response
}

/// Between `least` and twice that, so that watches begun together do not end together.
fn spread(least: Duration) -> Duration {
    let part = getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
    least + least.mul_f64(part)
}

pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
