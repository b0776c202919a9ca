//! The condition that tells why a pod was taken away (KEP 3329).

use crate::calls;
use api::Call;
use k8s_openapi::api::core::v1::Pod;
use meta::Time;
use serde_json::json;

/// Tells the pod that it is about to go.
pub(crate) fn tell(pod: &Pod, reason: &str, message: &str, now: Time) -> Call {
    let condition = json!({
        "type": "DisruptionTarget",
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": now.rfc3339(),
    });
    let body = json!({ "status": { "conditions": [condition] } });
    calls::strategic::<Pod>(&pod.metadata, body).on("status")
}

/// As [`tell`], for a pod that nobody will report the end of.
pub(crate) fn fail(pod: &Pod, reason: &str, message: &str, now: Time) -> Call {
    let Call { verb, resource, namespace, name, subresource, options } =
        tell(pod, reason, message, now);
    let verb = match verb {
        api::Verb::Patch(mut patch) => {
            patch.body["status"]["phase"] = "Failed".into();
            api::Verb::Patch(patch)
        }
        other => other,
    };
    Call { verb, resource, namespace, name, subresource, options }
}
