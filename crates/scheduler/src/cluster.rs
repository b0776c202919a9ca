//! The incremental picture: nodes with their pods, namespaces' labels, counters.

use crate::needs::PodNeeds;
use crate::node::NodeView;
use crate::tally::{Counting, Counts, Question, Tally, bump, counts_pod};
use crate::terms::{Labels, PodTerm};
use meta::Resource;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Change, Key, Object};

/// Nodes, and pods that occupy them.
#[derive(Clone, Default)]
pub struct Cluster {
    nodes: Vec<NodeView>,
    existing: usize,
    by_name: BTreeMap<Box<str>, usize>,
    /// Where each placed pod is.
    placed: BTreeMap<Key, Box<str>>,
    namespaces: BTreeMap<String, Labels>,
    pub(crate) tally: Tally,
    /// Nodes per value of the topology labels somebody asked about.
    domains: BTreeMap<String, Counts>,
    /// How many nodes have an image, by its name.
    images: BTreeMap<String, usize>,
    /// Pods that preempted others and wait for room, by node.
    nominated: BTreeMap<Box<str>, BTreeMap<Key, Arc<PodNeeds>>>,
}

impl Cluster {
    pub fn nodes(&self) -> &[NodeView] {
        &self.nodes
    }

    pub fn node(&self, name: &str) -> Option<&NodeView> {
        self.by_name.get(name).map(|at| &self.nodes[*at])
    }

    /// Where in [`Cluster::nodes`] the node is.
    pub(crate) fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// How many nodes have the image.
    pub(crate) fn having(&self, image: &str) -> usize {
        self.images.get(image).copied().unwrap_or(0)
    }

    /// How many nodes there are, without placeholders for nodes that pods only mention.
    pub fn size(&self) -> usize {
        self.existing
    }

    pub fn namespace(&self, name: &str) -> &Labels {
        static NONE: Labels = Labels::new();
        self.namespaces.get(name).unwrap_or(&NONE)
    }

    pub fn namespace_changed(&mut self, change: &Change) {
        let name = change.after.key.name.to_string();
        let before = self.namespace(&name).clone();
        if change.deletion {
            self.namespaces.remove(&name);
        } else {
            self.namespaces.insert(name.clone(), labels(&change.after));
        }
        let changed = before != *self.namespace(&name);
        if changed && self.placed.keys().any(|pod| *pod.namespace == *name) {
            self.recount();
        }
    }

    // === nodes ===

    pub fn node_changed(&mut self, change: &Change) {
        let name = &change.after.key.name;
        if change.deletion {
            return self.remove_node(name);
        }
        let at = self.place_for(name);
        let before = self.nodes[at].labels.clone();
        let known = self.nodes[at].exists;
        self.count_images(at, false);
        self.nodes[at].describe(&change.after);
        self.count_images(at, true);
        if !known {
            self.existing += 1;
            self.count_domains(at, 1);
        } else if before != self.nodes[at].labels {
            self.domains.clear();
        }
        if before != self.nodes[at].labels && !self.nodes[at].pods.is_empty() {
            self.recount();
        }
    }

    fn count_images(&mut self, at: usize, come: bool) {
        for image in self.nodes[at].images.keys() {
            let count = self.images.entry(image.clone()).or_default();
            *count = if come { *count + 1 } else { count.saturating_sub(1) };
        }
        if !come {
            self.images.retain(|_, count| *count > 0);
        }
    }

    fn place_for(&mut self, name: &str) -> usize {
        if let Some(at) = self.by_name.get(name) {
            return *at;
        }
        self.nodes.push(NodeView::named(name));
        self.by_name.insert(name.into(), self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// Pods may outlive their node for a while; the node stays as a placeholder until they are gone.
    fn remove_node(&mut self, name: &str) {
        let Some(&at) = self.by_name.get(name) else { return };
        self.existing -= usize::from(self.nodes[at].exists);
        self.count_domains(at, -1);
        self.count_images(at, false);
        let gone = std::mem::replace(&mut self.nodes[at], NodeView::named(name));
        for pod in gone.pods.values() {
            self.nodes[at].add(pod.clone());
        }
        self.drop_placeholder(name);
        if !gone.pods.is_empty() {
            self.recount();
        }
    }

    fn drop_placeholder(&mut self, name: &str) {
        let Some(&at) = self.by_name.get(name) else { return };
        if self.nodes[at].exists || !self.nodes[at].pods.is_empty() {
            return;
        }
        self.nodes.swap_remove(at);
        self.by_name.remove(name);
        if let Some(moved) = self.nodes.get(at) {
            self.by_name.insert(moved.name.clone(), at);
        }
    }

    // === pods ===

    /// The pod occupies its node from now on (it may have been assumed there before).
    pub fn place(&mut self, pod: Arc<PodNeeds>) {
        self.displace(&pod.key);
        let at = self.place_for(&pod.node);
        self.placed.insert(pod.key.clone(), pod.node.clone());
        let (labels, namespace) =
            (self.nodes[at].labels.clone(), self.namespace(&pod.key.namespace).clone());
        self.tally.count(&pod, &labels, &namespace, 1);
        self.nodes[at].add(pod);
    }

    /// The pod occupies nothing any more. Returns whether it did.
    pub fn displace(&mut self, key: &Key) -> bool {
        let Some(name) = self.placed.remove(key) else { return false };
        let Some(&at) = self.by_name.get(&name) else { return false };
        if let Some(pod) = self.nodes[at].remove(key) {
            let (labels, namespace) =
                (self.nodes[at].labels.clone(), self.namespace(&key.namespace).clone());
            self.tally.count(&pod, &labels, &namespace, -1);
        }
        self.drop_placeholder(&name);
        true
    }

    /// Keeps room for the pod on its nominated node. Returns whether it gave up room elsewhere.
    pub fn nominate(&mut self, pod: Arc<PodNeeds>) -> bool {
        let before = self.withdraw(&pod.key);
        if pod.nominated.is_empty() {
            return before;
        }
        let here = self.nominated.entry(pod.nominated.clone()).or_default();
        here.insert(pod.key.clone(), pod);
        false
    }

    /// Returns whether room was kept for the pod.
    pub fn withdraw(&mut self, key: &Key) -> bool {
        let mut kept = false;
        self.nominated.retain(|_, pods| {
            kept |= pods.remove(key).is_some();
            !pods.is_empty()
        });
        kept
    }

    /// Pods nominated to a node that `pod` must leave room for.
    pub fn nominated(&self, node: &str, pod: &PodNeeds) -> Vec<Arc<PodNeeds>> {
        let pods = self.nominated.get(node).into_iter().flat_map(BTreeMap::values);
        pods.filter(|n| n.priority >= pod.priority && n.key != pod.key).cloned().collect()
    }

    // === counters ===

    /// Makes sure the counters for these questions exist.
    pub fn learn(&mut self, questions: &[Question]) {
        for question in questions {
            if self.tally.get(question).is_none() {
                let counts = self.count_all(question);
                self.tally.learn(question.clone(), counts);
            }
        }
    }

    fn count_all(&self, (counting, term): &Question) -> Counts {
        let mut counts = Counts::new();
        for node in &self.nodes {
            let value = node.labels.get(&term.topology);
            let matching = node
                .pods
                .values()
                .filter(|pod| counts_pod(*counting, term, pod, self.namespace(&pod.key.namespace)));
            bump(&mut counts, value, i64::try_from(matching.count()).unwrap_or(i64::MAX));
        }
        counts
    }

    /// Pods per place that match `term`.
    pub fn matching(&self, counting: Counting, term: &PodTerm) -> Option<&Counts> {
        self.tally.get(&(counting, term.clone()))
    }

    /// Labels moved under the pods: count anew when asked.
    fn recount(&mut self) {
        self.tally = Tally::default();
        for at in 0..self.nodes.len() {
            let node = self.nodes[at].labels.clone();
            for pod in self.nodes[at].pods.values().cloned().collect::<Vec<_>>() {
                let namespace = self.namespace(&pod.key.namespace).clone();
                self.tally.count(&pod, &node, &namespace, 1);
            }
        }
    }

    /// Makes sure nodes are counted by these topology labels.
    pub fn learn_domains(&mut self, topologies: impl Iterator<Item = String>) {
        for topology in topologies {
            if !self.domains.contains_key(&topology) {
                let mut counts = Counts::new();
                for node in self.nodes.iter().filter(|node| node.exists) {
                    bump(&mut counts, node.labels.get(&topology), 1);
                }
                self.domains.insert(topology, counts);
            }
        }
    }

    /// Values of a topology label with how many nodes have them.
    pub fn domains(&self, topology: &str) -> Option<&Counts> {
        self.domains.get(topology)
    }

    fn count_domains(&mut self, at: usize, by: i64) {
        for (topology, counts) in &mut self.domains {
            bump(counts, self.nodes[at].labels.get(topology), by);
        }
    }
}

fn labels(object: &Object) -> Labels {
    object.head.labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

pub(crate) fn is(resource: &Resource, plural: &str) -> bool {
    resource.as_str() == plural
}
