//! Service account tokens for a pod's volumes (pkg/kubelet/token/token_manager.go).

use super::Hands;
use api::{Call, Verb};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kubelet::TokenFile;
use meta::{Problem, Time, Value};
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

/// When a token is to be replaced: after four fifths of its life, or a day. `None` for what is no token.
pub(crate) fn due(token: &[u8]) -> Option<Time> {
    const DAY: i64 = 24 * 3600;
    let payload = token.split(|byte| *byte == b'.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let (issued, expires) = (claims["iat"].as_i64()?, claims["exp"].as_i64()?);
    let keep = (expires.saturating_sub(issued) / 5 * 4).min(DAY);
    Some(Time(issued.saturating_add(keep).saturating_mul(1_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_replaced_in_time() {
        let token = |claims: &str| format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims));
        let due_secs = |claims: &str| due(token(claims).as_bytes()).map(|at| at.0 / 1_000_000);
        assert_eq!(due_secs(r#"{"iat":1000,"exp":2000}"#), Some(1800));
        assert_eq!(due_secs(r#"{"iat":0,"exp":31536000}"#), Some(86400));
        assert_eq!(due(b"no token"), None);
    }
}
