//! What a pod asks of a node, parsed once.

use crate::resources::Resources;
use crate::terms::{Labels, NodeTerm, PodTerm, Rules};
use k8s_openapi::api::core::v1::{
    Affinity, Container, ObjectReference, Pod, PodSpec, Toleration, TopologySpreadConstraint,
};
use meta::Time;
use std::sync::Arc;
use store::{Key, Object};

/// A pod as the scheduler sees it.
#[derive(Debug, Clone)]
pub struct PodNeeds {
    pub key: Key,
    pub uid: Box<str>,
    pub labels: Labels,
    pub node: Box<str>,
    pub nominated: Box<str>,
    pub scheduler: Box<str>,
    pub priority: i32,
    pub preempts: bool,
    pub created: Time,
    pub started: Option<Time>,
    pub terminating: bool,
    /// Succeeded or Failed: occupies nothing.
    pub finished: bool,
    pub gated: bool,
    pub requests: Resources,
    /// Requests with upstream's assumed minimum for containers that ask for nothing; used for scoring.
    pub assumed: Assumed,
    /// `(protocol, host ip, host port)`
    pub ports: Vec<HostPort>,
    pub selector: Labels,
    /// Required node affinity: any term.
    pub node_terms: Option<Vec<NodeTerm>>,
    pub preferred_nodes: Vec<(i32, NodeTerm)>,
    pub affinity: Vec<PodTerm>,
    pub anti_affinity: Vec<PodTerm>,
    pub preferred_pods: Vec<(i32, PodTerm)>,
    pub tolerations: Vec<Toleration>,
    pub spread: Vec<Spread>,
    /// Images with their tag or digest.
    pub images: Vec<String>,
    pub containers: usize,
    pub claims: Vec<String>,
    pub reference: ObjectReference,
}

/// CPU and memory assumed for scoring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Assumed {
    pub cpu: i64,
    pub memory: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    pub protocol: Box<str>,
    /// `0.0.0.0` for all addresses.
    pub ip: Box<str>,
    pub port: i32,
}

/// A topology spread constraint.
#[derive(Debug, Clone)]
pub struct Spread {
    pub term: PodTerm,
    pub max_skew: i64,
    pub min_domains: i64,
    /// `DoNotSchedule`
    pub hard: bool,
    /// `nodeAffinityPolicy: Honor`
    pub honours_affinity: bool,
    /// `nodeTaintsPolicy: Honor`
    pub honours_taints: bool,
}

/// What a container without requests is assumed to use (pkg/scheduler/util/pod_resources.go).
const ASSUMED_CPU: i64 = 100;
const ASSUMED_MEMORY: i64 = 200 * 1024 * 1024;

impl PodNeeds {
    /// From a stored pod; the typed form is parsed for this and not kept, as most pods are only counted.
    pub fn of(object: &Object) -> Option<Self> {
        let pod: Pod = serde_json::from_slice(object.json()).ok()?;
        let spec = pod.spec.unwrap_or_default();
        let status = pod.status.unwrap_or_default();
        let namespace = object.key.namespace.clone();
        let labels = pod.metadata.labels.unwrap_or_default();
        let affinity = Affinities::of(spec.affinity.as_ref(), &namespace);
        Some(Self {
            key: object.key.clone(),
            uid: object.head.uid.clone(),
            node: spec.node_name.as_deref().unwrap_or_default().into(),
            nominated: status.nominated_node_name.unwrap_or_default().into(),
            scheduler: spec.scheduler_name.as_deref().unwrap_or("default-scheduler").into(),
            priority: spec.priority.unwrap_or(0),
            preempts: spec.preemption_policy.as_deref() != Some("Never"),
            created: object.head.created,
            started: status.start_time.as_ref().map(typed::time),
            terminating: object.head.deleted.is_some(),
            finished: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
            gated: spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()),
            requests: requests(&spec),
            assumed: assumed(&spec),
            ports: ports(&spec),
            selector: spec.node_selector.clone().unwrap_or_default(),
            node_terms: affinity.node_terms,
            preferred_nodes: affinity.preferred_nodes,
            affinity: affinity.required,
            anti_affinity: affinity.anti,
            preferred_pods: affinity.preferred,
            tolerations: spec.tolerations.clone().unwrap_or_default(),
            spread: spread(&spec, &labels, &namespace),
            images: spec
                .containers
                .iter()
                .filter_map(|c| Some(tagged(c.image.as_ref()?)))
                .collect(),
            containers: spec.containers.len() + spec.init_containers.as_ref().map_or(0, Vec::len),
            claims: claims(&spec),
            reference: reference(object),
            labels,
        })
    }

    /// Occupies room on a node.
    pub fn is_placed(&self) -> bool {
        !self.node.is_empty() && !self.finished
    }

    /// When it started, for comparing: pods that have not count as the latest.
    pub fn since(&self) -> Time {
        self.started.unwrap_or(Time(i64::MAX))
    }

    pub fn restricts_nodes(&self) -> bool {
        !self.selector.is_empty() || self.node_terms.is_some()
    }
}

fn reference(object: &Object) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: Some(object.key.namespace.to_string()),
        name: Some(object.key.name.to_string()),
        uid: Some(object.head.uid.to_string()),
        resource_version: Some(object.revision.to_string()),
        ..ObjectReference::default()
    }
}

/// A reference without tag or digest means `latest`.
fn tagged(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains([':', '@']) { image.into() } else { format!("{image}:latest") }
}

fn claims(spec: &PodSpec) -> Vec<String> {
    let volumes = spec.volumes.iter().flatten();
    volumes.filter_map(|v| Some(v.persistent_volume_claim.as_ref()?.claim_name.clone())).collect()
}

#[derive(Default)]
struct Affinities {
    node_terms: Option<Vec<NodeTerm>>,
    preferred_nodes: Vec<(i32, NodeTerm)>,
    required: Vec<PodTerm>,
    anti: Vec<PodTerm>,
    preferred: Vec<(i32, PodTerm)>,
}

impl Affinities {
    fn of(affinity: Option<&Affinity>, namespace: &Arc<str>) -> Self {
        let Some(affinity) = affinity else { return Self::default() };
        let mut out = Self::default();
        if let Some(node) = &affinity.node_affinity {
            let required = node.required_during_scheduling_ignored_during_execution.as_ref();
            out.node_terms =
                required.map(|s| s.node_selector_terms.iter().map(NodeTerm::of).collect());
            let preferred = node.preferred_during_scheduling_ignored_during_execution.iter();
            out.preferred_nodes =
                preferred.flatten().map(|p| (p.weight, NodeTerm::of(&p.preference))).collect();
        }
        let term = |t| PodTerm::of(t, namespace);
        if let Some(pods) = &affinity.pod_affinity {
            let required = pods.required_during_scheduling_ignored_during_execution.iter();
            out.required = required.flatten().map(term).collect();
            let preferred = pods.preferred_during_scheduling_ignored_during_execution.iter();
            out.preferred =
                preferred.flatten().map(|p| (p.weight, term(&p.pod_affinity_term))).collect();
        }
        if let Some(pods) = &affinity.pod_anti_affinity {
            let required = pods.required_during_scheduling_ignored_during_execution.iter();
            out.anti = required.flatten().map(term).collect();
            let preferred = pods.preferred_during_scheduling_ignored_during_execution.iter();
            out.preferred
                .extend(preferred.flatten().map(|p| (-p.weight, term(&p.pod_affinity_term))));
        }
        out
    }
}

fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Sum of containers and sidecars, or what an init container needs beside the sidecars before it if that is
/// more, plus overhead; pod-level requests win (component-helpers resource/helpers.go `PodRequests`).
fn requests(spec: &PodSpec) -> Resources {
    let mut running = Resources::default();
    for container in &spec.containers {
        running.add(&Resources::requests(container.resources.as_ref()));
    }
    let mut sidecars = Resources::default();
    let mut starting = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let mut needs = Resources::requests(container.resources.as_ref());
        if is_sidecar(container) {
            running.add(&needs);
            sidecars.add(&needs);
            starting.max(&sidecars);
        } else {
            needs.add(&sidecars);
            starting.max(&needs);
        }
    }
    running.max(&starting);
    if let Some(whole) = spec.resources.as_ref().and_then(|r| r.requests.as_ref()) {
        let whole_pod = Resources::of(whole);
        running.cpu = if whole.contains_key("cpu") { whole_pod.cpu } else { running.cpu };
        running.memory =
            if whole.contains_key("memory") { whole_pod.memory } else { running.memory };
    }
    running.add(&spec.overhead.as_ref().map(Resources::of).unwrap_or_default());
    running
}

fn assumed(spec: &PodSpec) -> Assumed {
    let mut out = Assumed::default();
    for container in &spec.containers {
        let asked = Resources::requests(container.resources.as_ref());
        out.cpu += if asked.cpu == 0 { ASSUMED_CPU } else { asked.cpu };
        out.memory += if asked.memory == 0 { ASSUMED_MEMORY } else { asked.memory };
    }
    out
}

fn ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars = spec.init_containers.iter().flatten().filter(|c| is_sidecar(c));
    let all = spec.containers.iter().chain(sidecars).flat_map(|c| c.ports.iter().flatten());
    all.filter_map(|port| {
        let number = port.host_port.filter(|number| *number > 0)?;
        let ip = port.host_ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0");
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        Some(HostPort { protocol: protocol.into(), ip: ip.into(), port: number })
    })
    .collect()
}

fn spread(spec: &PodSpec, labels: &Labels, namespace: &str) -> Vec<Spread> {
    let all = spec.topology_spread_constraints.iter().flatten();
    all.map(|constraint| one_spread(constraint, labels, namespace)).collect()
}

fn one_spread(constraint: &TopologySpreadConstraint, labels: &Labels, namespace: &str) -> Spread {
    let keys = constraint.match_label_keys.iter().flatten();
    let extra: Vec<_> =
        keys.filter_map(|key| Some((key.clone(), labels.get(key)?.clone()))).collect();
    let selector = Rules::of(constraint.label_selector.as_ref(), &extra);
    Spread {
        term: PodTerm::local(&constraint.topology_key, selector, namespace),
        max_skew: constraint.max_skew.into(),
        min_domains: constraint.min_domains.unwrap_or(1).into(),
        hard: constraint.when_unsatisfiable == "DoNotSchedule",
        honours_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
        honours_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
    }
}
