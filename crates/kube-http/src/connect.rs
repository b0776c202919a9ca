//! The seam to nodes: streams into containers and proxied requests.

use crate::answer::{self, Response};
use crate::body::Body;
use api::ConnectPlan;
use http::Request;
use hyper::body::Incoming;
use meta::{Details, Identity, Problem, Reason};
use std::future::Future;
use std::pin::Pin;

/// An admitted and authorised request to connect, with its body unread.
///
/// `hyper::upgrade::on` on `request` yields the raw stream when the response is `101 Switching Protocols`
/// (WebSocket or SPDY).
#[derive(Debug)]
pub struct Connection {
    pub plan: ConnectPlan,
    pub identity: Identity,
    pub request: Request<Incoming>,
}

/// Carries connections out: `exec`, `attach`, `portforward` and `log` of pods, `proxy` of pods, services, nodes.
pub trait Connect: Send + Sync {
    /// The response to send; streaming may go on after it is returned.
    fn connect(
        &self,
        connection: Connection,
    ) -> Pin<Box<dyn Future<Output = http::Response<Body>> + Send>>;

    /// Done when usage that is read now tells about this moment: rates need two looks some time apart.
    fn measure(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}

/// Stands in while no node is attached: answers 503 and says so.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNode;

impl Connect for NoNode {
    fn connect(&self, connection: Connection) -> Pin<Box<dyn Future<Output = Response> + Send>> {
        let ConnectPlan { name, subresource, .. } = &connection.plan;
        let message = format!(
            "no node is attached to this control plane: cannot {subresource} {name:?} (hint: run boxship up, or join a node)"
        );
        let problem = Problem::new(Reason::ServiceUnavailable, message)
            .with(Details { retry_after_secs: 1, ..Details::default() });
        Box::pin(std::future::ready(answer::problem(&problem)))
    }
}
