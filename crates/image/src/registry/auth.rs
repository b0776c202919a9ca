//! Challenges and tokens. Upstream: distribution `docs/content/spec/auth/token.md`.

use super::Credentials;
use super::session::{drain, get};
use super::transport::Http;
use crate::{Error, Result};
use base64::Engine as _;
use http::{HeaderMap, HeaderValue, Request, Uri, header};
use http_body_util::BodyExt as _;
use serde::Deserialize;

/// What a registry asks for in `WWW-Authenticate`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: String, scope: String },
}

/// The strongest challenge among the headers.
pub(super) fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let all = headers.get_all(header::WWW_AUTHENTICATE);
    let parsed: Vec<_> =
        all.iter().filter_map(|v| v.to_str().ok()).filter_map(parse_challenge).collect();
    let bearer = |c: &Challenge| matches!(c, Challenge::Bearer { .. });
    let at = parsed.iter().position(bearer).unwrap_or(0);
    parsed.into_iter().nth(at)
}

fn parse_challenge(text: &str) -> Option<Challenge> {
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let get = |key: &str| parameters(rest).into_iter().find(|(k, _)| k == key).map(|(_, v)| v);
    Some(Challenge::Bearer {
        realm: get("realm")?,
        service: get("service").unwrap_or_default(),
        scope: get("scope").unwrap_or_default(),
    })
}

/// `key="value",key=value`; values may contain commas when quoted.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.push((key, value.trim().to_owned()));
        rest = next;
    }
    found
}

pub(super) fn basic(credentials: &Credentials) -> Option<HeaderValue> {
    if credentials.username.is_empty() {
        return None;
    }
    let pair = format!("{}:{}", credentials.username, credentials.password);
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    HeaderValue::from_str(&format!("Basic {encoded}")).ok()
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

/// Fetches a bearer token for `scope`.
pub(super) async fn token(
    http: &Http,
    challenge: (&str, &str),
    scopes: &[String],
    credentials: &Credentials,
) -> Result<HeaderValue> {
    let (realm, service) = challenge;
    let mut query = vec![("service", service.to_owned())];
    query.extend(scopes.iter().map(|s| ("scope", s.clone())));
    let request = if credentials.identity_token.is_empty() {
        if !credentials.username.is_empty() {
            query.push(("account", credentials.username.clone()));
        }
        let join = if realm.contains('?') { '&' } else { '?' };
        let uri: Uri = format!("{realm}{join}{}", encode(&query))
            .parse()
            .map_err(|_| Error::unavailable(format!("bad token realm {realm}")))?;
        let mut request = get(uri);
        if let Some(basic) = basic(credentials) {
            request.headers_mut().insert(header::AUTHORIZATION, basic);
        }
        request
    } else {
        query.push(("grant_type", "refresh_token".into()));
        query.push(("client_id", "boxship".into()));
        query.push(("refresh_token", credentials.identity_token.clone()));
        let body = http_body_util::Full::from(encode(&query)).map_err(|never| match never {});
        Request::post(realm)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.boxed_unsync())
            .map_err(|_| Error::unavailable(format!("bad token realm {realm}")))?
    };
    let response = http
        .request(request)
        .await
        .map_err(|e| Error::unavailable(format!("Get {realm}: {}", super::session::chain(&e))))?;
    let status = response.status();
    let body = drain(response, 1 << 20).await?;
    if !status.is_success() {
        return Err(super::errors::Refusal::parse(status, &body).plain());
    }
    let token: Token = serde_json::from_slice(&body)
        .map_err(|e| Error::unavailable(format!("token server {realm}: {e}")))?;
    let token = if token.token.is_empty() { token.access_token } else { token.token };
    HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| Error::unavailable(format!("token server {realm} sent a bad token")))
}

/// `application/x-www-form-urlencoded`.
pub(super) fn encode(pairs: &[(&str, String)]) -> String {
    let one = |text: &str| -> String {
        let keep = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
        text.bytes()
            .map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect()
    };
    pairs.iter().map(|(k, v)| format!("{k}={}", one(v))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        let text = r#"Bearer realm="https://auth.example/token",service="reg",scope="repository:a/b:pull,push""#;
        let want = Challenge::Bearer {
            realm: "https://auth.example/token".into(),
            service: "reg".into(),
            scope: "repository:a/b:pull,push".into(),
        };
        assert_eq!(parse_challenge(text), Some(want));
        assert_eq!(parse_challenge("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(parse_challenge("Digest x"), None);
        assert_eq!(parse_challenge("Bearer service=x"), None);
        assert_eq!(encode(&[("scope", "a:b c".into())]), "scope=a%3Ab%20c");
    }
}
