//! Bootstrap tokens: `<id>.<secret>`, kept in a Secret of kube-system
//! (upstream `plugin/pkg/auth/authenticator/token/bootstrap`).

use crate::json::text;
use crate::static_token::same;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use meta::{Identity, Resource, Time, Value};
use store::{Key, View};

const GROUP: &str = "system:bootstrappers";

/// The identity of a bootstrap token that exists, is meant for authentication and has not expired.
pub fn identity_of(token: &str, view: &View, now: Time) -> Option<Identity> {
    let (id, secret) = token.split_once('.')?;
    if !well_formed(id, 6) || !well_formed(secret, 16) {
        return None;
    }
    let name = format!("bootstrap-token-{id}");
    let stored = view.get(&Key::new(&Resource::new("", "secrets"), "kube-system", &name))?;
    let value = stored.value();
    let usable = stored.head.deleted.is_none()
        && text(&value, "/type") == "bootstrap.kubernetes.io/token"
        && same(&data(&value, "token-id"), id)
        && same(&data(&value, "token-secret"), secret)
        && data(&value, "usage-bootstrap-authentication") == "true"
        && !expired(&data(&value, "expiration"), now);
    let extra = data(&value, "auth-extra-groups");
    let named = extra.split(',').map(str::trim).filter(|g| g.starts_with("system:bootstrappers:"));
    let groups = std::iter::once(GROUP).chain(named).map(str::to_string).collect();
    usable.then(|| Identity {
        name: format!("system:bootstrap:{id}"),
        groups,
        ..Identity::default()
    })
}

fn well_formed(part: &str, len: usize) -> bool {
    part.len() == len && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// A Secret's entry; `""` when it is missing or not text.
fn data(secret: &Value, key: &str) -> String {
    let encoded = secret.get("data").and_then(|d| d.get(key)).and_then(Value::as_str);
    let bytes = STANDARD.decode(encoded.unwrap_or("")).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

/// A malformed expiration counts as expired.
fn expired(expiration: &str, now: Time) -> bool {
    !expiration.is_empty() && Time::parse(expiration).is_none_or(|at| at <= now)
}
