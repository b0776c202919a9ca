//! The built-in registry: OCI distribution v1.1 over HTTP, on the image store of this machine.
//!
//! What was built or pulled here is served without a copy; what is pushed lands in the same blobs.
//! TLS is for whoever owns the listener. This crate parses and prints one wire protocol and keeps
//! no state of its own. Rules: distribution-spec `spec.md`; error bodies as distribution's
//! `registry/api/errcode`.

mod answer;
mod auth;
mod blobs;
mod manifests;
mod route;
mod uploads;

pub use auth::{Access, Account, Accounts, Signer};

use answer::{Answer, Oops};
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use image::ImageStore;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// How the registry behaves.
#[derive(Debug, Default)]
pub struct Options {
    pub access: Access,
}

/// A client that sends no request head for so long is cut off.
const HEAD: Duration = Duration::from_secs(30);

/// Serves until the future is dropped. Errors of single connections are logged only.
pub async fn serve(listener: TcpListener, store: ImageStore, options: Options) {
    let options = Arc::new(options);
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Ended connections are forgotten as they end.
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors: wait for some to be closed.
            connections.join_next().await;
            continue;
        };
        let (store, options) = (store.clone(), options.clone());
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (store, options) = (store.clone(), options.clone());
                async move { Ok::<_, std::convert::Infallible>(handle(store, &options, request).await) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(e) = served {
                tracing::debug!("registry connection: {e}");
            }
        });
    }
}

/// Answers one request; for servers that mount the registry beside other things.
pub async fn handle(store: ImageStore, options: &Options, request: Request<Incoming>) -> Answer {
    let head = request.method() == http::Method::HEAD;
    if let Some(answered) = options.access.issue(&request) {
        return answered.unwrap_or_else(Oops::answer);
    }
    let answered = async {
        let call = route::parse(request.method(), request.uri())?;
        options.access.check(&call, request.headers())?;
        route::run(store, call, request).await
    };
    let answer = answered.await.unwrap_or_else(Oops::answer);
    if head { answer::without_body(answer) } else { answer }
}
