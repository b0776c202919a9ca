//! Carrying out one operation of a plan.

pub(crate) mod container;
mod grpc;
pub(crate) mod probe;
pub(crate) mod pull;
pub(crate) mod sandbox;
pub(crate) mod token;
pub(crate) mod volumes;

use crate::config::NodeConfig;
use client::Client;
use engine::Engine;
use k8s_openapi::api::core::v1::Pod;
use kubelet::{NodePolicy, PodOp, Sources};
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

/// What operations work with; clones share it.
#[derive(Clone)]
pub(crate) struct Hands {
    pub config: Arc<NodeConfig>,
    pub policy: Arc<NodePolicy>,
    pub engine: Arc<Engine>,
    pub client: Client,
    pub gates: Arc<Gates>,
}

/// How many pods may be brought up side by side. More than the machine has cores for only makes all of them late, and
/// each costs a thread with its memory.
pub(crate) struct Gates {
    sandboxes: Semaphore,
    containers: Semaphore,
}

impl Default for Gates {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { sandboxes: Semaphore::new(cores + 1), containers: Semaphore::new(cores + 1) }
    }
}

impl Gates {
    /// Held while a sandbox is made.
    async fn sandbox(&self) -> Option<SemaphorePermit<'_>> {
        self.sandboxes.acquire().await.ok()
    }

    /// Held while a container whose image is here is made and started.
    pub async fn container(&self) -> Option<SemaphorePermit<'_>> {
        self.containers.acquire().await.ok()
    }
}

/// Why an operation failed: a reason word for statuses and events, and what happened.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub reason: &'static str,
    pub message: String,
}

/// What an operation that went well gives back.
pub(crate) enum Done {
    Nothing,
    /// Events for the user, in order.
    Told(Vec<(&'static str, String)>),
    /// A probe's or hook's own verdict.
    Verdict(Result<(), String>),
}

impl Trouble {
    pub fn new(reason: &'static str, message: impl std::fmt::Display) -> Self {
        Self { reason, message: message.to_string() }
    }
}

impl Hands {
    /// The same hands for work that is not the kubelet's, with the rights of the control plane.
    pub fn acting_as(&self, name: &str) -> Self {
        let identity = meta::Identity {
            name: name.into(),
            groups: vec!["system:masters".into(), "system:authenticated".into()],
            ..meta::Identity::default()
        };
        Self { client: self.client.acting_as(identity, "boxship-node"), ..self.clone() }
    }

    pub fn uid<'a>(&self, pod: &'a Pod) -> &'a str {
        pod.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Does `op` for `pod`.
    pub async fn carry_out(&self, pod: &Pod, op: &PodOp) -> Result<Done, Trouble> {
        let engine = |e: engine::EngineError| Trouble::new("EngineError", e);
        match op {
            PodOp::PrepareVolumes => volumes::prepare(self, pod).await.map(|()| Done::Nothing),
            PodOp::RunSandbox => {
                let _turn = self.gates.sandbox().await;
                sandbox::run(self, pod).await.map(|()| Done::Nothing)
            }
            PodOp::StopSandbox { id } => {
                self.engine.stop_sandbox(id).await.map(|()| Done::Nothing).map_err(engine)
            }
            PodOp::RemoveSandbox { id } => {
                self.engine.remove_sandbox(id).await.map(|()| Done::Nothing).map_err(engine)
            }
            PodOp::StartContainer { name, kind, attempt, crashes } => {
                let start =
                    container::Start { name, kind: *kind, attempt: *attempt, crashes: *crashes };
                container::start(self, pod, &start).await
            }
            PodOp::StopContainer { id, name, grace_secs, pre_stop } => {
                container::stop(self, pod, (id, name), *grace_secs, *pre_stop).await
            }
            PodOp::RemoveContainer { id } => container::remove(self, pod, id).await,
            PodOp::RunHook { id, name, hook } => {
                Ok(Done::Verdict(probe::hook(self, pod, (id, name), *hook).await))
            }
            PodOp::Probe { id, name, kind } => {
                Ok(Done::Verdict(probe::probe(self, pod, (id, name), *kind).await))
            }
            PodOp::Resize { id, name } => container::resize(self, pod, (id, name)).await,
            PodOp::CleanUp => volumes::clean_up(self, pod).await.map(|()| Done::Nothing),
        }
    }

    /// Runs `read` with everything the kubelet's builders may read.
    pub fn with_sources<T>(
        &self,
        pod: &Pod,
        pod_ips: &[String],
        read: impl FnOnce(&Sources<'_>) -> T,
    ) -> T {
        let view = self.client.view();
        read(&Sources { pod, view: &view, policy: &self.policy, pod_ips })
    }
}
