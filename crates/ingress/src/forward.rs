//! One request: find its backend, try its endpoints, pass the answer back.

use crate::Table;
use crate::body::{Answer, Lent, text};
use crate::headers::{self, Came};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use netplan::ingress::{Backend, BackendProtocol, Found};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// An endpoint that does not accept within this time is passed over.
const CONNECT: Duration = Duration::from_secs(2);
/// Idle connections to endpoints are kept this long; shorter than what servers commonly allow.
const IDLE: Duration = Duration::from_secs(15);

/// Connections to endpoints, and whose turn it is.
pub(crate) struct Forwarder {
    table: Arc<Table>,
    http1: Client<HttpConnector, Lent>,
    http2: Client<HttpConnector, Lent>,
    turn: AtomicUsize,
}

impl Forwarder {
    pub(crate) fn new(table: Arc<Table>) -> Self {
        Self { table, http1: http1(), http2: http2(), turn: AtomicUsize::new(0) }
    }

    /// Never fails: what goes wrong is an answer.
    pub(crate) async fn answer(&self, request: Request<Incoming>, came: Came) -> Response<Answer> {
        let (mut parts, body) = request.into_parts();
        let host = headers::host_of(&parts);
        let routes = self.table.routes.load_full();
        let Found::Backend(backend) = routes.find(&host, parts.uri.path()) else {
            return refuse(StatusCode::NOT_FOUND, "404 page not found: no Ingress rule matches\n");
        };
        let client_side = headers::upgrade_of(&parts.headers)
            .and_then(|_| parts.extensions.remove::<OnUpgrade>());
        headers::toward_backend(&mut parts.headers, &host, came);
        match self.attempts(backend, &parts, &Lent::new(body)).await {
            Ok(response) => pass_back(response, client_side),
            Err(refused) => refused,
        }
    }

    /// Endpoints in turn, until one has taken the request.
    async fn attempts(
        &self,
        backend: &Backend,
        parts: &Parts,
        body: &Lent,
    ) -> Result<Response<Incoming>, Response<Answer>> {
        let endpoints = backend.endpoints.as_ref().map_err(|why| unavailable(backend, why))?;
        if endpoints.is_empty() {
            return Err(unavailable(backend, "it has no ready endpoint"));
        }
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut failure = String::new();
        for n in 0..endpoints.len() {
            let endpoint = endpoints[first.wrapping_add(n) % endpoints.len()];
            match self.send(backend.protocol, endpoint, parts, body).await {
                Ok(response) => return Ok(response),
                Err(error) => {
                    failure = format!("{endpoint}: {}", chain(&error));
                    // What may have been carried out is not sent a second time.
                    let harmless = error.is_connect() || parts.method.is_idempotent();
                    if !(harmless && body.is_whole()) {
                        break;
                    }
                }
            }
        }
        tracing::debug!(backend = backend.name, failure, "a request found no way");
        let message = format!("502 bad gateway: Service {} does not answer\n", backend.name);
        Err(refuse(StatusCode::BAD_GATEWAY, message))
    }

    async fn send(
        &self,
        protocol: BackendProtocol,
        endpoint: SocketAddr,
        parts: &Parts,
        body: &Lent,
    ) -> Result<Response<Incoming>, Error> {
        let mut request = Request::new(body.clone());
        *request.method_mut() = parts.method.clone();
        *request.headers_mut() = parts.headers.clone();
        *request.uri_mut() = at(endpoint, &parts.uri);
        let client = match protocol {
            BackendProtocol::Http1 => &self.http1,
            BackendProtocol::H2c => {
                *request.version_mut() = Version::HTTP_2;
                &self.http2
            }
        };
        client.request(request).await
    }
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_nodelay(true);
    connector
}

fn http1() -> Client<HttpConnector, Lent> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(connector())
}

fn http2() -> Client<HttpConnector, Lent> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http2_only(true)
        .build(connector())
}

/// The same path and query at an endpoint.
fn at(endpoint: SocketAddr, uri: &Uri) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = endpoint.to_string().parse::<Authority>().ok();
    let root = || http::uri::PathAndQuery::from_static("/");
    parts.path_and_query = Some(uri.path_and_query().cloned().unwrap_or_else(root));
    Uri::from_parts(parts).expect("scheme, authority and path are all there")
}

fn pass_back(mut response: Response<Incoming>, client_side: Option<OnUpgrade>) -> Response<Answer> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let backend_side = hyper::upgrade::on(&mut response);
        let Some(client_side) = client_side else {
            return refuse(StatusCode::BAD_GATEWAY, "502 the backend upgraded unasked\n");
        };
        tokio::spawn(join(client_side, backend_side));
    } else {
        headers::toward_client(response.headers_mut());
    }
    response.map(BodyExt::boxed)
}

/// Bytes both ways until either side ends.
async fn join(client: OnUpgrade, backend: OnUpgrade) {
    let (Ok(client), Ok(backend)) = tokio::join!(client, backend) else { return };
    let (mut client, mut backend) = (TokioIo::new(client), TokioIo::new(backend));
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut backend).await {
        tracing::debug!(%error, "an upgraded connection broke");
    }
}

fn unavailable(backend: &Backend, why: &str) -> Response<Answer> {
    let message = format!("503 service unavailable: Service {}: {why}\n", backend.name);
    refuse(StatusCode::SERVICE_UNAVAILABLE, message)
}

fn refuse(status: StatusCode, message: impl Into<String>) -> Response<Answer> {
    let mut response = Response::new(text(message.into()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
