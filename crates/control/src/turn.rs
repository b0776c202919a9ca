//! One turn after another, in the thread of whoever drives it.

use crate::due::{Due, RowId};
use crate::flight::{self, Answer, Flight, Landed, Tower};
use crate::notes;
use api::{Api, Call};
use controllers::{Note, Plan, Row, Wake};
use meta::{Identity, Problem, Resource, Time, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use store::{Change, Key, Object, Store, View};

/// Fresh random bytes for uids and generated names; seeded in the simulator.
pub type Entropy = Box<dyn FnMut() -> [u8; 32] + Send>;

/// The loop's state. All of it may be dropped at any instant: a new turn relists and carries on.
pub struct Turn {
    api: Arc<Api>,
    store: Store,
    rows: Vec<RowState>,
    /// Which rows care for a resource.
    wakes: BTreeMap<Resource, Vec<(RowId, &'static Wake)>>,
    /// Which rows care for every resource.
    wakes_all: Vec<(RowId, &'static Wake)>,
    /// Everything up to this revision has been turned into due keys.
    seen: u64,
    due: Due,
    flights: BTreeMap<(RowId, Key), Flight>,
    /// Keys that became due while in flight.
    again: BTreeSet<(RowId, Key)>,
    tower: Tower,
    entropy: Entropy,
}

struct RowState {
    row: &'static Row,
    identity: Identity,
}

/// Keys planned per turn before changes and answers are looked at again.
const PLANS_PER_TURN: usize = 256;

impl Turn {
    pub fn new(
        api: Arc<Api>,
        store: Store,
        table: &'static [&'static Row],
        entropy: Entropy,
    ) -> Self {
        let mut wakes: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut wakes_all = Vec::new();
        for (id, row) in table.iter().enumerate() {
            for wake in row.wakes {
                match wake.resource() {
                    Some(resource) => wakes.entry(resource).or_default().push((id, wake)),
                    None => wakes_all.push((id, wake)),
                }
            }
        }
        let rows =
            table.iter().map(|row| RowState { row, identity: Identity::controller(row.name) });
        let mut turn = Self {
            api,
            store,
            rows: rows.collect(),
            wakes,
            wakes_all,
            seen: 0,
            due: Due::new(table.len()),
            flights: BTreeMap::new(),
            again: BTreeSet::new(),
            tower: Tower::new(),
            entropy,
        };
        turn.relist();
        turn
    }

    /// Answers and changes wake the calling thread from now on.
    pub(crate) fn drive_here(&self) {
        self.tower.drive_here();
    }

    /// Everything up to this revision has been looked at.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Nothing is due, in flight or unseen; only a change or a timer can make work.
    pub fn is_quiet(&self) -> bool {
        !self.due.is_ready() && self.tower.is_idle() && self.store.view().revision() == self.seen
    }

    /// When the next timer rings.
    pub fn next_timer(&self) -> Option<Time> {
        self.due.next_timer()
    }

    /// Takes in answers and changes, then plans what is due. Returns whether it did anything.
    pub fn turn(&mut self, now: Time) -> bool {
        let mut busy = false;
        while let Some(landed) = self.tower.take_landed() {
            self.land(landed, now);
            busy = true;
        }
        busy |= self.intake();
        self.due.ring(now);
        for _ in 0..PLANS_PER_TURN {
            let Some((row, key)) = self.due.pop() else { break };
            busy = true;
            // Its timer rang before its last plan was answered.
            if self.flights.contains_key(&(row, key.clone())) {
                self.again.insert((row, key));
            } else {
                self.plan(row, key, now);
            }
        }
        busy
    }

    // === intake ===

    fn intake(&mut self) -> bool {
        match self.store.changes(self.seen) {
            Ok(changes) if changes.is_empty() => false,
            Ok(changes) => {
                let view = self.store.view();
                for change in changes.iter() {
                    self.wake(&view, change);
                }
                self.seen = changes.up_to();
                true
            }
            Err(_) => {
                self.relist();
                true
            }
        }
    }

    /// As if everything had just been created: after a start, or when the history is gone.
    fn relist(&mut self) {
        let view = self.store.view();
        self.seen = view.revision();
        let watched: Vec<Resource> = match self.wakes_all.is_empty() {
            true => self.wakes.keys().cloned().collect(),
            false => view.resources().cloned().collect(),
        };
        for resource in watched {
            for object in view.list(&resource, None) {
                self.wake(&view, &appeared(object));
            }
        }
    }

    fn wake(&mut self, view: &View, change: &Change) {
        let own = self.wakes.get(&change.after.key.resource);
        let due: Vec<_> = own
            .into_iter()
            .flatten()
            .chain(&self.wakes_all)
            .flat_map(|(row, wake)| {
                (wake.keys)(view, change).into_iter().map(move |key| (*row, key))
            })
            .collect();
        for (row, key) in due {
            self.make_due(row, key);
        }
    }

    fn make_due(&mut self, row: RowId, key: Key) {
        if self.flights.contains_key(&(row, key.clone())) {
            self.again.insert((row, key));
        } else {
            self.due.add(row, key);
        }
    }

    // === plan and apply ===

    fn plan(&mut self, id: RowId, key: Key, now: Time) {
        self.due.cancel(id, &key);
        let row = self.rows[id].row;
        let mut view = self.store.view();
        if row.reads_usage() {
            view = self.api.measured(&view);
        }
        let planned = catch_unwind(AssertUnwindSafe(|| (row.plan)(&view, &key, now)));
        match planned {
            Ok(plan) => self.apply(id, key, plan, Flight::default(), now),
            Err(_) => {
                tracing::error!(controller = row.name, ?key, "plan panicked; backing off");
                self.due.back_off(id, key, now);
            }
        }
    }

    fn apply(&mut self, id: RowId, key: Key, plan: Plan, mut flight: Flight, now: Time) {
        if let Some(at) = plan.wake {
            self.due.add_at(id, key.clone(), at);
        }
        for note in &plan.notes {
            self.tell(id, &key, note, now);
        }
        for call in plan.calls {
            match self.submit(id, &key, call.clone(), now) {
                Answer::Submitted => flight.open += 1,
                Answer::Done(Ok(made)) => self.tell_made(id, &key, &call, &made, now),
                Answer::Done(Err(problem)) => flight.refused.push((call, problem)),
            }
        }
        if flight.open > 0 {
            self.flights.insert((id, key), flight);
        } else {
            self.finish(id, key, flight, now);
        }
    }

    fn submit(&mut self, id: RowId, key: &Key, call: Call, now: Time) -> Answer {
        let entropy = (self.entropy)();
        let state = &self.rows[id];
        let env = flight::env(&state.identity, state.row.name, now, entropy);
        self.tower.submit((&self.api, &self.store), (Some(id), key), call, &env)
    }

    /// Writes an event. One that cannot be written must not fail the plan it tells about.
    fn tell(&mut self, id: RowId, key: &Key, note: &Note, now: Time) {
        let entropy = (self.entropy)();
        let state = &self.rows[id];
        let call = notes::call(note, state.row.name, &self.store.view(), now);
        let env = flight::env(&state.identity, state.row.name, now, entropy);
        let _ = self.tower.submit((&self.api, &self.store), (None, key), call, &env);
    }

    fn tell_made(&mut self, id: RowId, key: &Key, call: &Call, made: &Value, now: Time) {
        let Some(made_note) = self.rows[id].row.made else { return };
        if let Some(note) = made_note(&self.store.view(), key, call, made) {
            self.tell(id, key, &note, now);
        }
    }

    fn land(&mut self, landed: Landed, now: Time) {
        let Some(ticket) = self.tower.take_ticket(landed.ticket) else { return };
        let settled = flight::settle(&self.api, ticket.pending, landed.result);
        // Nobody waits for events.
        let Some(row) = ticket.row else { return };
        let answer = match settled {
            Some(result) => Answer::Done(result),
            // Somebody else wrote the object in between and the call does not mind.
            None => self.submit(row, &ticket.key, ticket.call.clone(), now),
        };
        if let Answer::Done(result) = answer {
            self.answered(row, ticket.key, ticket.call, result, now);
        }
    }

    fn answered(
        &mut self,
        row: RowId,
        key: Key,
        call: Call,
        result: Result<Value, Problem>,
        now: Time,
    ) {
        let Some(mut flight) = self.flights.remove(&(row, key.clone())) else { return };
        flight.open -= 1;
        match result {
            Ok(made) => self.tell_made(row, &key, &call, &made, now),
            Err(problem) => flight.refused.push((call, problem)),
        }
        if flight.open > 0 {
            self.flights.insert((row, key), flight);
        } else {
            self.finish(row, key, flight, now);
        }
    }

    /// Every call of a plan has been answered.
    fn finish(&mut self, id: RowId, key: Key, flight: Flight, now: Time) {
        if flight.refused.is_empty() {
            if !flight.answering {
                self.due.succeeded(id, &key);
            }
        } else {
            let answer = self.rows[id].row.refused.filter(|_| !flight.answering);
            // The refusal that is being answered has set the back-off already.
            if !flight.answering {
                self.due.back_off(id, key.clone(), now);
            }
            if let Some(refused) = answer {
                let plan = refused(&self.store.view(), &key, &flight.refused, now);
                let answering = Flight { answering: true, ..Flight::default() };
                let plan = Plan { wake: None, ..plan };
                return self.apply(id, key, plan, answering, now);
            }
            for (call, problem) in &flight.refused {
                tracing::debug!(controller = self.rows[id].row.name, ?key, call = ?call.verb, %problem, "refused");
            }
        }
        if self.again.remove(&(id, key.clone())) {
            self.due.add(id, key);
        }
    }
}

fn appeared(object: &Arc<Object>) -> Change {
    Change { revision: object.revision, before: None, after: object.clone(), deletion: false }
}
