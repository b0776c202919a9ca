//! One pod's worker: a task that lives as long as the pod is of concern here.
//!
//! It observes, plans, starts the operations of the plan side by side, reports, and waits for the next thing to
//! happen: an operation that ends, the engine, the API, or the time the plan asked for.

use crate::observe::observe;
use crate::ops::{Done, Hands, Trouble, volumes};
use crate::report::{self, Event};
use k8s_openapi::api::core::v1::Pod;
use kubelet::{ContainerPhase, Failure, Hook, PodOp, PodPlan, PodSeen, ProbeKind, ProbeSeen};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use store::{Key, Object};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

/// Wakes one pod's worker.
#[derive(Clone, Default)]
pub(crate) struct Bell(Arc<Notify>);

impl Bell {
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// What a worker remembers; all of it may be lost.
struct Worker {
    hands: Hands,
    key: Key,
    uid: String,
    bell: Bell,
    probes: BTreeMap<(String, ProbeKind), ProbeSeen>,
    hooks: BTreeMap<(String, Hook), Result<(), String>>,
    failed: BTreeMap<PodOp, Failure>,
    under_way: BTreeSet<PodOp>,
    ended: mpsc::UnboundedReceiver<(PodOp, Result<Done, Trouble>)>,
    end: mpsc::UnboundedSender<(PodOp, Result<Done, Trouble>)>,
    /// Running containers whose end rings the bell.
    watched: BTreeMap<String, tokio::task::AbortHandle>,
    tasks: JoinSet<()>,
}

/// Runs until the pod is gone from here.
pub(crate) async fn run(hands: Hands, key: Key, uid: String, bell: Bell) {
    let (end, ended) = mpsc::unbounded_channel();
    let mut worker = Worker {
        hands,
        key,
        uid,
        bell,
        probes: BTreeMap::new(),
        hooks: BTreeMap::new(),
        failed: BTreeMap::new(),
        under_way: BTreeSet::new(),
        ended,
        end,
        watched: BTreeMap::new(),
        tasks: JoinSet::new(),
    };
    // The last known pod: one that vanished from the API is taken down as if deleted without grace.
    let mut last: Option<Arc<Object>> = None;
    loop {
        let Some(pod) = worker.pod(&mut last) else { return };
        let plan = worker.turn(&pod).await;
        if plan.gone {
            match report::gone(&worker.hands, &pod).await {
                Ok(()) => return,
                Err(problem) => tracing::warn!(%problem, "pod not removed from the API"),
            }
        }
        worker.rest(&pod, &plan).await;
    }
}

impl Worker {
    fn pod(&self, last: &mut Option<Arc<Object>>) -> Option<Arc<Pod>> {
        let view = self.hands.client.view();
        match view.get(&self.key).filter(|object| *object.head.uid == *self.uid) {
            Some(object) => {
                *last = Some(object.clone());
                Some(typed::parse(object))
            }
            None => last.as_ref().map(|object| orphan(&typed::parse(object))),
        }
    }

    async fn turn(&mut self, pod: &Arc<Pod>) -> PodPlan {
        let mut seen = self.seen();
        let plan = kubelet::plan_pod(pod, &seen, &self.hands.policy, client::now());
        for op in &plan.ops {
            self.begin(pod, op.clone());
        }
        for note in &plan.notes {
            let event = Event {
                warning: note.warning,
                reason: note.reason,
                message: note.message.clone(),
                field_path: &note.field_path,
            };
            report::event(&self.hands, pod, &event);
        }
        if let Err(problem) = report::status(&self.hands, pod, &plan.status).await {
            tracing::debug!(%problem, pod = %self.key.name, "status not written");
        }
        seen.under_way.clear();
        self.watch(&seen);
        plan
    }

    fn seen(&self) -> PodSeen {
        let mut seen = observe(&self.hands.engine, &self.hands.config, &self.uid);
        seen.probes = self.probes.clone();
        seen.hooks = self.hooks.clone();
        seen.failed = self.failed.clone();
        seen.under_way = self.under_way.clone();
        seen
    }

    /// Starts an operation; its end comes back through the channel.
    fn begin(&mut self, pod: &Arc<Pod>, op: PodOp) {
        self.under_way.insert(op.clone());
        let (hands, pod, end) = (self.hands.clone(), pod.clone(), self.end.clone());
        self.tasks.spawn(async move {
            let result = hands.carry_out(&pod, &op).await;
            // A worker that is gone has stopped caring.
            let _ = end.send((op, result));
        });
    }

    /// Rings the bell when a running container changes.
    fn watch(&mut self, seen: &PodSeen) {
        let running = |c: &&kubelet::ContainerSeen| c.phase != ContainerPhase::Exited;
        let ids: BTreeSet<&String> =
            seen.containers.iter().filter(running).map(|c| &c.id).collect();
        self.watched.retain(|id, task| {
            let keep = ids.contains(id);
            if !keep {
                task.abort();
            }
            keep
        });
        for id in ids {
            if self.watched.contains_key(id) {
                continue;
            }
            let Ok(mut changes) = self.hands.engine.watch_pod_container(id) else { continue };
            let bell = self.bell.clone();
            let task = self.tasks.spawn(async move {
                while changes.changed().await.is_ok() {
                    bell.ring();
                }
            });
            self.watched.insert(id.clone(), task);
        }
    }

    /// Waits for the next thing to happen.
    async fn rest(&mut self, pod: &Arc<Pod>, plan: &PodPlan) {
        let tokens = volumes::tokens_due(&self.hands, pod);
        // One that could not be replaced is tried again, but not at once.
        let soon = client::now().0 + 10_000_000;
        let replace = tokens.map(|at| meta::Time(at.0.max(soon)));
        let wake = [plan.wake, replace].into_iter().flatten().min();
        let asleep = async {
            match wake {
                Some(at) => {
                    let micros = u64::try_from(at.0 - client::now().0).unwrap_or(0);
                    tokio::time::sleep(Duration::from_micros(micros)).await;
                }
                None => std::future::pending().await,
            }
        };
        let bell = self.bell.0.clone();
        tokio::select! {
            Some((op, result)) = self.ended.recv() => self.landed(pod, op, result),
            () = bell.notified() => {
                if pod.metadata.deletion_timestamp.is_none() {
                    volumes::refresh(&self.hands, pod).await;
                }
            }
            () = asleep => {
                if tokens.is_some_and(|at| at <= client::now()) {
                    volumes::refresh(&self.hands, pod).await;
                }
            }
        }
        while let Some(done) = self.tasks.try_join_next() {
            if let Err(error) = done
                && error.is_panic()
            {
                tracing::error!(%error, pod = %self.key.name, "an operation panicked");
            }
        }
    }

    fn landed(&mut self, pod: &Arc<Pod>, op: PodOp, result: Result<Done, Trouble>) {
        self.under_way.remove(&op);
        match result {
            Ok(done) => {
                self.failed.remove(&op);
                self.done(pod, &op, done);
            }
            Err(trouble) => self.failure(pod, op, trouble),
        }
    }

    fn done(&mut self, pod: &Arc<Pod>, op: &PodOp, done: Done) {
        match (op, done) {
            (PodOp::Probe { id, name, kind }, Done::Verdict(verdict)) => {
                self.probed(pod, (id, name), *kind, verdict);
            }
            (PodOp::RunHook { id, hook, .. }, Done::Verdict(verdict)) => {
                self.hooks.insert((id.clone(), *hook), verdict);
            }
            (PodOp::StartContainer { name, kind, .. }, Done::Told(told)) => {
                let field_path = crate::ops::container::field_path(*kind, name);
                for (reason, message) in told {
                    let event = Event { warning: false, reason, message, field_path: &field_path };
                    report::event(&self.hands, pod, &event);
                }
            }
            _ => {}
        }
    }

    fn probed(
        &mut self,
        pod: &Arc<Pod>,
        (id, name): (&str, &str),
        kind: ProbeKind,
        verdict: Result<(), String>,
    ) {
        let Some(container) = crate::ops::container::find(pod, name) else { return };
        let (probe, word) = match kind {
            ProbeKind::Startup => (container.startup_probe, "Startup"),
            ProbeKind::Liveness => (container.liveness_probe, "Liveness"),
            ProbeKind::Readiness => (container.readiness_probe, "Readiness"),
        };
        let Some(probe) = probe else { return };
        let key = (id.to_string(), kind);
        let state = kubelet::record_probe(self.probes.get(&key), &probe, verdict, client::now());
        if !state.ok {
            let message = format!("{word} probe failed: {}", state.message);
            let field_path = format!("spec.containers{{{name}}}");
            let event =
                Event { warning: true, reason: "Unhealthy", message, field_path: &field_path };
            report::event(&self.hands, pod, &event);
        }
        self.probes.insert(key, state);
    }

    fn failure(&mut self, pod: &Arc<Pod>, op: PodOp, trouble: Trouble) {
        let count = self.failed.get(&op).map_or(0, |f| f.count) + 1;
        let (reason, message) = told(&trouble);
        let field_path = match &op {
            PodOp::StartContainer { name, kind, .. } => {
                crate::ops::container::field_path(*kind, name)
            }
            _ => String::new(),
        };
        let event = Event { warning: true, reason, message, field_path: &field_path };
        report::event(&self.hands, pod, &event);
        let failure = Failure {
            reason: trouble.reason.into(),
            message: trouble.message,
            count,
            at: client::now(),
        };
        self.failed.insert(op, failure);
    }
}

/// Reason and text of the event about a failure (pkg/kubelet/events, kuberuntime_container.go `startContainer`).
fn told(trouble: &Trouble) -> (&'static str, String) {
    let message = &trouble.message;
    match trouble.reason {
        reason @ ("FailedMount" | "FailedKillPod") => (reason, message.clone()),
        reason @ "FailedCreatePodSandBox" => {
            (reason, format!("Failed to create pod sandbox: {message}"))
        }
        reason @ ("ErrImagePull" | "ErrImageNeverPull" | "InvalidImageName") => {
            ("Failed", format!("Error: {reason}"))
        }
        _ => ("Failed", format!("Error: {message}")),
    }
}

/// A pod the API no longer has ends at once.
fn orphan(pod: &Pod) -> Arc<Pod> {
    let mut pod = pod.clone();
    pod.metadata.deletion_timestamp.get_or_insert_with(|| typed::api_time(client::now()));
    pod.metadata.deletion_grace_period_seconds = Some(0);
    Arc::new(pod)
}
