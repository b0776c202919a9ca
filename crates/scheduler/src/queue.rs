//! Pods that wait to be decided (pkg/scheduler/backend/queue/).

use crate::needs::PodNeeds;
use crate::table::{PLUGINS, Wake};
use meta::Time;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::Key;

/// Every waiting pod is in exactly one place.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: BTreeMap<Key, Waiting>,
    /// Highest priority first, then oldest.
    active: BTreeSet<Rank>,
    backing_off: BTreeSet<(Time, Key)>,
    /// By the time they were parked; walked on every event, so only these are in it.
    parked: BTreeSet<(Time, Key)>,
}

struct Waiting {
    pod: Arc<PodNeeds>,
    attempts: u32,
    state: State,
}

enum State {
    Active,
    BackingOff(Time),
    /// Nothing that happened could have helped; these plugins said no, at this time.
    Parked {
        rejectors: BTreeSet<&'static str>,
        since: Time,
    },
    /// Has scheduling gates.
    Gated,
}

type Rank = (Reverse<i32>, Time, Key);

const BACKOFF_FIRST_MS: i64 = 1000;
const BACKOFF_MAX_MS: i64 = 10_000;
/// Parked pods are looked at again after this long, whatever happened (`podMaxInUnschedulablePodsDuration`).
const PARKED_MAX_MS: i64 = 300_000;

fn rank(pod: &PodNeeds) -> Rank {
    (Reverse(pod.priority), pod.created, pod.key.clone())
}

impl Queue {
    /// A pod to decide, or a new version of one.
    pub fn add(&mut self, pod: Arc<PodNeeds>) {
        let attempts = self.waiting.get(&pod.key).map_or(0, |w| w.attempts);
        self.remove(&pod.key);
        let state = if pod.gated { State::Gated } else { State::Active };
        if matches!(state, State::Active) {
            self.active.insert(rank(&pod));
        }
        self.waiting.insert(pod.key.clone(), Waiting { pod, attempts, state });
    }

    /// A new version of a waiting pod that changes nothing about its chances (its own status).
    pub fn refresh(&mut self, pod: Arc<PodNeeds>) -> bool {
        match self.waiting.get_mut(&pod.key) {
            Some(waiting) if waiting.pod.gated == pod.gated => {
                waiting.pod = pod;
                true
            }
            _ => false,
        }
    }

    pub fn get(&self, key: &Key) -> Option<&Arc<PodNeeds>> {
        self.waiting.get(key).map(|w| &w.pod)
    }

    pub fn remove(&mut self, key: &Key) -> bool {
        let Some(waiting) = self.waiting.remove(key) else { return false };
        match waiting.state {
            State::Active => drop(self.active.remove(&rank(&waiting.pod))),
            State::BackingOff(at) => drop(self.backing_off.remove(&(at, key.clone()))),
            State::Parked { since, .. } => drop(self.parked.remove(&(since, key.clone()))),
            State::Gated => {}
        }
        true
    }

    /// The next pod to decide; it stays known until it is removed, parked or backed off.
    pub fn pop(&mut self) -> Option<Arc<PodNeeds>> {
        let (_, _, key) = self.active.pop_first()?;
        let waiting = self.waiting.get_mut(&key)?;
        waiting.attempts += 1;
        // In nobody's hands but the caller's until it says what came of it.
        waiting.state = State::Gated;
        Some(waiting.pod.clone())
    }

    pub fn park(&mut self, key: &Key, rejectors: BTreeSet<&'static str>, now: Time) {
        if let Some(waiting) = self.waiting.get_mut(key) {
            waiting.state = State::Parked { rejectors, since: now };
            self.parked.insert((now, key.clone()));
        }
    }

    /// Tried again after its back-off, which began at `since`: time spent parked counts.
    pub fn back_off(&mut self, key: &Key, since: Time) {
        let Some(waiting) = self.waiting.get_mut(key) else { return };
        match waiting.state {
            State::Active => drop(self.active.remove(&rank(&waiting.pod))),
            State::BackingOff(at) => drop(self.backing_off.remove(&(at, key.clone()))),
            State::Parked { since, .. } => drop(self.parked.remove(&(since, key.clone()))),
            State::Gated => {}
        }
        let doublings = waiting.attempts.saturating_sub(1).min(10);
        let at = since.plus_ms((BACKOFF_FIRST_MS << doublings).min(BACKOFF_MAX_MS));
        waiting.state = State::BackingOff(at);
        self.backing_off.insert((at, key.clone()));
    }

    /// Something happened: pods whose rejectors care are tried again after their back-off.
    pub fn wake(&mut self, wake: Wake) {
        let cares = |plugin: &&'static str| {
            PLUGINS.iter().any(|p| p.name == *plugin && p.wakes.contains(&wake))
        };
        let woken: Vec<(Time, Key)> = self
            .parked
            .iter()
            .filter(|(_, key)| match self.waiting.get(key).map(|w| &w.state) {
                Some(State::Parked { rejectors, .. }) => rejectors.iter().any(cares),
                _ => false,
            })
            .cloned()
            .collect();
        for (since, key) in woken {
            self.back_off(&key, since);
        }
    }

    /// Moves pods whose time has come to the active ones.
    pub fn ring(&mut self, now: Time) {
        while let Some((since, key)) = self.parked.first().cloned() {
            if since.plus_ms(PARKED_MAX_MS) > now {
                break;
            }
            self.back_off(&key, since);
        }
        while let Some((at, key)) = self.backing_off.first().cloned() {
            if at > now {
                break;
            }
            self.backing_off.remove(&(at, key.clone()));
            if let Some(waiting) = self.waiting.get_mut(&key) {
                waiting.state = State::Active;
                self.active.insert(rank(&waiting.pod));
            }
        }
    }

    pub fn next_timer(&self) -> Option<Time> {
        let parked = self.parked.first().map(|(since, _)| since.plus_ms(PARKED_MAX_MS));
        self.backing_off.first().map(|(at, _)| *at).into_iter().chain(parked).min()
    }

    pub fn is_active(&self) -> bool {
        !self.active.is_empty()
    }
}
