//! The state machine: changes in, decisions out.

use crate::cluster::{Cluster, is};
use crate::decide::{self, Cycle, Filtered};
use crate::needs::PodNeeds;
use crate::preempt::{self, Preemption};
use crate::queue::Queue;
use crate::table::Wake;
use k8s_openapi::api::core::v1::ObjectReference;
use meta::{Resource, Time};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::{Change, Key, Object, View};

/// What is to be done about one pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    Bind { pod: Key, uid: Box<str>, node: Box<str>, about: ObjectReference },
    Wait(Verdicts),
}

/// Why a pod has no node, and what is done to make room.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdicts {
    pub pod: Key,
    pub uid: Box<str>,
    /// For the `PodScheduled` condition and the `FailedScheduling` event.
    pub message: String,
    pub nominated: Nomination,
    /// Pods to remove, with a `DisruptionTarget` condition first.
    pub victims: Vec<Key>,
    pub about: ObjectReference,
}

/// What becomes of `status.nominatedNodeName`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nomination {
    /// As it is.
    Stays,
    /// No node is promised any more, so that the promise keeps nobody else away.
    Withdrawn,
    /// The node where the victims make room.
    Node(Box<str>),
}

/// One scheduler for every pod whose `schedulerName` it answers to.
pub struct Scheduler {
    names: &'static [&'static str],
    cluster: Cluster,
    queue: Queue,
    /// Where the next pod starts looking.
    start: usize,
    /// State of the generator that breaks ties.
    luck: u64,
}

/// Resources whose changes concern the scheduler.
const VOLUMES: &[&str] = &[
    "persistentvolumes",
    "persistentvolumeclaims",
    "storageclasses.storage.k8s.io",
    "csinodes.storage.k8s.io",
];

impl Scheduler {
    /// Knows everything in `view`. `seed` breaks ties.
    pub fn new(names: &'static [&'static str], view: &View, seed: u64) -> Self {
        let cluster = Cluster::default();
        let mut out = Self { names, cluster, queue: Queue::default(), start: 0, luck: seed | 1 };
        for plural in ["namespaces", "nodes", "pods"] {
            for object in view.list(&Resource::new("", plural), None) {
                out.take_in(&appeared(object));
            }
        }
        out
    }

    /// One change of anything.
    pub fn take_in(&mut self, change: &Change) {
        let resource = &change.after.key.resource;
        if is(resource, "pods") {
            self.pod_changed(change);
        } else if is(resource, "nodes") {
            self.cluster.node_changed(change);
            self.queue.wake(Wake::Node);
        } else if is(resource, "namespaces") {
            self.cluster.namespace_changed(change);
        } else if VOLUMES.contains(&resource.as_str()) {
            self.queue.wake(Wake::Volume);
        }
    }

    fn pod_changed(&mut self, change: &Change) {
        let key = &change.after.key;
        let pod = if change.deletion { None } else { PodNeeds::of(&change.after) };
        match pod {
            Some(pod) if pod.is_placed() => {
                self.queue.remove(key);
                self.cluster.withdraw(key);
                self.cluster.place(Arc::new(pod));
                self.queue.wake(Wake::PodCame);
            }
            Some(pod) if !pod.finished && !pod.terminating => self.pending(pod, change),
            _ => {
                self.queue.remove(key);
                let promised = self.cluster.withdraw(key);
                if self.cluster.displace(key) || promised {
                    self.queue.wake(Wake::PodGone);
                }
            }
        }
    }

    fn pending(&mut self, pod: PodNeeds, change: &Change) {
        if !self.names.contains(&&*pod.scheduler) {
            return;
        }
        let pod = Arc::new(pod);
        if self.cluster.nominate(pod.clone()) {
            self.queue.wake(Wake::PodGone);
        }
        // Its own status (our own report included) makes a pod no more schedulable than before.
        let same_spec = change.before.as_ref().is_some_and(|b| {
            b.head.generation == change.after.head.generation
                && b.head.labels == change.after.head.labels
        });
        if !(same_spec && self.queue.refresh(pod.clone())) {
            self.queue.add(pod);
        }
    }

    /// When to look again although nothing happened.
    pub fn next_timer(&self) -> Option<Time> {
        self.queue.next_timer()
    }

    pub fn is_idle(&self) -> bool {
        !self.queue.is_active()
    }

    /// Decides the next pod, if one is due. A pod that gets a node is assumed there until told otherwise.
    pub fn next(&mut self, view: &View, now: Time) -> Option<Decision> {
        self.queue.ring(now);
        let pod = self.queue.pop()?;
        self.cluster.learn(&decide::questions(&pod));
        self.cluster.learn_domains(pod.spread.iter().map(|s| s.term.topology.clone()));
        let luck = self.luck();
        let mut cycle = Cycle::new(&pod, &self.cluster, view);
        let filtered = cycle.filter(self.start);
        let chosen = cycle.choose(&filtered.feasible, luck);
        let nodes = self.cluster.nodes().len().max(1);
        match chosen.map(|at| self.cluster.nodes()[at].name.clone()) {
            Some(node) => {
                self.start = (self.start + filtered.seen) % nodes;
                Some(self.bind(&pod, node))
            }
            None => {
                let found = preempt::preempt(&mut cycle, &filtered);
                let message = decide::message(self.cluster.size(), &filtered);
                self.queue.park(&pod.key, rejectors(&filtered), now);
                Some(Decision::Wait(verdicts(&pod, message, found)))
            }
        }
    }

    fn bind(&mut self, pod: &Arc<PodNeeds>, node: Box<str>) -> Decision {
        let mut assumed = PodNeeds::clone(pod);
        assumed.node = node.clone();
        self.cluster.withdraw(&pod.key);
        self.cluster.place(Arc::new(assumed));
        let (uid, about) = (pod.uid.clone(), pod.reference.clone());
        Decision::Bind { pod: pod.key.clone(), uid, node, about }
    }

    /// The binding was refused: the pod is not there, and is tried again after its back-off.
    pub fn refused(&mut self, key: &Key, now: Time) {
        if self.queue.get(key).is_some() {
            self.cluster.displace(key);
            self.queue.back_off(key, now);
        }
    }

    #[cfg(test)]
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Counts what `other` has been asked to count.
    #[cfg(test)]
    pub(crate) fn learn_like(&mut self, other: &Cluster) {
        let questions: Vec<_> = other.tally.counted().map(|(q, _)| q.clone()).collect();
        self.cluster.learn(&questions);
    }

    /// xorshift64: ties need no better.
    fn luck(&mut self) -> u64 {
        self.luck ^= self.luck << 13;
        self.luck ^= self.luck >> 7;
        self.luck ^= self.luck << 17;
        self.luck
    }
}

/// Without any node nothing rejected the pod; the first node wakes it.
fn rejectors(filtered: &Filtered) -> BTreeSet<&'static str> {
    let by_nodes = filtered.rejected.iter().flat_map(|(_, reasons)| reasons);
    let mut rejectors: BTreeSet<_> =
        by_nodes.chain(&filtered.outright).map(|reason| reason.plugin).collect();
    if rejectors.is_empty() {
        rejectors.insert(crate::plugins::fit::PLUGIN.name);
    }
    rejectors
}

/// What upstream's DynamicResources adds for every pod it cannot help (plugins/dynamicresources, `PostFilter`).
const CLAIMS: &str = "no new claims to deallocate";

fn verdicts(pod: &PodNeeds, message: String, found: Preemption) -> Verdicts {
    let withdrawn = match &*pod.nominated {
        "" => Nomination::Stays,
        _ => Nomination::Withdrawn,
    };
    let (nominated, why, victims) = match found {
        Preemption::Found(v) => (
            Nomination::Node(v.node),
            String::new(),
            v.pods.iter().map(|p| p.key.clone()).collect(),
        ),
        Preemption::Hopeless(why) => (withdrawn, why, Vec::new()),
        Preemption::Promised(why) => (Nomination::Stays, why, Vec::new()),
    };
    let message = match &*why {
        "" => message,
        why => format!("{message} {CLAIMS}, preemption: {why}"),
    };
    let (uid, about) = (pod.uid.clone(), pod.reference.clone());
    Verdicts { pod: pod.key.clone(), uid, message, nominated, victims, about }
}

fn appeared(object: &Arc<Object>) -> Change {
    Change { revision: object.revision, before: None, after: object.clone(), deletion: false }
}
