//! What users are told when a container begins to wait: once per wait, by what the status said before
//! (events `BackOff` and `Failed` of pkg/kubelet/kuberuntime/kuberuntime_manager.go and images/image_manager.go).

use crate::plan::Sight;
use crate::types::{Note, PodPlan};
use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};

pub(crate) fn of_waits(sight: &Sight<'_>, plan: &mut PodPlan) {
    let before = sight.pod.status.as_ref();
    for now in statuses(&plan.status) {
        let was = before.and_then(|status| statuses(status).find(|s| s.name == now.name));
        let Some(reason) = waits(now).filter(|reason| was.and_then(waits) != Some(reason)) else {
            continue;
        };
        let notes = begun(sight, now, reason);
        plan.notes.extend(notes);
    }
}

fn statuses(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    status.init_container_statuses.iter().chain(&status.container_statuses).flatten()
}

fn waits(status: &ContainerStatus) -> Option<&str> {
    status.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

fn begun(sight: &Sight<'_>, now: &ContainerStatus, reason: &str) -> Vec<Note> {
    let field_path = format!("spec.containers{{{}}}", now.name);
    let note = |warning, reason, message| {
        let field_path = field_path.clone();
        Note { warning, reason, message, field_path }
    };
    match reason {
        "ImagePullBackOff" => {
            let image = sight.wanted().find(|w| w.container.name == now.name);
            let image = image.and_then(|w| w.container.image.as_deref()).unwrap_or_default();
            vec![
                note(false, "BackOff", format!("Back-off pulling image {image:?}")),
                note(true, "Failed", "Error: ImagePullBackOff".into()),
            ]
        }
        "CrashLoopBackOff" => {
            let metadata = &sight.pod.metadata;
            let message = format!(
                "Back-off restarting failed container {} in pod {}_{}({})",
                now.name,
                metadata.name.as_deref().unwrap_or_default(),
                metadata.namespace.as_deref().unwrap_or_default(),
                metadata.uid.as_deref().unwrap_or_default(),
            );
            vec![note(true, "BackOff", message)]
        }
        _ => Vec::new(),
    }
}
