//! Compact JWS with RS256 (RFC 7515): the only form service-account tokens take.

use crate::keys::TokenKeys;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use meta::Value;
use serde_json::json;

/// Longer tokens are refused unread.
const MAX_LEN: usize = 16 * 1024;

pub fn sign(keys: &TokenKeys, claims: &Value) -> String {
    let header = json!({ "alg": "RS256", "kid": keys.kid() });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(claims));
    let signature = keys.sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The claims, not verified. `None` when `token` is not a JWT at all.
pub fn peek(token: &str) -> Option<Value> {
    let (_, claims, _) = split(token)?;
    decode(claims)
}

/// The claims of a token that one of `keys` signed.
pub fn verify(keys: &TokenKeys, token: &str) -> Option<Value> {
    let (header, claims, signature) = split(token)?;
    let head = decode(header)?;
    if head.get("alg").and_then(Value::as_str) != Some("RS256") {
        return None;
    }
    let kid = head.get("kid").and_then(Value::as_str).unwrap_or("");
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let message = &token.as_bytes()[..header.len() + 1 + claims.len()];
    if keys.verifies(kid, message, &signature) { decode(claims) } else { None }
}

fn split(token: &str) -> Option<(&str, &str, &str)> {
    let mut parts = (token.len() <= MAX_LEN).then(|| token.split('.'))?;
    let found = (parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some(found)
}

fn decode(part: &str) -> Option<Value> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice::<Value>(&bytes).ok().filter(Value::is_object)
}
