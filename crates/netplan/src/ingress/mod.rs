//! Ingress: which backend answers a request (networking/v1 `IngressSpec`: `pkg/apis/networking/types.go`).
//!
//! `routes(input)` compiles all rules into one value; `Routes::find` looks a request up in it. A host is matched by its
//! most specific rule (exact, then wildcard, then any), a path by the longest one, exact before prefix. Not decided
//! here: which endpoint of the backend gets the request, and TLS.

mod routes;
#[cfg(test)]
mod tests;

pub use routes::{Found, Routes, routes};

use std::net::SocketAddr;
use std::sync::Arc;

/// Everything the compiler needs, older Ingresses first: of two rules for the same thing the first one wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IngressInput {
    pub rules: Vec<IngressRule>,
    /// Who gets what no rule matches; the first wins.
    pub defaults: Vec<Arc<Backend>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressRule {
    /// Lower case; empty for every host, `*.example.com` for one more label.
    pub host: String,
    pub path: PathRule,
    pub backend: Arc<Backend>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathRule {
    Exact(String),
    /// By whole elements: `/a/b` matches `/a/b/c`, not `/a/bc`. `ImplementationSpecific` is this too.
    Prefix(String),
}

/// One port of one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// `namespace/name:port`, for messages.
    pub name: String,
    pub protocol: BackendProtocol,
    /// Endpoints that take requests; `Err` says why there can be none.
    pub endpoints: Result<Vec<SocketAddr>, &'static str>,
}

/// `appProtocol` of the Service's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendProtocol {
    Http1,
    /// `kubernetes.io/h2c`: HTTP/2 without TLS, as gRPC servers speak.
    H2c,
}
