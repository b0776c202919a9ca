//! What the pipeline decided, for a face to carry out.

use crate::encode::Encoder;
use crate::reply::Reply;
use crate::watch::WatchPlan;
use crate::write::Then;
use meta::{Gvr, Problem, Value};
use std::sync::Arc;
use store::{Object, Txn};

/// What to do with a request.
#[derive(Debug)]
pub enum Outcome {
    Reply(Reply),
    /// Commit `pending.txn`, then [`Api::settle`](crate::Api::settle).
    Commit(Pending),
    Watch(Box<WatchPlan>),
    /// Streams to a node or a proxied backend; admitted and authorised already.
    Connect(Box<ConnectPlan>),
}

/// A write waiting for the store.
#[derive(Debug)]
pub struct Pending {
    /// Take it (`std::mem::take`) and commit it.
    pub txn: Txn,
    pub(crate) then: Then,
    pub(crate) encoder: Encoder,
}

/// After the store answered.
#[derive(Debug)]
pub enum Next {
    Reply(Reply),
    /// Somebody else was faster and the client did not pin a version: plan the same request again on a new view.
    Retry,
}

/// As [`Outcome`], for [`Call`](crate::Call)s.
#[derive(Debug)]
pub enum CallOutcome {
    Done(Result<Value, Problem>),
    Commit(PendingCall),
}

#[derive(Debug)]
pub struct PendingCall {
    /// Take it (`std::mem::take`) and commit it.
    pub txn: Txn,
    pub(crate) then: Then,
}

/// As [`Next`], for [`Call`](crate::Call)s.
#[derive(Debug)]
pub enum CallNext {
    Done(Result<Value, Problem>),
    Retry,
}

/// `exec`, `attach`, `portforward` and `log` of a pod; `proxy` of a pod, service or node.
#[derive(Debug, Clone)]
pub struct ConnectPlan {
    pub method: crate::Method,
    pub resource: Gvr,
    pub namespace: String,
    /// As in the path; a proxy name may be `https:web:8443`.
    pub name: String,
    pub subresource: String,
    /// What follows `/proxy`, `""` or starting with `/`.
    pub path: String,
    pub query: Vec<(String, String)>,
    /// The stored pod, service or node.
    pub object: Arc<Object>,
}
