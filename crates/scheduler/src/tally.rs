//! How many pods match a term in each place, kept up to date while pods come and go.
//!
//! Affinity and spreading ask the same questions for every pod of a workload; counting all pods for each of them
//! is what makes upstream slow there. A counter is made when a term is first asked about and then follows changes.

use crate::needs::PodNeeds;
use crate::terms::{Labels, PodTerm};
use std::collections::BTreeMap;

/// Which pods a counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counting {
    /// Pods that match the term.
    Matching,
    /// As `Matching`, without pods being deleted (topology spreading).
    Staying,
    /// Pods that require to be away from what matches their own term.
    AntiAffine,
    /// Weight of pods that want to be near (or, negative, away from) what matches their own term.
    Preferring,
}

/// A counter's identity.
pub type Question = (Counting, PodTerm);

/// Counts by value of the term's topology label.
pub type Counts = BTreeMap<String, i64>;

/// All counters. Dropping one only costs counting again.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    counters: BTreeMap<Question, Counts>,
    /// Terms that placed pods carry themselves, with how many carry them; these are always counted.
    carried: BTreeMap<Question, (i64, Counts)>,
}

/// Distinct questions remembered; a cluster has about as many as it has workloads.
const COUNTERS_MAX: usize = 4096;

impl Tally {
    pub fn get(&self, question: &Question) -> Option<&Counts> {
        self.counters.get(question)
    }

    #[cfg(test)]
    pub fn counted(&self) -> impl Iterator<Item = (&Question, &Counts)> {
        self.counters.iter()
    }

    pub fn learn(&mut self, question: Question, counts: Counts) {
        if self.counters.len() >= COUNTERS_MAX {
            self.counters.clear();
        }
        self.counters.insert(question, counts);
    }

    /// Terms that placed pods carry, of one sort.
    pub fn carried(&self, counting: Counting) -> impl Iterator<Item = (&PodTerm, &Counts)> {
        let all = self.carried.iter().filter(move |((sort, _), _)| *sort == counting);
        all.map(|((_, term), (_, counts))| (term, counts))
    }

    /// A pod came to (`by` 1) or left (`by` -1) a node with these labels.
    pub fn count(&mut self, pod: &PodNeeds, node: &Labels, namespace: &Labels, by: i64) {
        for ((counting, term), counts) in &mut self.counters {
            if counts_pod(*counting, term, pod, namespace) {
                bump(counts, node.get(&term.topology), by);
            }
        }
        for term in &pod.anti_affinity {
            self.carry((Counting::AntiAffine, term.clone()), node, by, by);
        }
        for (weight, term) in &pod.preferred_pods {
            self.carry((Counting::Preferring, term.clone()), node, by, by * i64::from(*weight));
        }
        // Required affinity also attracts, with upstream's default hard weight of 1.
        for term in &pod.affinity {
            self.carry((Counting::Preferring, term.clone()), node, by, by);
        }
    }

    fn carry(&mut self, question: Question, node: &Labels, by: i64, weight: i64) {
        let topology = question.1.topology.clone();
        let (carriers, counts) = self.carried.entry(question.clone()).or_default();
        *carriers += by;
        bump(counts, node.get(&topology), weight);
        if *carriers <= 0 {
            self.carried.remove(&question);
        }
    }
}

pub fn counts_pod(counting: Counting, term: &PodTerm, pod: &PodNeeds, namespace: &Labels) -> bool {
    let staying = counting != Counting::Staying || !pod.terminating;
    staying && term.matches(&pod.key.namespace, &pod.labels, namespace)
}

pub fn bump(counts: &mut Counts, value: Option<&String>, by: i64) {
    let Some(value) = value else { return };
    let count = counts.entry(value.clone()).or_default();
    *count += by;
    if *count == 0 {
        counts.remove(value);
    }
}
