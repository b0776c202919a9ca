//! The HTTP proxy behind Ingress objects: listeners, TLS, and the way to a backend.
//!
//! Decides nothing: where a request goes stands in [`netplan::ingress::Routes`], which is swapped as a whole while
//! requests run. It has never heard of Kubernetes objects, and knows no request by content beyond host and path: no
//! rewriting, no redirects, no authentication.

mod body;
mod certificates;
mod forward;
mod headers;
mod listen;
#[cfg(test)]
mod tests;

pub use certificates::{Certificate, CertificateError, Certificates};
pub use listen::{Sockets, serve};

use arc_swap::ArcSwap;
use netplan::ingress::Routes;

/// What every connection looks at; both are swapped as a whole.
#[derive(Debug, Default)]
pub struct Table {
    pub routes: ArcSwap<Routes>,
    pub certificates: ArcSwap<Certificates>,
}
