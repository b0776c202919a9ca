//! Drives the scheduler: its decisions become bindings, conditions and removals.
//!
//! Many decisions are in the air at once; each assumes the ones before it, and a binding that is refused takes its
//! assumption back.

use crate::flight::{self, Answer, Landed, Tower};
use crate::notes;
use crate::turn::Entropy;
use api::{Api, Call, DeleteOptions, Patch, PatchKind, Verb};
use controllers::{Note, Warning};
use meta::{Gvr, Identity, Time, Value};
use scheduler::{Decision, Nomination, Scheduler, Verdicts};
use serde_json::json;
use std::sync::Arc;
use store::{Key, Store};

/// Upstream's component name, in events and as the identity `system:kube-scheduler`.
const NAME: &str = "default-scheduler";
const SCHEDULER_NAMES: &[&str] = &["default-scheduler"];
/// Decisions per pass before answers and changes are looked at again.
const DECISIONS_PER_PASS: usize = 256;
/// Decisions in the air at once.
const IN_FLIGHT_MAX: usize = 2048;

/// The scheduling loop's state. All of it can be rebuilt from the store.
pub struct Scheduling {
    api: Arc<Api>,
    store: Store,
    scheduler: Scheduler,
    identity: Identity,
    seen: u64,
    tower: Tower,
    entropy: Entropy,
}

impl Scheduling {
    pub fn new(api: Arc<Api>, store: Store, mut entropy: Entropy) -> Self {
        let view = store.view();
        let seed = entropy().iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte));
        let scheduler = Scheduler::new(SCHEDULER_NAMES, &view, seed);
        let identity =
            Identity { name: "system:kube-scheduler".into(), ..Identity::controller(NAME) };
        let seen = view.revision();
        Self { api, store, scheduler, identity, seen, tower: Tower::new(), entropy }
    }

    pub(crate) fn drive_here(&self) {
        self.tower.drive_here();
    }

    pub fn seen(&self) -> u64 {
        self.seen
    }

    pub fn next_timer(&self) -> Option<Time> {
        self.scheduler.next_timer()
    }

    pub fn is_quiet(&self) -> bool {
        self.scheduler.is_idle()
            && self.tower.is_idle()
            && self.store.view().revision() == self.seen
    }

    /// Takes in answers and changes, then decides. Returns whether it did anything.
    pub fn turn(&mut self, now: Time) -> bool {
        let mut busy = false;
        while let Some(landed) = self.tower.take_landed() {
            self.land(landed, now);
            busy = true;
        }
        busy |= self.intake();
        let view = self.store.view();
        for _ in 0..DECISIONS_PER_PASS {
            if self.tower.in_flight() >= IN_FLIGHT_MAX {
                break;
            }
            let Some(decision) = self.scheduler.next(&view, now) else { break };
            self.carry_out(decision, now);
            busy = true;
        }
        busy
    }

    fn intake(&mut self) -> bool {
        match self.store.changes(self.seen) {
            Ok(changes) if changes.is_empty() => false,
            Ok(changes) => {
                for change in changes.iter() {
                    self.scheduler.take_in(change);
                }
                self.seen = changes.up_to();
                true
            }
            Err(_) => {
                let view = self.store.view();
                self.scheduler = Scheduler::new(SCHEDULER_NAMES, &view, view.revision());
                self.seen = view.revision();
                true
            }
        }
    }

    fn carry_out(&mut self, decision: Decision, now: Time) {
        match decision {
            Decision::Bind { pod, uid, node, about } => {
                let binding = bind(&pod, &uid, &node);
                let message =
                    format!("Successfully assigned {}/{} to {node}", pod.namespace, pod.name);
                self.submit(Some(BINDING), &pod, binding, now);
                let about = serde_json::to_value(about).unwrap_or_default();
                self.tell(&pod, about, Warning::Normal, "Scheduled", message, now);
            }
            Decision::Wait(verdicts) => self.report(verdicts, now),
        }
    }

    fn report(&mut self, verdicts: Verdicts, now: Time) {
        let pod = verdicts.pod.clone();
        for victim in &verdicts.victims {
            for call in evict(victim, now) {
                self.submit(None, victim, call, now);
            }
        }
        self.submit(None, &pod, unschedulable(&verdicts, now), now);
        let about = serde_json::to_value(&verdicts.about).unwrap_or_default();
        self.tell(&pod, about, Warning::Warning, "FailedScheduling", verdicts.message, now);
    }

    fn tell(
        &mut self,
        key: &Key,
        about: Value,
        warning: Warning,
        reason: &'static str,
        message: String,
        now: Time,
    ) {
        let note = Note { about, warning, reason, message };
        let call = notes::call(&note, NAME, &self.store.view(), now);
        self.submit(None, key, call, now);
    }

    fn submit(&mut self, row: Option<usize>, key: &Key, call: Call, now: Time) {
        let entropy = (self.entropy)();
        let env = flight::env(&self.identity, NAME, now, entropy);
        let answer = self.tower.submit((&self.api, &self.store), (row, key), call, &env);
        if let (Some(_), Answer::Done(Err(problem))) = (row, answer) {
            tracing::debug!(?key, %problem, "binding refused");
            self.scheduler.refused(key, now);
        }
    }

    fn land(&mut self, landed: Landed, now: Time) {
        let Some(ticket) = self.tower.take_ticket(landed.ticket) else { return };
        match (flight::settle(&self.api, ticket.pending, landed.result), ticket.row) {
            (None, row) => self.submit(row, &ticket.key, ticket.call, now),
            (Some(Err(problem)), Some(_)) => {
                tracing::debug!(key = ?ticket.key, %problem, "binding refused");
                self.scheduler.refused(&ticket.key, now);
            }
            _ => {}
        }
    }
}

/// Marks calls whose refusal concerns the scheduler.
const BINDING: usize = 0;

fn pods() -> Gvr {
    Gvr::new("", "v1", "pods")
}

fn bind(pod: &Key, uid: &str, node: &str) -> Call {
    let body = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": { "name": &*pod.name, "namespace": &*pod.namespace, "uid": uid },
        "target": { "kind": "Node", "name": node },
    });
    Call::new(Verb::Create(body), pods(), &pod.namespace, &pod.name).on("binding")
}

fn patch_status(pod: &Key, body: Value) -> Call {
    let patch = Patch { kind: PatchKind::Strategic, body };
    Call::new(Verb::Patch(patch), pods(), &pod.namespace, &pod.name).on("status")
}

fn unschedulable(verdicts: &Verdicts, now: Time) -> Call {
    let condition = json!({
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": verdicts.message,
        "lastTransitionTime": now.rfc3339(),
    });
    let mut status = json!({ "conditions": [condition] });
    match &verdicts.nominated {
        Nomination::Stays => {}
        Nomination::Withdrawn => status["nominatedNodeName"] = Value::Null,
        Nomination::Node(node) => status["nominatedNodeName"] = (&**node).into(),
    }
    let body = json!({ "metadata": { "uid": &*verdicts.uid }, "status": status });
    patch_status(&verdicts.pod, body)
}

/// Victims learn why before they go.
fn evict(victim: &Key, now: Time) -> [Call; 2] {
    let condition = json!({
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": format!("{NAME}: preempting to accommodate a higher priority pod"),
        "lastTransitionTime": now.rfc3339(),
    });
    let told = patch_status(victim, json!({ "status": { "conditions": [condition] } }));
    let gone = Verb::Delete(DeleteOptions::default());
    [told, Call::new(gone, pods(), &victim.namespace, &victim.name)]
}
