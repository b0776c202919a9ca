//! One pod on a runtime that does at once what it is told.

use crate::{
    ContainerPhase, ContainerSeen, Failure, NodePolicy, PodOp, PodPlan, PodSeen, ProbeKind,
    ProbeSeen, SandboxSeen, VolumesSeen, limits, plan_pod, record_probe, spec_hash,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use meta::{Time, Value};
use serde_json::json;

pub struct World {
    pub pod: Pod,
    pub seen: PodSeen,
    pub now: Time,
    count: u32,
}

pub fn policy() -> NodePolicy {
    NodePolicy {
        node_name: "node".into(),
        host_ips: vec!["192.0.2.1".into()],
        cluster_domain: "cluster.local".into(),
        cluster_dns: vec!["10.96.0.10".into()],
        max_pods: 110,
        allocatable_cpu_milli: 4000,
        allocatable_memory: 8 << 30,
    }
}

pub fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": "p", "namespace": "default", "uid": "u" }, "spec": spec,
    }))
    .unwrap()
}

impl World {
    pub fn new(spec: Value) -> Self {
        Self { pod: pod(spec), seen: PodSeen::default(), now: Time::from_secs(1_000_000), count: 0 }
    }

    /// Plans, and takes the status over as the API would.
    pub fn plan(&mut self) -> PodPlan {
        let plan = plan_pod(&self.pod, &self.seen, &policy(), self.now);
        self.pod.status = Some(plan.status.clone());
        plan
    }

    /// Plans and does what is planned: the operations in short.
    pub fn step(&mut self) -> Vec<String> {
        let plan = self.plan();
        plan.ops.iter().for_each(|op| self.obey(op));
        plan.ops.iter().map(shown).collect()
    }

    /// Steps until nothing more is to be done now.
    pub fn settle(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..50 {
            let ops = self.step();
            if ops.is_empty() {
                return all;
            }
            all.extend(ops);
        }
        panic!("no end: {all:?}");
    }

    fn obey(&mut self, op: &PodOp) {
        self.count += 1;
        let id = self.count.to_string();
        match op {
            PodOp::PrepareVolumes => self.seen.volumes = VolumesSeen::Ready,
            PodOp::CleanUp => self.seen.volumes = VolumesSeen::Absent,
            PodOp::RunSandbox => {
                let ips = vec!["10.0.0.9".into()];
                self.seen.sandboxes.push(SandboxSeen { id, ready: true, ips, created: self.now });
            }
            PodOp::StopSandbox { id } => {
                self.seen
                    .sandboxes
                    .iter_mut()
                    .filter(|s| s.id == *id)
                    .for_each(|s| s.ready = false);
            }
            PodOp::RemoveSandbox { id } => self.seen.sandboxes.retain(|s| s.id != *id),
            PodOp::StartContainer { name, attempt, crashes, .. } => {
                let started = self.started(id, name, (*attempt, *crashes));
                self.seen.containers.push(started);
            }
            PodOp::StopContainer { id, .. } => {
                let name = self.seen.containers.iter().find(|c| c.id == *id).unwrap().name.clone();
                self.exit(&name, 143);
            }
            PodOp::RemoveContainer { id } => self.seen.containers.retain(|c| c.id != *id),
            PodOp::RunHook { id, hook, .. } => {
                self.seen.hooks.insert((id.clone(), *hook), Ok(()));
            }
            PodOp::Probe { .. } => {}
            PodOp::Resize { name, .. } => {
                let spec = self.pod.spec.clone().unwrap();
                let container = spec.containers.iter().find(|c| c.name == *name).unwrap();
                let told = limits(&self.pod, container, &policy());
                self.latest(name).limits = told;
            }
        }
    }

    fn started(&self, id: String, name: &str, (attempt, crashes): (u32, u32)) -> ContainerSeen {
        let spec = self.pod.spec.as_ref().unwrap();
        let mut all = spec.init_containers.iter().flatten().chain(&spec.containers);
        ContainerSeen {
            id,
            name: name.into(),
            sandbox: self.seen.sandboxes.last().unwrap().id.clone(),
            attempt,
            crashes,
            image: String::new(),
            image_id: "sha256:1".into(),
            phase: ContainerPhase::Running,
            created: self.now,
            started: Some(self.now),
            finished: None,
            exit_code: 0,
            oom_killed: false,
            error: String::new(),
            termination_message: String::new(),
            log_tail: String::new(),
            limits: all
                .clone()
                .find(|c| c.name == name)
                .map_or_else(Default::default, |c| limits(&self.pod, c, &policy())),
            spec_hash: all.find(|c| c.name == name).map_or(0, spec_hash),
        }
    }

    pub fn exit(&mut self, name: &str, code: i32) {
        let now = self.now;
        let running = self.latest(name);
        assert_eq!(running.phase, ContainerPhase::Running, "{name}");
        running.phase = ContainerPhase::Exited;
        running.exit_code = code;
        running.finished = Some(now);
    }

    pub fn latest(&mut self, name: &str) -> &mut ContainerSeen {
        self.seen.containers.iter_mut().rev().find(|c| c.name == name).unwrap()
    }

    /// A probe of the container has run.
    pub fn probed(&mut self, name: &str, kind: ProbeKind, ok: bool) {
        let spec = self.pod.spec.clone().unwrap();
        let mut all = spec.init_containers.iter().flatten().chain(&spec.containers);
        let container = all.find(|c| c.name == name).unwrap();
        let probe = match kind {
            ProbeKind::Startup => container.startup_probe.as_ref(),
            ProbeKind::Liveness => container.liveness_probe.as_ref(),
            ProbeKind::Readiness => container.readiness_probe.as_ref(),
        };
        let key = (self.latest(name).id.clone(), kind);
        let outcome = if ok { Ok(()) } else { Err("no".to_string()) };
        let before: Option<&ProbeSeen> = self.seen.probes.get(&key);
        let after = record_probe(before, probe.unwrap(), outcome, self.now);
        self.seen.probes.insert(key, after);
    }

    pub fn fail(&mut self, op: PodOp, reason: &str, message: &str) {
        let count = self.seen.failed.get(&op).map_or(0, |f| f.count) + 1;
        let (reason, message) = (reason.into(), message.into());
        self.seen.failed.insert(op, Failure { reason, message, count, at: self.now });
    }

    pub fn delete(&mut self, grace: i64) {
        self.pod.metadata.deletion_timestamp = Some(typed::api_time(self.now));
        self.pod.metadata.deletion_grace_period_seconds = Some(grace);
    }

    pub fn wait(&mut self, secs: i64) {
        self.now = self.now.plus_secs(secs);
    }

    pub fn phase(&mut self) -> String {
        self.plan().status.phase.unwrap_or_default()
    }

    pub fn condition(&mut self, kind: &str) -> String {
        let all = self.plan().status.conditions.unwrap_or_default();
        let Some(found) = all.into_iter().find(|c| c.type_ == kind) else { return String::new() };
        format!(
            "{} {} {}",
            found.status,
            found.reason.unwrap_or_default(),
            found.message.unwrap_or_default()
        )
        .trim()
        .to_string()
    }

    pub fn status(&mut self, name: &str) -> ContainerStatus {
        let status = self.plan().status;
        let init = status.init_container_statuses.into_iter().flatten();
        init.chain(status.container_statuses.into_iter().flatten())
            .find(|s| s.name == name)
            .unwrap()
    }

    /// `running`, `waiting Reason: message`, `terminated Reason 1`
    pub fn state(&mut self, name: &str) -> String {
        let state = self.status(name).state.unwrap();
        if let Some(waiting) = state.waiting {
            let message = waiting.message.map(|m| format!(": {m}")).unwrap_or_default();
            return format!("waiting {}{message}", waiting.reason.unwrap_or_default());
        }
        match state.terminated {
            Some(t) => format!("terminated {} {}", t.reason.unwrap_or_default(), t.exit_code),
            None => "running".into(),
        }
    }
}

pub fn shown(op: &PodOp) -> String {
    match op {
        PodOp::PrepareVolumes => "volumes".into(),
        PodOp::CleanUp => "clean up".into(),
        PodOp::RunSandbox => "sandbox".into(),
        PodOp::StopSandbox { .. } => "stop sandbox".into(),
        PodOp::RemoveSandbox { .. } => "remove sandbox".into(),
        PodOp::StartContainer { name, attempt, .. } => format!("start {name}#{attempt}"),
        PodOp::StopContainer { name, grace_secs, .. } => format!("stop {name} {grace_secs}s"),
        PodOp::RemoveContainer { .. } => "remove container".into(),
        PodOp::RunHook { name, hook, .. } => format!("{hook:?} {name}"),
        PodOp::Probe { name, kind, .. } => format!("{kind:?} {name}"),
        PodOp::Resize { name, .. } => format!("resize {name}"),
    }
}
