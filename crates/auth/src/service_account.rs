//! Service-account tokens: what their claims say and whether that still holds
//! (upstream `pkg/serviceaccount/{claims,jwt}.go`).

use crate::escalation::quoted;
use crate::json::text;
use crate::jwt;
use crate::keys::TokenKeys;
use meta::{Identity, Resource, Time, Value};
use store::{Key, Object, View};

pub const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
const NODE_UID: &str = "authentication.kubernetes.io/node-uid";

/// Clocks may differ by this much, and a deleted object's tokens stay valid this long.
const LEEWAY_SECS: i64 = 60;

/// A name and uid in the claims; both empty when absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reference {
    pub name: String,
    pub uid: String,
}

/// The verified claims of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub issuer: String,
    pub audiences: Vec<String>,
    pub expires: Option<i64>,
    pub not_before: Option<i64>,
    pub id: String,
    pub namespace: String,
    pub account: Reference,
    pub pod: Reference,
    pub secret: Reference,
    pub node: Reference,
}

impl Claims {
    fn parse(claims: &Value) -> Self {
        let own = claims.get("kubernetes.io").unwrap_or(&Value::Null);
        let reference = |kind: &str| Reference {
            name: text(own, &format!("/{kind}/name")).into(),
            uid: text(own, &format!("/{kind}/uid")).into(),
        };
        let seconds = |name: &str| claims.get(name).and_then(Value::as_f64).map(|s| s as i64);
        Self {
            issuer: text(claims, "/iss").into(),
            audiences: audiences(claims),
            expires: seconds("exp"),
            not_before: seconds("nbf"),
            id: text(claims, "/jti").into(),
            namespace: text(own, "/namespace").into(),
            account: reference("serviceaccount"),
            pod: reference("pod"),
            secret: reference("secret"),
            node: reference("node"),
        }
    }

    fn check_time(&self, now: Time) -> Result<(), String> {
        if self.expires.is_none_or(|at| now.secs() > at + LEEWAY_SECS) {
            return Err("service account token has expired".into());
        }
        if self.not_before.is_some_and(|at| now.secs() < at - LEEWAY_SECS) {
            return Err("service account token is not valid yet".into());
        }
        Ok(())
    }

    /// Everything the token is bound to must exist with the same uid.
    fn check_bound(&self, view: &View, now: Time) -> Result<(), String> {
        let (namespace, name) = (&self.namespace, &self.account.name);
        let account = object(view, "serviceaccounts", namespace, name)
            .ok_or_else(|| format!("serviceaccounts {name:?} not found"))?;
        if gone(account, now) {
            return Err(format!("service account {namespace}/{name} has been deleted"));
        }
        if *account.head.uid != *self.account.uid {
            let (is, was) = (&account.head.uid, &self.account.uid);
            return Err(format!("service account UID ({is}) does not match claim ({was})"));
        }
        self.check_object(view, now, "secrets", "secret", &self.secret)?;
        self.check_object(view, now, "pods", "pod", &self.pod)?;
        if self.pod.name.is_empty() {
            self.check_object(view, now, "nodes", "node", &self.node)?;
        }
        Ok(())
    }

    fn check_object(
        &self,
        view: &View,
        now: Time,
        resource: &str,
        kind: &str,
        claimed: &Reference,
    ) -> Result<(), String> {
        if claimed.name.is_empty() {
            return Ok(());
        }
        let namespace = if kind == "node" { "" } else { self.namespace.as_str() };
        let found = object(view, resource, namespace, &claimed.name).filter(|o| !gone(o, now));
        let found = found.ok_or("service account token has been invalidated")?;
        if *found.head.uid != *claimed.uid {
            let kind = if kind == "pod" { "Pod" } else { kind };
            let (is, was) = (&found.head.uid, &claimed.uid);
            let lower = kind.to_lowercase();
            return Err(format!(
                "{kind} UID ({is}) does not match service account {lower} ref claim ({was})"
            ));
        }
        Ok(())
    }

    fn identity(&self) -> Identity {
        let mut who = Identity::service_account(&self.namespace, &self.account.name);
        who.groups.retain(|g| g != "system:authenticated");
        who.uid.clone_from(&self.account.uid);
        let mut extra = |key: &str, value: &str| {
            if !value.is_empty() {
                who.extra.insert(key.into(), vec![value.into()]);
            }
        };
        extra(POD_NAME, &self.pod.name);
        extra(POD_UID, &self.pod.uid);
        extra(NODE_NAME, &self.node.name);
        extra(NODE_UID, &self.node.uid);
        if !self.id.is_empty() {
            extra(CREDENTIAL_ID, &format!("JTI={}", self.id));
        }
        who
    }
}

fn audiences(claims: &Value) -> Vec<String> {
    match claims.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        _ => crate::json::strings(claims, "/aud"),
    }
}

fn object<'a>(view: &'a View, resource: &str, namespace: &str, name: &str) -> Option<&'a Object> {
    view.get(&Key::new(&Resource::new("", resource), namespace, name)).map(|o| &**o)
}

fn gone(object: &Object, now: Time) -> bool {
    object.head.deleted.is_some_and(|at| at < now.plus_secs(-LEEWAY_SECS))
}

/// Whether `token` claims to be one of ours; other authenticators are asked otherwise.
pub fn is_ours(keys: &TokenKeys, token: &str) -> bool {
    jwt::peek(token).is_some_and(|claims| text(&claims, "/iss") == keys.issuer)
}

/// The identity of a service-account token and the audiences it shares with `wanted`.
///
/// # Errors
/// Why the token does not hold, in upstream's words.
pub fn service_account_identity(
    keys: &TokenKeys,
    token: &str,
    wanted: &[String],
    view: &View,
    now: Time,
) -> Result<(Identity, Vec<String>), String> {
    let claims = jwt::verify(keys, token).ok_or("invalid bearer token")?;
    let claims = Claims::parse(&claims);
    let shared: Vec<_> = claims.audiences.iter().filter(|a| wanted.contains(a)).cloned().collect();
    if shared.is_empty() {
        return Err(format!(
            "token audiences {} is invalid for the target audiences {}",
            quoted(&claims.audiences),
            quoted(wanted)
        ));
    }
    claims.check_time(now)?;
    claims.check_bound(view, now)?;
    Ok((claims.identity(), shared))
}
