//! Connections: HTTP/1.1 on unix sockets and TCP, one task each.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use http::header::{HeaderValue, SERVER};
use http::{Method, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::Face;
use crate::body::Reply;
use crate::call::Call;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::reply;
use crate::route::{Life, Route, find};
use crate::routes::ROUTES;
use crate::version::{DOCKER_RELEASE, MAX, negotiate};

/// Serves until `stop` ends; connections that are open then are cut.
pub async fn serve_unix(face: Arc<Face>, listener: UnixListener, stop: impl Future<Output = ()>) {
    let mut tasks = tokio::task::JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tasks.spawn(connection(face.clone(), stream))),
                Err(e) => breathe(&e).await,
            },
        }
    }
}

/// The same over TCP. The caller has decided that whoever reaches the address may do everything.
pub async fn serve_tcp(face: Arc<Face>, listener: TcpListener, stop: impl Future<Output = ()>) {
    let mut tasks = tokio::task::JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tasks.spawn(connection(face.clone(), stream))),
                Err(e) => breathe(&e).await,
            },
        }
    }
}

/// Out of descriptors, most likely: the listener stays readable, so do not spin.
pub(crate) async fn breathe(e: &std::io::Error) {
    eprintln!("docker-http: accept: {e}");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
}

/// Serves one connection to its end.
pub async fn connection<S>(face: Arc<Face>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let face = face.clone();
        async move { Ok::<_, Infallible>(answer(face, request).await) }
    });
    // A broken connection is the client's affair.
    let _ = http1::Builder::new()
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

async fn answer(face: Arc<Face>, request: Request<Incoming>) -> Reply {
    let head = request.method() == Method::HEAD;
    let mut reply = dispatch(face, request).await.unwrap_or_else(|r| reply::refused(&r));
    let no_body = head && reply.status().is_success();
    let headers = reply.headers_mut();
    let server = format!("Docker/{DOCKER_RELEASE} (linux)");
    for (name, value) in
        [(SERVER.as_str(), server), ("Api-Version", MAX.to_string()), ("Ostype", "linux".into())]
    {
        let name = http::HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
            headers.insert(name, value);
        }
    }
    headers.insert("Docker-Experimental", HeaderValue::from_static("false"));
    if no_body {
        headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    reply
}

async fn dispatch(face: Arc<Face>, mut request: Request<Incoming>) -> Result<Reply, Refusal> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let (version, path) = negotiate(parts.uri.path())?;
    let (route, params) = find(ROUTES, &parts.method, path, version)
        .ok_or_else(|| Refusal::not_found("page not found"))?;
    let query = Query::parse(parts.uri.query().unwrap_or(""));
    let headers = parts.headers;
    run(route, Call { face, version, params, query, headers, body, upgrade }).await
}

async fn run(route: &'static Route, call: Call) -> Result<Reply, Refusal> {
    match route.life {
        Life::WithClient => (route.call)(call).await,
        Life::Finish => tokio::spawn((route.call)(call)).await.unwrap_or_else(|e| {
            Err(Refusal::new(http::StatusCode::INTERNAL_SERVER_ERROR, format!("{e}")))
        }),
    }
}
