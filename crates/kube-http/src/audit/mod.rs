//! The audit log: one JSON line per event, as far as the policy asks for it
//! (k8s.io/apiserver `pkg/audit`, `pkg/endpoints/filters/audit.go`).
//!
//! Stages `RequestReceived`, `ResponseStarted` (of requests that go on) and `ResponseComplete`.

mod event;
mod policy;
mod sink;

pub use event::{Received, Stage, Trail};
pub use policy::{AuditPolicy, Level, PolicyError};
pub use sink::AuditSink;

/// A policy and where its events go.
#[derive(Debug)]
pub struct Audit {
    pub policy: AuditPolicy,
    pub sink: AuditSink,
}
