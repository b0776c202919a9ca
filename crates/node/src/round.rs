//! The node's main task: which pods are of concern here, and who looks after each.

use crate::config::NodeConfig;
use crate::labels::{POD_NAME, POD_NAMESPACE, POD_UID};
use crate::meter::Meter;
use crate::network::{Network, ingress};
use crate::ops::Hands;
use crate::register::{self, Machine};
use crate::storage;
use crate::streams::Streams;
use crate::worker::{self, Bell};
use client::Client;
use engine::Engine;
use engine::pod::PodFilter;
use k8s_openapi::api::core::v1::Pod;
use kubelet::NodePolicy;
use meta::{Problem, Resource};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Key, Object};
use tokio::task::JoinSet;
use typed::Kind;

/// A running node; dropping it stops looking after pods, which keep running.
pub struct Node {
    tasks: JoinSet<()>,
    streams: Streams,
    meter: Meter,
}

impl Node {
    /// Registers the node and starts looking after its pods.
    ///
    /// # Errors
    /// When the node cannot be registered.
    pub async fn start(
        config: NodeConfig,
        client: Client,
        engine: Arc<Engine>,
    ) -> Result<Self, Problem> {
        let machine = Machine::of_host(&config.data_dir);
        register::register(&client, &config, &machine).await?;
        let policy = policy(&config, &machine);
        let hands = Hands {
            config: Arc::new(config),
            policy: Arc::new(policy),
            engine,
            client: client.clone(),
            gates: Arc::default(),
        };
        let meter = Meter::new(hands.engine.clone(), &hands.config.name);
        let streams = Streams::new(hands.clone());
        let network = Network::open(hands.acting_as("system:boxship:network")).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(network.run());
        tasks.spawn(ingress::run(hands.acting_as("system:boxship:ingress")));
        tasks.spawn(storage::run(hands.acting_as("system:boxship:storage")));
        tasks.spawn(register::heartbeat(client, hands.config.name.clone(), hands.engine.clone()));
        tasks.spawn(rounds(hands));
        Ok(Self { tasks, streams, meter })
    }

    /// Clients' ways into its pods.
    pub fn streams(&self) -> Streams {
        self.streams.clone()
    }

    /// What its pods and it use.
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// Ends looking after pods.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

fn policy(config: &NodeConfig, machine: &Machine) -> NodePolicy {
    NodePolicy {
        node_name: config.name.clone(),
        host_ips: vec![config.address.clone()],
        cluster_domain: config.cluster_domain.clone(),
        cluster_dns: vec![config.cluster_dns.clone()],
        max_pods: config.max_pods,
        allocatable_cpu_milli: i64::try_from(machine.cpus).unwrap_or(1) * 1000,
        allocatable_memory: machine.memory_bytes,
    }
}

/// Workers by the pod's uid.
struct Workers {
    hands: Hands,
    bells: BTreeMap<String, Bell>,
    running: JoinSet<String>,
}

/// Objects that pods' volumes and environment are made of.
const SOURCES: [&str; 2] = ["configmaps", "secrets"];

async fn rounds(hands: Hands) {
    let mut workers = Workers { hands, bells: BTreeMap::new(), running: JoinSet::new() };
    let store = workers.hands.client.store().clone();
    let mut subscription = store.subscribe();
    let mut seen = workers.relist();
    loop {
        tokio::select! {
            _ = subscription.past(seen) => seen = workers.intake(seen),
            Some(ended) = workers.running.join_next() => workers.ended(ended),
        }
    }
}

impl Workers {
    /// Every pod of this node, and every sandbox whose pod is gone.
    fn relist(&mut self) -> u64 {
        let view = self.hands.client.view();
        for object in view.by_field(&Pod::resource(), "spec.nodeName", &self.hands.config.name) {
            self.ensure(object);
        }
        for sandbox in self.hands.engine.list_sandboxes(&PodFilter::default()) {
            let label = |key: &str| sandbox.spec.labels.get(key).cloned().unwrap_or_default();
            let (uid, key) = (label(POD_UID), Pod::key(&label(POD_NAMESPACE), &label(POD_NAME)));
            let known = view.get(&key).is_some_and(|pod| *pod.head.uid == *uid);
            if !uid.is_empty() && !known {
                self.remove_leftover(&sandbox.id);
            }
        }
        let known = |uid: &str| {
            self.bells.contains_key(uid)
                || view
                    .by_field(&Pod::resource(), "spec.nodeName", &self.hands.config.name)
                    .any(|pod| *pod.head.uid == *uid)
        };
        crate::ops::volumes::sweep(&self.hands, known);
        view.revision()
    }

    /// A sandbox whose pod was deleted while nobody looked.
    fn remove_leftover(&mut self, sandbox: &str) {
        let (engine, id) = (self.hands.engine.clone(), sandbox.to_string());
        self.running.spawn(async move {
            if let Err(error) = engine.remove_sandbox(&id).await {
                tracing::warn!(%error, sandbox = %id, "a leftover sandbox cannot be removed");
            }
            String::new()
        });
    }

    fn intake(&mut self, seen: u64) -> u64 {
        let view = self.hands.client.view();
        let Ok(changes) = view.changes(seen) else { return self.relist() };
        for change in changes.iter() {
            let resource = &change.after.key.resource;
            if *resource == Pod::resource() {
                self.pod_changed(&change.after);
            } else if SOURCES.contains(&resource.as_str()) {
                self.source_changed(resource, &change.after.key);
            }
        }
        changes.up_to().max(seen)
    }

    fn pod_changed(&mut self, object: &Arc<Object>) {
        if let Some(bell) = self.bells.get(&*object.head.uid) {
            bell.ring();
        } else if object.field("spec.nodeName") == Some(&self.hands.config.name) {
            self.ensure(object);
        }
    }

    /// Pods of the namespace look whether their volumes are made of it.
    fn source_changed(&mut self, _resource: &Resource, key: &Key) {
        let view = self.hands.client.view();
        for object in view.by_field(&Pod::resource(), "spec.nodeName", &self.hands.config.name) {
            let Some(bell) = self.bells.get(&*object.head.uid) else { continue };
            if object.key.namespace == key.namespace && mentions(object, &key.name) {
                bell.ring();
            }
        }
    }

    fn ensure(&mut self, object: &Arc<Object>) {
        let uid = object.head.uid.to_string();
        if self.bells.contains_key(&uid) {
            return;
        }
        let bell = Bell::default();
        self.bells.insert(uid.clone(), bell.clone());
        let (hands, key) = (self.hands.clone(), object.key.clone());
        self.running.spawn(async move {
            worker::run(hands, key, uid.clone(), bell).await;
            uid
        });
    }

    fn ended(&mut self, ended: Result<String, tokio::task::JoinError>) {
        match ended {
            Ok(uid) => drop(self.bells.remove(&uid)),
            Err(error) => tracing::error!(%error, "a pod's worker panicked"),
        }
    }
}

/// A cheap look at the stored text: a false hit only costs a look at the volumes.
fn mentions(pod: &Object, name: &str) -> bool {
    let needle = format!("\"{name}\"");
    pod.json().windows(needle.len()).any(|window| window == needle.as_bytes())
}
