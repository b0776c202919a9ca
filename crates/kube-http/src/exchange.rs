//! One request: authenticate, plan, commit, settle, answer.

use crate::answer::{self, Coding, Response};
use crate::audit::{Level, Received, Stage, Trail};
use crate::body::Body;
use crate::connect::Connection;
use crate::decide::{Decided, decide};
use crate::info::Info;
use crate::server::Server;
use crate::watch::WatchBody;
use crate::{gzip, intake, limits, local};
use api::{Method, WatchPlan};
use auth::Credentials;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Request};
use hyper::body::Incoming;
use meta::{Identity, Problem, Reason, Time};
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// The other end of a connection.
#[derive(Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// Whom the client certificate names; why it does not hold.
    pub certificate: Result<Option<Identity>, String>,
    /// The certificate is that of a proxy in front of us: its headers say who asks.
    pub speaks_for_others: bool,
}

/// What a request is, before its body.
pub struct Head {
    pub method: Method,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub info: Info,
    pub identity: Identity,
    pub now: Time,
    /// `None` when the audit policy does not ask for this request.
    pub trail: Option<Trail>,
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
    let mut response = match enter(&server, &peer, &request, (path, query), &info, &id) {
        Ok(head) => recorded(&server, head, request).await,
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
    (path, query): (String, Vec<(String, String)>),
    info: &Info,
    id: &HeaderValue,
) -> Result<Head, Problem> {
    let now = now();
    let method = Method::parse(request.method().as_str()).ok_or_else(|| {
        let text = "the server does not allow this method on the requested resource";
        Problem::new(Reason::MethodNotAllowed, text)
    })?;
    let (gate, view) = (&server.deps.gate, server.deps.store.view());
    let who = gate.identify(credentials(peer, request)?.borrow(), &view, now)?;
    let wanted = intake::impersonation(request.headers());
    let identity = gate.assume(&wanted, who.clone(), &view)?;
    let trail = server.deps.audit.as_ref().and_then(|audit| {
        let (level, omit) = audit.policy.decide(info, &path, &identity);
        let received = Received {
            id: id.to_str().unwrap_or(""),
            uri: request.uri().path_and_query().map_or("", |uri| uri.as_str()),
            user_agent: intake::header(request.headers(), "user-agent"),
            source: peer.address.ip().to_string(),
            who: &who,
            assumed: (!wanted.is_empty()).then_some(&identity),
            info,
            now,
        };
        (level > Level::None).then(|| Trail::begin(&audit.sink, level, omit, &received))
    });
    Ok(Head { method, path, query, info: info.clone(), identity, now, trail })
}

/// What the connection and the request's headers present.
struct Presented<'a> {
    certificate: Option<Cow<'a, Identity>>,
    authorization: String,
}

impl Presented<'_> {
    fn borrow(&self) -> Credentials<'_> {
        Credentials { certificate: self.certificate.as_deref(), authorization: &self.authorization }
    }
}

fn credentials<'a>(peer: &'a Peer, request: &Request<Incoming>) -> Result<Presented<'a>, Problem> {
    let spoken = peer.speaks_for_others.then(|| intake::remote(request.headers())).flatten();
    if let Some(identity) = spoken {
        let certificate = Some(Cow::Owned(identity));
        return Ok(Presented { certificate, authorization: String::new() });
    }
    let certificate = peer.certificate.as_ref().map_err(|why| {
        tracing::info!("client certificate of {}: {why}", peer.address);
        Problem::new(Reason::Unauthorized, "Unauthorized")
    })?;
    let authorization = intake::authorization(request.headers());
    Ok(Presented { certificate: certificate.as_ref().map(Cow::Borrowed), authorization })
}

/// Ends the audit trail: when a watch or stream has begun, or when the answer is ready.
async fn recorded(server: &Arc<Server>, mut head: Head, request: Request<Incoming>) -> Response {
    let goes_on = head.info.streams() || head.info.verb == "watch";
    let mut trail = head.trail.take();
    let response = limited(server, &head, &mut trail, request).await;
    if let Some(trail) = trail {
        let stage = if goes_on { Stage::ResponseStarted } else { Stage::ResponseComplete };
        trail.end(stage, response.status().as_u16(), now());
    }
    response
}

/// Holds a place among the requests under way, and a time limit; watches and streams need neither.
async fn limited(
    server: &Arc<Server>,
    head: &Head,
    trail: &mut Option<Trail>,
    request: Request<Incoming>,
) -> Response {
    if head.info.streams() || head.info.verb == "watch" {
        return answered(server, head, trail, request).await;
    }
    let limit = if head.info.mutates() { &server.writes } else { &server.reads };
    let Some(_slot) = limit.enter().await else {
        return answer::reply(limits::refusal(), Coding::Plain);
    };
    let most = server.deps.config.request_timeout;
    match tokio::time::timeout(most, answered(server, head, trail, request)).await {
        Ok(response) => response,
        Err(_) => answer::problem(&Problem::new(
            Reason::Timeout,
            "Timeout: request did not complete within the allotted timeout",
        )),
    }
}

async fn answered(
    server: &Arc<Server>,
    head: &Head,
    trail: &mut Option<Trail>,
    request: Request<Incoming>,
) -> Response {
    if let Some(response) = local::answer(server, head).await {
        return response;
    }
    let coding = coding(head, &request);
    if head.info.group == api::USAGE_GROUP && !head.info.resource.is_empty() {
        server.deps.connect.measure().await;
    }
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
    if let Some(trail) = trail {
        trail.request(&body);
    }
    let request = to_api(head, &parts.headers, body);
    match decide(server, &request).await {
        Decided::Reply(reply) => {
            if let Some(trail) = trail.as_mut().filter(|trail| trail.wants_response()) {
                trail.response(&reply.body.to_vec());
            }
            answer::reply(reply, coding)
        }
        Decided::Watch(plan) => watch(server, plan),
        Decided::Connect(_) => answer::problem(&Problem::internal(
            "a request to connect came by a path that does not stream",
        )),
    }
}

/// Requests that may stream keep their body (and their connection) for [`crate::Connect`].
async fn stream(
    server: &Arc<Server>,
    head: &Head,
    request: Request<Incoming>,
    coding: Coding,
) -> Response {
    let planned = to_api(head, request.headers(), Bytes::new());
    match decide(server, &planned).await {
        Decided::Reply(reply) => answer::reply(reply, coding),
        Decided::Watch(plan) => watch(server, plan),
        Decided::Connect(plan) => {
            let connection = Connection { plan: *plan, identity: head.identity.clone(), request };
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

fn watch(server: &Arc<Server>, plan: Box<WatchPlan>) -> Response {
    let config = &server.deps.config;
    // A timeout of zero is none, as upstream reads it.
    let asked = plan.timeout_secs.filter(|secs| *secs > 0);
    let timeout = asked.map_or_else(|| spread(config.watch_timeout), Duration::from_secs);
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
