//! Service account tokens for a pod's volumes (pkg/kubelet/token/token_manager.go).

use super::Hands;
use api::{Call, Verb};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kubelet::TokenFile;
use meta::{Problem, Value};
use serde_json::json;
use typed::Kind;

/// A token bound to the pod.
pub(crate) async fn mint(hands: &Hands, pod: &Pod, wanted: &TokenFile) -> Result<String, Problem> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let account = pod.spec.as_ref().and_then(|s| s.service_account_name.as_deref());
    let audiences: Vec<&str> = wanted.audience.as_deref().into_iter().collect();
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": audiences,
            "expirationSeconds": wanted.expiration_secs,
            "boundObjectRef": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": pod.metadata.name,
                "uid": pod.metadata.uid,
            },
        },
    });
    let name = account.filter(|name| !name.is_empty()).unwrap_or("default");
    let call = Call::new(Verb::Create(body), ServiceAccount::gvr(), namespace, name).on("token");
    let answer = hands.client.call(&call).await?;
    let token = answer["status"]["token"].as_str().map(str::to_string);
    token.ok_or_else(|| {
        Problem::internal(format!("no token for {namespace}/{name}: {}", Value::Null))
    })
}
