//! `serviceaccounts/token`: checks a TokenRequest, then mints
//! (upstream `pkg/registry/core/serviceaccount/storage/token.go`).

use crate::json::{strings, text};
use crate::jwt;
use crate::keys::TokenKeys;
use meta::{Fault, Map, Problem, Resource, Time, Value};
use serde_json::json;
use store::{Key, Object, View};

const MIN_SECS: i64 = 600;
const MAX_SECS: i64 = 1 << 32;
/// What projected volumes of old manifests ask for; such tokens live longer and carry `warnafter`.
const WARN_SECS: i64 = 3607;
/// `--service-account-extend-token-expiration`: one year.
const EXTENDED_SECS: i64 = 365 * 24 * 3600;

/// A checked request, ready to be signed.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenPlan {
    namespace: String,
    account: Bound,
    pod: Option<Bound>,
    secret: Option<Bound>,
    node: Option<Bound>,
    audiences: Vec<String>,
    seconds: i64,
    request: Value,
}

/// An object a token is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    pub name: String,
    pub uid: String,
}

impl Bound {
    fn of(object: &Object) -> Self {
        Self { name: object.key.name.to_string(), uid: object.head.uid.to_string() }
    }

    fn to_value(&self) -> Value {
        json!({ "name": self.name, "uid": self.uid })
    }
}

/// Checks `request` for the stored ServiceAccount `account`; `audiences` are the server's own.
///
/// # Errors
/// What the client is told: bad lifetime, unknown or foreign bound object.
pub fn plan_token(
    account: &Object,
    request: &Value,
    audiences: &[String],
    view: &View,
) -> Result<TokenPlan, Problem> {
    let seconds =
        request.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or(3600);
    check_lifetime(account, seconds)?;
    let asked = strings(request, "/spec/audiences");
    let mut plan = TokenPlan {
        namespace: account.key.namespace.to_string(),
        account: Bound::of(account),
        pod: None,
        secret: None,
        node: None,
        audiences: if asked.is_empty() { audiences.to_vec() } else { asked },
        seconds,
        request: request.clone(),
    };
    if let Some(reference) = request.pointer("/spec/boundObjectRef").filter(|r| r.is_object()) {
        bind(&mut plan, reference, view)?;
    }
    Ok(plan)
}

fn check_lifetime(account: &Object, seconds: i64) -> Result<(), Problem> {
    let path = "spec.expirationSeconds";
    let fault = match seconds {
        s if s < MIN_SECS => "may not specify a duration less than 10 minutes",
        s if s > MAX_SECS => "may not specify a duration larger than 2^32 seconds",
        _ => return Ok(()),
    };
    let fault = Fault::invalid(path, seconds, fault);
    Err(Problem::invalid("authentication.k8s.io", "TokenRequest", &account.key.name, &[fault]))
}

fn bind(plan: &mut TokenPlan, reference: &Value, view: &View) -> Result<(), Problem> {
    let (version, kind) = (text(reference, "/apiVersion"), text(reference, "/kind"));
    let name = text(reference, "/name");
    let (resource, namespace) = match (version, kind) {
        ("v1", "Pod") => ("pods", plan.namespace.as_str()),
        ("v1", "Secret") => ("secrets", plan.namespace.as_str()),
        ("v1", "Node") => ("nodes", ""),
        _ => {
            let shown = meta::Gvk::parse(version, kind);
            return Err(Problem::bad_request(format!(
                "cannot bind token to object of type {shown}"
            )));
        }
    };
    let resource = Resource::new("", resource);
    let object = view
        .get(&Key::new(&resource, namespace, name))
        .ok_or_else(|| Problem::not_found(&resource, name))?;
    let uid = text(reference, "/uid");
    if !uid.is_empty() && *object.head.uid != *uid {
        return Err(Problem::conflict(
            &Resource::new("", kind),
            name,
            &format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
            ),
        ));
    }
    match kind {
        "Pod" => bind_pod(plan, object, view)?,
        "Secret" => plan.secret = Some(Bound::of(object)),
        _ => plan.node = Some(Bound::of(object)),
    }
    Ok(())
}

fn bind_pod(plan: &mut TokenPlan, pod: &Object, view: &View) -> Result<(), Problem> {
    let value = pod.value();
    let (runs_as, wanted) = (text(&value, "/spec/serviceAccountName"), &plan.account.name);
    if runs_as != wanted {
        return Err(Problem::bad_request(format!(
            "cannot bind token for serviceaccount {wanted:?} to pod running with different serviceaccount name."
        )));
    }
    let node = text(&value, "/spec/nodeName");
    if !node.is_empty() {
        let found = view.get(&Key::new(&Resource::new("", "nodes"), "", node));
        let uid = found.map_or(String::new(), |n| n.head.uid.to_string());
        plan.node = Some(Bound { name: node.into(), uid });
    }
    plan.pod = Some(Bound::of(pod));
    Ok(())
}

/// Signs the token and returns the TokenRequest with its status. `id` is a fresh UUID.
pub fn mint(plan: TokenPlan, keys: &TokenKeys, id: &str, now: Time) -> Value {
    let (seconds, warn) = lifetime(&plan, keys);
    let mut own = Map::new();
    own.insert("namespace".into(), plan.namespace.clone().into());
    own.insert("serviceaccount".into(), plan.account.to_value());
    for (key, bound) in [("pod", &plan.pod), ("secret", &plan.secret), ("node", &plan.node)] {
        if let Some(bound) = bound {
            own.insert(key.into(), bound.to_value());
        }
    }
    if let Some(after) = warn {
        own.insert("warnafter".into(), (now.secs() + after).into());
    }
    let claims = json!({
        "aud": plan.audiences,
        "exp": now.secs() + seconds,
        "iat": now.secs(),
        "nbf": now.secs(),
        "iss": keys.issuer,
        "jti": id,
        "sub": format!("system:serviceaccount:{}:{}", plan.namespace, plan.account.name),
        "kubernetes.io": own,
    });
    answer(plan, &jwt::sign(keys, &claims), now)
}

/// Seconds of validity, and after how many the token counts as stale.
fn lifetime(plan: &TokenPlan, keys: &TokenKeys) -> (i64, Option<i64>) {
    let ours = plan.audiences == keys.audiences;
    if plan.seconds == WARN_SECS && plan.pod.is_some() && ours {
        (EXTENDED_SECS, Some(plan.seconds))
    } else {
        (plan.seconds, None)
    }
}

/// `expirationTimestamp` tells when to refresh, also for an extended token.
fn answer(plan: TokenPlan, token: &str, now: Time) -> Value {
    let mut request = plan.request;
    if let Some(spec) = request.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("audiences".into(), plan.audiences.into());
        spec.insert("expirationSeconds".into(), plan.seconds.into());
    }
    if let Some(out) = request.as_object_mut() {
        let expires = now.plus_secs(plan.seconds).rfc3339();
        out.insert("status".into(), json!({ "token": token, "expirationTimestamp": expires }));
    }
    request
}
