//! The pod's next steps (pkg/kubelet/kuberuntime/kuberuntime_manager.go, `computePodActions`).

use crate::backoff;
use crate::containers;
use crate::notes;
use crate::status;
use crate::terminate;
use crate::types::{
    ContainerKind, ContainerPhase, ContainerSeen, NodePolicy, Note, PodOp, PodPlan, PodSeen,
    SandboxSeen, VolumesSeen,
};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use meta::Time;

/// What one plan looks at.
pub(crate) struct Sight<'a> {
    pub pod: &'a Pod,
    pub spec: &'a PodSpec,
    pub seen: &'a PodSeen,
    pub policy: &'a NodePolicy,
    pub now: Time,
}

/// A container of the spec with its role.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub kind: ContainerKind,
    pub container: &'a Container,
}

/// What to do for `pod` now.
pub fn plan_pod(pod: &Pod, seen: &PodSeen, policy: &NodePolicy, now: Time) -> PodPlan {
    let mut plan = PodPlan::default();
    let Some(spec) = &pod.spec else { return plan };
    let sight = Sight { pod, spec, seen, policy, now };
    if sight.is_deleted() {
        terminate::deleted(&sight, &mut plan);
    } else if sight.is_over() || sight.deadline_passed() || status::has_ended(&sight) {
        terminate::over(&sight, &mut plan);
    } else {
        run(&sight, &mut plan);
    }
    if let Some(deadline) = sight.deadline().filter(|at| *at > now) {
        sight.wake(&mut plan, deadline);
    }
    plan.status = status::report(&sight);
    notes::of_waits(&sight, &mut plan);
    plan
}

fn run(sight: &Sight<'_>, plan: &mut PodPlan) {
    if sight.seen.volumes == VolumesSeen::Absent {
        return sight.ask(plan, PodOp::PrepareVolumes);
    }
    let Some(sandbox) = sight.sandbox() else {
        return renew_sandbox(sight, plan);
    };
    containers::run(sight, sandbox, plan);
    forget_old_attempts(sight, plan);
}

/// A sandbox that died takes its containers with it; a new one is made when something is left to run.
fn renew_sandbox(sight: &Sight<'_>, plan: &mut PodPlan) {
    for dead in sight.seen.sandboxes.iter().filter(|s| !s.ready) {
        let running =
            |c: &&ContainerSeen| c.sandbox == dead.id && c.phase == ContainerPhase::Running;
        for container in sight.seen.containers.iter().filter(running) {
            sight.ask(plan, sight.stop(container, 0, false));
        }
    }
    if containers::something_to_run(sight) {
        sight.ask(plan, PodOp::RunSandbox);
    }
}

/// The attempt before the latest stays for `kubectl logs --previous`; older ones go.
fn forget_old_attempts(sight: &Sight<'_>, plan: &mut PodPlan) {
    for old in &sight.seen.containers {
        let latest = sight.latest(&old.name).map_or(0, |c| c.attempt);
        if old.phase == ContainerPhase::Exited && old.attempt + 1 < latest {
            sight.ask(plan, PodOp::RemoveContainer { id: old.id.clone() });
        }
    }
}

impl<'a> Sight<'a> {
    pub fn is_deleted(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }

    /// The API already says so; a phase never goes back.
    pub fn is_over(&self) -> bool {
        let phase = self.pod.status.as_ref().and_then(|s| s.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    }

    /// When `activeDeadlineSeconds` ends the pod.
    pub fn deadline(&self) -> Option<Time> {
        let secs = self.spec.active_deadline_seconds?;
        let started = self.pod.status.as_ref()?.start_time.as_ref().map(typed::time)?;
        Some(started.plus_secs(secs))
    }

    pub fn deadline_passed(&self) -> bool {
        self.deadline().is_some_and(|at| at <= self.now)
    }

    /// The newest sandbox, when it is up.
    pub fn sandbox(&self) -> Option<&'a SandboxSeen> {
        self.seen.sandboxes.last().filter(|s| s.ready)
    }

    /// Containers in the order they start.
    pub fn wanted(&self) -> impl Iterator<Item = Wanted<'a>> + use<'a> {
        let init = self.spec.init_containers.iter().flatten().map(|container| Wanted {
            kind: match container.restart_policy.as_deref() {
                Some("Always") => ContainerKind::Sidecar,
                _ => ContainerKind::Init,
            },
            container,
        });
        let app = |container| Wanted { kind: ContainerKind::App, container };
        init.chain(self.spec.containers.iter().map(app))
    }

    /// The newest attempt of a container.
    pub fn latest(&self, name: &str) -> Option<&'a ContainerSeen> {
        self.seen.containers.iter().filter(|c| c.name == name).max_by_key(|c| c.attempt)
    }

    pub fn grace_secs(&self) -> i64 {
        let deleted = self.pod.metadata.deletion_grace_period_seconds;
        deleted.or(self.spec.termination_grace_period_seconds).unwrap_or(30)
    }

    pub fn stop(&self, container: &ContainerSeen, grace_secs: i64, pre_stop: bool) -> PodOp {
        let (id, name) = (container.id.clone(), container.name.clone());
        PodOp::StopContainer { id, name, grace_secs, pre_stop }
    }

    /// Asks for an operation unless it is under way or has failed so recently that it must wait.
    pub fn ask(&self, plan: &mut PodPlan, op: PodOp) {
        if self.seen.under_way.contains(&op) || plan.ops.contains(&op) {
            return;
        }
        if let Some(failure) = self.seen.failed.get(&op) {
            let at = backoff::retry_at(&op, failure);
            if at > self.now {
                let told = backoff::told_at(failure);
                return self.wake(plan, if told > self.now { told } else { at });
            }
        }
        plan.ops.push(op);
    }

    pub fn wake(&self, plan: &mut PodPlan, at: Time) {
        plan.wake = Some(plan.wake.map_or(at, |earlier| earlier.min(at)));
    }

    pub fn note(&self, plan: &mut PodPlan, reason: &'static str, message: String, container: &str) {
        let field_path = match container {
            "" => String::new(),
            name => format!("spec.containers{{{name}}}"),
        };
        let warning = matches!(
            reason,
            "BackOff" | "Unhealthy" | "Failed" | "ProbeWarning" | "DeadlineExceeded"
        );
        plan.notes.push(Note { warning, reason, message, field_path });
    }
}
