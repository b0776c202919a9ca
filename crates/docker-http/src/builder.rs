//! What builds images: implemented elsewhere, reached through `POST /build` and BuildKit's doors.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::mpsc;

use crate::call::{RawRead, RawWrite};
use crate::query::Query;
use crate::refusal::Refusal;

pub type BuildFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One classic build: the request and where its JSON lines go.
pub struct BuildCall {
    pub query: Query,
    pub headers: HeaderMap,
    /// The build context, a tar, perhaps compressed.
    pub context: mpsc::Receiver<std::io::Result<Bytes>>,
    /// Newline-ended JSON messages (`stream`, `aux`, `errorDetail`); failing means the client left.
    pub answer: mpsc::Sender<Bytes>,
}

/// BuildKit's two doors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// `POST /session`: the client serves its files over HTTP/2.
    Session,
    /// `POST /grpc`: the client speaks the Control API over HTTP/2.
    Grpc,
}

pub trait Builder: Send + Sync {
    /// Runs a build. An error here is an HTTP error; later ones go into the answer.
    fn build(&self, call: BuildCall) -> BuildFuture<Result<(), Refusal>>;

    /// `POST /build/prune`: the answer's body.
    fn prune(&self, query: Query) -> BuildFuture<Result<serde_json::Value, Refusal>>;

    /// Rows of `BuildCache` in `system df`.
    fn cache(&self) -> BuildFuture<Vec<serde_json::Value>>;

    /// Serves an upgraded connection to its end.
    fn gate(&self, gate: Gate, headers: HeaderMap, io: (RawRead, RawWrite)) -> BuildFuture<()>;
}
