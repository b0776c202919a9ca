//! What a proxy changes in headers (RFC 9110 section 7.6.1; the `X-Forwarded` family by custom).

use http::header::{
    CONNECTION, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::net::IpAddr;

/// How the client came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Came {
    pub from: IpAddr,
    pub scheme: &'static str,
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers that are between two neighbours only.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The host a request is for, from its authority or its Host header.
pub(crate) fn host_of(parts: &Parts) -> String {
    let header = || parts.headers.get(HOST).and_then(|h| h.to_str().ok());
    parts.uri.authority().map(http::uri::Authority::as_str).or_else(header).unwrap_or("").into()
}

/// Makes a client's headers the backend's; an asked upgrade stays asked.
pub(crate) fn toward_backend(headers: &mut HeaderMap, host: &str, came: Came) {
    let upgrade = upgrade_of(headers);
    let trailers = headers.get(TE).is_some_and(|te| te == "trailers");
    remove_hops(headers);
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    if trailers {
        // gRPC servers insist.
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Ok(host) = HeaderValue::from_str(host) {
        headers.insert(HeaderName::from_static("x-forwarded-host"), host.clone());
        headers.insert(HOST, host);
    }
    let proto = HeaderName::from_static("x-forwarded-proto");
    headers.insert(proto, HeaderValue::from_static(came.scheme));
    let from = came.from.to_string();
    if let Ok(value) = HeaderValue::from_str(&from) {
        headers.insert(HeaderName::from_static("x-real-ip"), value.clone());
        // What a client claims about earlier hops is no fact here.
        headers.insert(HeaderName::from_static("x-forwarded-for"), value);
    }
}

/// Makes a backend's headers the client's.
pub(crate) fn toward_client(headers: &mut HeaderMap) {
    remove_hops(headers);
}

/// The protocol a message asks or agrees to switch to.
pub(crate) fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let named = headers.get_all(CONNECTION).iter().filter_map(|v| v.to_str().ok());
    let asked = named.flat_map(|v| v.split(',')).any(|v| v.trim().eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| asked).cloned()
}

fn remove_hops(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|v| v.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}
