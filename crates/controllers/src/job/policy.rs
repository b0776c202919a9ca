//! What a failed pod means for its job (pod_failure_policy.go).

use super::Work;
use crate::{calls, pods};
use k8s_openapi::api::batch::v1::{
    PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// The first rule that matches decides; without one the failure counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    Counts,
    Ignored,
    FailsIndex,
    /// Why.
    FailsJob(String),
}

pub(super) fn meaning(work: &Work<'_>, pod: &Pod) -> Meaning {
    let Some(policy) = &work.spec.pod_failure_policy else { return Meaning::Counts };
    // A pod that is merely on its way out has no outcome yet.
    if pods::phase(pod) != "Failed" {
        return Meaning::Counts;
    }
    for (at, rule) in policy.rules.iter().enumerate() {
        let by_code = rule.on_exit_codes.as_ref().and_then(|r| by_exit_code(r, pod));
        let by_condition = || by_condition(rule.on_pod_conditions.as_deref()?, pod);
        let Some(why) = by_code.or_else(by_condition) else { continue };
        let action = rule.action.as_str();
        return match action {
            "Ignore" => Meaning::Ignored,
            "FailIndex" if work.spec.backoff_limit_per_index.is_some() => Meaning::FailsIndex,
            "FailJob" => Meaning::FailsJob(format!("{why} matching {action} rule at index {at}")),
            _ => Meaning::Counts,
        };
    }
    Meaning::Counts
}

fn by_exit_code(rule: &PodFailurePolicyOnExitCodesRequirement, pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let named = all.filter(|c| rule.container_name.as_ref().is_none_or(|name| *name == c.name));
    let mut failed = named.filter_map(|c| Some((c, exit_code(c)?)));
    let (container, code) = failed.find(|(_, code)| match rule.operator.as_str() {
        "In" => rule.values.contains(code),
        "NotIn" => !rule.values.contains(code),
        _ => false,
    })?;
    let (namespace, name) = (calls::namespace(&pod.metadata), calls::name(&pod.metadata));
    let container = &container.name;
    Some(format!("Container {container} for pod {namespace}/{name} failed with exit code {code}"))
}

/// Of a container that has failed.
fn exit_code(container: &ContainerStatus) -> Option<i32> {
    let ended = container.state.as_ref()?.terminated.as_ref()?;
    (ended.exit_code != 0).then_some(ended.exit_code)
}

fn by_condition(patterns: &[PodFailurePolicyOnPodConditionsPattern], pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|condition| {
        patterns.iter().any(|pattern| {
            let status = pattern.status.as_deref().unwrap_or("True");
            pattern.type_ == condition.type_ && status == condition.status
        })
    })?;
    let (namespace, name) = (calls::namespace(&pod.metadata), calls::name(&pod.metadata));
    Some(format!("Pod {namespace}/{name} has condition {}", found.type_))
}
