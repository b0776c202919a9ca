//! The entry points.

use crate::{
    Call, CallNext, CallOutcome, Env, Next, Outcome, Pending, PendingCall, Reply, Request,
};
use kinds::{Authorizer, Tokens};
use meta::Problem;
use store::{Compacted, Receipt, Reject, View};

/// The API server without its sockets: pure functions over snapshots. Share one behind an `Arc`.
pub struct Api {
    authorizer: Box<dyn Authorizer>,
    tokens: Box<dyn Tokens>,
}

impl Api {
    pub fn new(authorizer: Box<dyn Authorizer>, tokens: Box<dyn Tokens>) -> Self {
        Self { authorizer, tokens }
    }

    /// Decides one HTTP request against the newest snapshot.
    pub fn plan(&self, _request: &Request, _view: &View) -> Outcome {
        let _ = (&self.authorizer, &self.tokens);
        Outcome::Reply(Reply::problem(&Problem::internal("not yet")))
    }

    /// Continues a request that answered [`Outcome::Rewind`].
    pub fn plan_past(
        &self,
        _request: &Request,
        _newest: &View,
        _past: Result<&View, Compacted>,
    ) -> Outcome {
        Outcome::Reply(Reply::problem(&Problem::internal("not yet")))
    }

    /// What to tell the client (or that the request must be planned again) after the store answered.
    pub fn settle(&self, _pending: Pending, _result: Result<Receipt, Reject>) -> Next {
        Next::Retry
    }

    /// Decides one in-process call. Calls are trusted: admission runs, authorisation does not.
    pub fn call(&self, _call: &Call, _env: &Env<'_>, _view: &View) -> CallOutcome {
        CallOutcome::Done(Err(Problem::internal("not yet")))
    }

    pub fn settle_call(&self, _pending: PendingCall, _result: Result<Receipt, Reject>) -> CallNext {
        CallNext::Retry
    }
}
