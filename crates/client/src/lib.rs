//! Calls of the API from inside the process: what a node uses when it shares its machine with the control plane.
//!
//! A call passes the same pipeline as a request over HTTP, under the client's identity; only the wire is left out.

use api::{Api, Call, CallNext, CallOutcome, Env};
use meta::{Identity, Problem, Time, Value};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use store::{Store, View};

/// One caller; clones share everything.
#[derive(Clone)]
pub struct Client {
    api: Arc<Api>,
    store: Store,
    identity: Arc<Identity>,
    /// Names the field manager.
    agent: &'static str,
}

/// A call is planned again this often when others keep being faster.
const ATTEMPTS: usize = 16;

impl Client {
    pub fn new(api: Arc<Api>, store: Store, identity: Identity, agent: &'static str) -> Self {
        Self { api, store, identity: Arc::new(identity), agent }
    }

    /// The same way to the API for somebody else.
    #[must_use]
    pub fn acting_as(&self, identity: Identity, agent: &'static str) -> Self {
        Self { identity: Arc::new(identity), agent, ..self.clone() }
    }

    /// The newest snapshot.
    pub fn view(&self) -> View {
        self.store.view()
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Makes a call and waits until it is durable.
    ///
    /// # Errors
    /// What the server answers a client that asks the same.
    pub async fn call(&self, call: &Call) -> Result<Value, Problem> {
        for _ in 0..ATTEMPTS {
            let mut entropy = [0; 32];
            getrandom::fill(&mut entropy).map_err(Problem::internal)?;
            let env = Env { identity: &self.identity, now: now(), entropy, user_agent: self.agent };
            let mut pending = match self.api.call(call, &env, &self.store.view()) {
                CallOutcome::Done(result) => return result,
                CallOutcome::Commit(pending) => pending,
            };
            let result = self.store.request(std::mem::take(&mut pending.txn)).await;
            if let CallNext::Done(result) = self.api.settle_call(pending, result) {
                return result;
            }
        }
        let resource = call.resource.resource();
        Err(Problem::conflict(&resource, &call.name, "others keep changing it; please try again"))
    }
}

/// The clock of the hands.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
