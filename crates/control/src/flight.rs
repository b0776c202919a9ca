//! Calls between their submission and their answers.

use crate::due::RowId;
use api::{Api, Call, CallNext, CallOutcome, Env, PendingCall};
use meta::{Identity, Problem, Time, Value};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use store::{Key, Receipt, Reject, Store, Txn};

/// The calls of one plan of one key.
#[derive(Default)]
pub(crate) struct Flight {
    /// Calls not answered yet.
    pub open: usize,
    pub refused: Vec<(Call, Problem)>,
    /// Whether this plan already answers an earlier refusal.
    pub answering: bool,
}

/// An answer of the store to one submitted call.
pub(crate) struct Landed {
    pub ticket: u64,
    pub result: Result<Receipt, Reject>,
}

/// Everything in the air.
pub(crate) struct Tower {
    next: u64,
    tickets: BTreeMap<u64, Ticket>,
    landed: Receiver<Landed>,
    land: Sender<Landed>,
    /// The thread to wake when something landed.
    driver: Arc<Mutex<Option<Thread>>>,
}

pub(crate) struct Ticket {
    /// `None`: nobody waits for the answer.
    pub row: Option<RowId>,
    pub key: Key,
    pub call: Call,
    pub pending: PendingCall,
}

/// What became of a call.
pub(crate) enum Answer {
    Done(Result<Value, Problem>),
    /// In the air under a ticket.
    Submitted,
}

impl Tower {
    pub fn new() -> Self {
        let (land, landed) = channel();
        Self { next: 0, tickets: BTreeMap::new(), landed, land, driver: Arc::default() }
    }

    /// Answers wake the calling thread from now on.
    pub fn drive_here(&self) {
        *self.driver.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current());
    }

    pub fn is_idle(&self) -> bool {
        self.tickets.is_empty()
    }

    pub fn in_flight(&self) -> usize {
        self.tickets.len()
    }

    pub fn take_landed(&self) -> Option<Landed> {
        self.landed.try_recv().ok()
    }

    pub fn take_ticket(&mut self, ticket: u64) -> Option<Ticket> {
        self.tickets.remove(&ticket)
    }

    /// Plans `call` against the newest view and submits its transaction.
    pub fn submit(
        &mut self,
        (api, store): (&Api, &Store),
        (row, key): (Option<RowId>, &Key),
        call: Call,
        env: &Env<'_>,
    ) -> Answer {
        match api.call(&call, env, &store.view()) {
            CallOutcome::Done(result) => Answer::Done(result),
            CallOutcome::Commit(mut pending) => {
                let txn = std::mem::take(&mut pending.txn);
                self.next += 1;
                let ticket = Ticket { row, key: key.clone(), call, pending };
                self.tickets.insert(self.next, ticket);
                self.send(store, txn, self.next);
                Answer::Submitted
            }
        }
    }

    fn send(&self, store: &Store, txn: Txn, ticket: u64) {
        let (land, driver) = (self.land.clone(), self.driver.clone());
        store.submit(
            txn,
            Box::new(move |result| {
                // A receiver that is gone has stopped caring.
                let _ = land.send(Landed { ticket, result });
                if let Some(thread) = &*driver.lock().unwrap_or_else(PoisonError::into_inner) {
                    thread.unpark();
                }
            }),
        );
    }
}

/// Whether a landed call is over or must be planned again.
pub(crate) fn settle(
    api: &Api,
    pending: PendingCall,
    result: Result<Receipt, Reject>,
) -> Option<Result<Value, Problem>> {
    match api.settle_call(pending, result) {
        CallNext::Done(result) => Some(result),
        CallNext::Retry => None,
    }
}

/// The identity and inputs of a controller's calls.
pub(crate) fn env<'a>(
    identity: &'a Identity,
    agent: &'a str,
    now: Time,
    entropy: [u8; 32],
) -> Env<'a> {
    Env { identity, now, entropy, user_agent: agent }
}
