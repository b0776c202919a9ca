//! A node with what runs on it.

use crate::needs::{Assumed, HostPort, PodNeeds};
use crate::resources::Resources;
use crate::terms::Labels;
use k8s_openapi::api::core::v1::{Node, Taint};
use meta::Quantity;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{Key, Object};

/// A node as plugins see it.
#[derive(Debug, Clone, Default)]
pub struct NodeView {
    pub name: Box<str>,
    pub labels: Labels,
    pub taints: Vec<Taint>,
    pub unschedulable: bool,
    pub allocatable: Resources,
    pub max_pods: i64,
    /// Names of images here with their sizes in bytes.
    pub images: BTreeMap<String, i64>,
    pub requested: Resources,
    pub assumed: Assumed,
    pub pods: BTreeMap<Key, Arc<PodNeeds>>,
    pub ports: BTreeSet<(Key, HostPort)>,
    /// False while pods refer to a node that does not exist.
    pub exists: bool,
}

impl NodeView {
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Takes over what the node object says; what runs here stays.
    pub fn describe(&mut self, object: &Object) {
        let Ok(node) = serde_json::from_slice::<Node>(object.json()) else { return };
        let spec = node.spec.unwrap_or_default();
        let status = node.status.unwrap_or_default();
        let allocatable = status.allocatable.unwrap_or_default();
        self.exists = true;
        self.labels = node.metadata.labels.unwrap_or_default();
        self.taints = spec.taints.unwrap_or_default();
        self.unschedulable = spec.unschedulable.unwrap_or(false);
        let pods = allocatable.get("pods").and_then(|q| Quantity::parse(&q.0).ok());
        self.max_pods = pods.map_or(0, |q| q.value());
        self.allocatable = Resources::of(&allocatable);
        self.images = status
            .images
            .into_iter()
            .flatten()
            .flat_map(|image| {
                let size = image.size_bytes.unwrap_or(0);
                image.names.into_iter().flatten().map(move |name| (name, size))
            })
            .collect();
    }

    pub fn add(&mut self, pod: Arc<PodNeeds>) {
        self.requested.add(&pod.requests);
        self.assumed.cpu += pod.assumed.cpu;
        self.assumed.memory += pod.assumed.memory;
        for port in &pod.ports {
            self.ports.insert((pod.key.clone(), port.clone()));
        }
        self.pods.insert(pod.key.clone(), pod);
    }

    pub fn remove(&mut self, key: &Key) -> Option<Arc<PodNeeds>> {
        let pod = self.pods.remove(key)?;
        self.requested.sub(&pod.requests);
        self.assumed.cpu -= pod.assumed.cpu;
        self.assumed.memory -= pod.assumed.memory;
        for port in &pod.ports {
            self.ports.remove(&(key.clone(), port.clone()));
        }
        Some(pod)
    }

    /// Whether a host port is taken: same protocol and port, and addresses that overlap.
    pub fn has_port(&self, wanted: &HostPort) -> bool {
        let overlaps = |ip: &str| ip == &*wanted.ip || ip == "0.0.0.0" || &*wanted.ip == "0.0.0.0";
        self.ports.iter().any(|(_, port)| {
            port.port == wanted.port && port.protocol == wanted.protocol && overlaps(&port.ip)
        })
    }
}
