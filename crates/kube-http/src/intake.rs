//! From HTTP to [`api::Request`].

use auth::Impersonation;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use meta::{Identity, Problem, Reason};

/// Browsers cannot set headers on a WebSocket: the token hides in a subprotocol.
const TOKEN_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// The header's text; `""` when it is absent or not text.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
}

/// All values of a header, joined with `,`.
pub fn joined(headers: &HeaderMap, name: &str) -> String {
    let values: Vec<_> = headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).collect();
    values.join(",")
}

/// The `Authorization` header, or what a WebSocket client has in its place.
pub fn authorization(headers: &HeaderMap) -> String {
    if let Some(value) = headers.get(AUTHORIZATION) {
        return value.to_str().unwrap_or("").into();
    }
    let offered = joined(headers, SEC_WEBSOCKET_PROTOCOL.as_str());
    let token = offered.split(',').find_map(|p| p.trim().strip_prefix(TOKEN_PROTOCOL));
    let token = token.and_then(|t| URL_SAFE_NO_PAD.decode(t).ok());
    let token = token.and_then(|t| String::from_utf8(t).ok());
    token.map_or(String::new(), |t| format!("Bearer {t}"))
}

/// The `Impersonate-*` headers.
pub fn impersonation(headers: &HeaderMap) -> Impersonation {
    let mut out = Impersonation {
        user: header(headers, "impersonate-user").into(),
        uid: header(headers, "impersonate-uid").into(),
        ..Impersonation::default()
    };
    for (name, value) in headers {
        let (name, value) = (name.as_str(), value.to_str().unwrap_or(""));
        if name == "impersonate-group" {
            out.groups.push(value.into());
        } else if let Some(key) = name.strip_prefix("impersonate-extra-") {
            out.extra.entry(decoded(key)).or_default().push(value.into());
        }
    }
    out
}

/// Whom a proxy in front of us speaks for: the `X-Remote-*` headers named in the ConfigMap
/// `extension-apiserver-authentication` (k8s.io/apiserver `pkg/authentication/request/headerrequest`).
pub fn remote(headers: &HeaderMap) -> Option<Identity> {
    let name = Some(header(headers, "x-remote-user")).filter(|name| !name.is_empty())?;
    let mut out = Identity {
        name: name.into(),
        uid: header(headers, "x-remote-uid").into(),
        ..Identity::default()
    };
    for (name, value) in headers {
        let (name, value) = (name.as_str(), value.to_str().unwrap_or(""));
        if name == "x-remote-group" {
            out.groups.push(value.into());
        } else if let Some(key) = name.strip_prefix("x-remote-extra-") {
            out.extra.entry(decoded(key)).or_default().push(value.into());
        }
    }
    Some(out)
}

/// Percent-decoded; bytes that are not UTF-8 become U+FFFD, a broken escape stays as it is.
pub fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let byte =
            escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        out.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// The query's pairs in order, decoded as a form.
pub fn query(raw: &str) -> Vec<(String, String)> {
    let form = |text: &str| decoded(&text.replace('+', " "));
    raw.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (form(key), form(value)))
        .collect()
}

/// The whole body, at most `limit` bytes.
///
/// # Errors
/// 413 when it is larger, 400 when the client breaks off.
pub async fn body(mut body: Incoming, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        let text = format!("Request entity too large: limit is {limit}");
        Problem::new(Reason::RequestEntityTooLarge, text)
    };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Problem::bad_request(format!("reading the body: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            return Err(too_large());
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    Ok([first.as_ref(), rest.as_ref()].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn queries_are_forms() {
        let got = query("a=1&b=x%3Dy+z&c&labelSelector=app%20in%20(a%2Cb)&=&%zz=%");
        let text: Vec<_> = got.iter().map(|(k, v)| format!("{k}:{v}")).collect();
        assert_eq!(text, ["a:1", "b:x=y z", "c:", "labelSelector:app in (a,b)", ":", "%zz:%"]);
    }

    #[test]
    fn broken_escapes_do_not_panic() {
        for text in ["%", "%4", "%ff", "%C3%A4", "%€", "a%2"] {
            let _ = decoded(text);
        }
        assert_eq!(decoded("%C3%A4/%2F"), "ä//");
    }

    proptest! {
        #[test]
        fn hostile_requests_never_panic(path in "\\PC{0,60}|(/[a-z%0-9./]{0,12}){0,9}", raw in "[ -~]{0,80}") {
            let path = decoded(&path);
            let pairs = query(&raw);
            let _ = crate::info::Info::of("GET", &path, &pairs);
            let _ = crate::health::Health::default().answer(&path, &pairs);
            let _ = crate::gzip::accepted(&raw);
            let mut headers = HeaderMap::new();
            for name in ["authorization", "sec-websocket-protocol", "impersonate-extra-a%2fb"] {
                headers.insert(http::HeaderName::from_static(name), raw.parse().expect("printable"));
            }
            let _ = (authorization(&headers), impersonation(&headers));
        }
    }
}
