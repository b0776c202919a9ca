//! One request on its way to its handler.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Face;
use crate::body::{self, Reply};
use crate::mux;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::version::ApiVersion;

pub struct Call {
    pub face: Arc<Face>,
    pub version: ApiVersion,
    pub params: Vec<String>,
    pub query: Query,
    pub headers: HeaderMap,
    pub body: Incoming,
    pub upgrade: OnUpgrade,
}

impl Call {
    /// The n-th placeholder of the route.
    pub fn param(&self, n: usize) -> &str {
        self.params.get(n).map_or("", String::as_str)
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    /// The JSON body with nulls dropped, as Go's decoder treats them. An empty body is refused.
    pub async fn json<T: DeserializeOwned>(self) -> Result<(Arc<Face>, Query, T), Refusal> {
        let Self { face, query, body, .. } = self;
        let bytes = body::whole(body).await?;
        Ok((face, query, parse(&bytes)?))
    }

    /// Whether the client asked to leave HTTP.
    pub fn wants_upgrade(&self) -> bool {
        self.headers.contains_key(UPGRADE)
    }
}

/// Decodes a JSON body; texts of moby `daemon/server/httputils.ReadJSON`.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Refusal::bad_request("invalid JSON: got EOF while reading request body"));
    }
    let bad = |e: serde_json::Error| Refusal::bad_request(format!("invalid JSON: {e}"));
    let mut value: serde_json::Value = serde_json::from_slice(bytes).map_err(bad)?;
    engine::config::drop_nulls(&mut value);
    serde_json::from_value(value).map_err(bad)
}

pub type RawRead = Box<dyn AsyncRead + Send + Unpin>;
pub type RawWrite = Box<dyn AsyncWrite + Send + Unpin>;

/// The answer that switches protocols, with Docker's own reason phrase.
pub fn switching(content_type: &'static str) -> Reply {
    let mut reply = http::Response::new(body::full(bytes::Bytes::new()));
    *reply.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
    reply.extensions_mut().insert(ReasonPhrase::from_static(b"UPGRADED"));
    reply
}

/// The content type of a hijacked stream: framed or raw, and how old clients know it.
pub fn stream_type(version: ApiVersion, tty: bool, upgraded: bool) -> &'static str {
    match tty || version < ApiVersion(1, 42) || !upgraded {
        true => mux::RAW,
        false => mux::MULTIPLEXED,
    }
}

/// Takes the connection over once the 101 is out.
pub async fn take_over(upgrade: OnUpgrade) -> Result<(RawRead, RawWrite), hyper::Error> {
    let io = TokioIo::new(upgrade.await?);
    let (read, write) = tokio::io::split(io);
    Ok((Box::new(read), Box::new(write)))
}
