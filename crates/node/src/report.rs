//! Telling the API what became of a pod.

use crate::ops::Hands;
use api::{Call, DeleteOptions, Verb};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use meta::{Gvr, Problem, Reason, Value};
use serde_json::json;
use typed::{Kind, Read};

/// Writes `status` when it says anything new. A conflict is fine: the pod has changed, and the worker plans anew.
pub(crate) async fn status(hands: &Hands, pod: &Pod, status: &PodStatus) -> Result<(), Problem> {
    if pod.status.as_ref() == Some(status) {
        return Ok(());
    }
    let mut whole = pod.clone();
    whole.status = Some(status.clone());
    let mut body = serde_json::to_value(&whole).map_err(Problem::internal)?;
    body["apiVersion"] = "v1".into();
    body["kind"] = "Pod".into();
    let (namespace, name) = names(pod);
    let call = Call::new(Verb::Update(body), Pod::gvr(), namespace, name).on("status");
    hands.client.call(&call).await.map(drop)
}

fn names(pod: &Pod) -> (&str, &str) {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    (namespace, pod.metadata.name.as_deref().unwrap_or_default())
}

/// Removes a pod of which nothing is left here; one that is gone or replaced already is fine.
pub(crate) async fn gone(hands: &Hands, pod: &Pod) -> Result<(), Problem> {
    let options = DeleteOptions {
        grace_secs: Some(0),
        uid: pod.metadata.uid.clone(),
        ..DeleteOptions::default()
    };
    let (namespace, name) = names(pod);
    let call = Call::new(Verb::Delete(options), Pod::gvr(), namespace, name);
    match hands.client.call(&call).await {
        Err(problem) if !matches!(problem.reason, Reason::NotFound | Reason::Conflict) => {
            Err(problem)
        }
        _ => Ok(()),
    }
}

/// An event about the pod; the same one again is counted up. Nobody waits for it, and failing to write it is only
/// logged.
pub(crate) fn event(hands: &Hands, pod: &Pod, event: &Event<'_>) {
    let (namespace, name) = names(pod);
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let event_name =
        format!("{name}.{:016x}", hash(&[uid, event.reason, &event.message, event.field_path]));
    let now = client::now().rfc3339();
    let earlier =
        hands.client.view().read::<k8s_openapi::api::core::v1::Event>(namespace, &event_name);
    let call = match earlier {
        Some(had) => {
            let body = json!({ "count": had.count.unwrap_or(1) + 1, "lastTimestamp": now });
            let patch = api::Patch { kind: api::PatchKind::Merge, body };
            Call::new(Verb::Patch(patch), events(), namespace, &event_name)
        }
        None => Call::new(
            Verb::Create(body(hands, pod, event, &event_name, &now)),
            events(),
            namespace,
            "",
        ),
    };
    let (client, reason) = (hands.client.clone(), event.reason.to_string());
    tokio::spawn(async move {
        if let Err(problem) = client.call(&call).await {
            tracing::debug!(%problem, reason, "event not written");
        }
    });
}

/// What an event says.
pub(crate) struct Event<'a> {
    pub warning: bool,
    pub reason: &'a str,
    pub message: String,
    /// `spec.containers{web}` or nothing.
    pub field_path: &'a str,
}

fn events() -> Gvr {
    Gvr::new("", "v1", "events")
}

fn body(hands: &Hands, pod: &Pod, event: &Event<'_>, name: &str, now: &str) -> Value {
    let (namespace, pod_name) = names(pod);
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "name": name, "namespace": namespace },
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": namespace,
            "name": pod_name,
            "uid": pod.metadata.uid,
            "resourceVersion": pod.metadata.resource_version,
            "fieldPath": event.field_path,
        },
        "type": if event.warning { "Warning" } else { "Normal" },
        "reason": event.reason,
        "message": event.message,
        "source": { "component": "kubelet", "host": hands.config.name },
        "reportingComponent": "kubelet",
        "reportingInstance": hands.config.name,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "eventTime": null,
        "count": 1,
    })
}

/// FNV-1a, 64 bit.
fn hash(parts: &[&str]) -> u64 {
    parts.join("\0").bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
