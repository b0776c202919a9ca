//! Answers and the error bodies clients match on.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Body, Frame, SizeHint};
use image::ErrorKind;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// What is sent back.
pub type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// A refusal with one of the specification's codes.
#[derive(Debug)]
pub(crate) struct Oops {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    pub challenge: Option<String>,
}

impl Oops {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), challenge: None }
    }

    pub fn blob_unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry")
    }

    pub fn upload_unknown() -> Self {
        let text = "blob upload unknown to registry";
        Self::new(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", text)
    }

    pub fn manifest_unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "manifest unknown")
    }

    pub fn name_unknown() -> Self {
        let text = "repository name not known to registry";
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", text)
    }

    pub fn digest_invalid() -> Self {
        let text = "provided digest did not match uploaded content";
        Self::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", text)
    }

    pub fn range_invalid() -> Self {
        let text = "invalid content range";
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID", text)
    }

    /// A failure of the store where nothing more exact is known.
    pub fn of(error: image::Error, invalid: &'static str) -> Self {
        match error.kind {
            ErrorKind::Invalid => Self::new(StatusCode::BAD_REQUEST, invalid, error.to_string()),
            ErrorKind::NotFound => Self::new(StatusCode::NOT_FOUND, invalid, error.to_string()),
            _ => {
                tracing::error!("registry: {error}");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Self::new(status, "UNKNOWN", "unknown error")
            }
        }
    }

    pub fn answer(self) -> Answer {
        let body = serde_json::json!({
            "errors": [{ "code": self.code, "message": self.message, "detail": null }]
        });
        let mut answer = json(self.status, &body);
        let challenge = self.challenge.as_deref().and_then(|c| HeaderValue::from_str(c).ok());
        if let Some(challenge) = challenge {
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        answer
    }
}

pub(crate) fn empty(status: StatusCode) -> Answer {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    finish(status, body)
}

pub(crate) fn bytes(status: StatusCode, content_type: &str, bytes: Vec<u8>) -> Answer {
    let length = bytes.len() as u64;
    let body = Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed_unsync();
    let answer = finish(status, body);
    with(with(answer, header::CONTENT_TYPE, content_type), header::CONTENT_LENGTH, length)
}

pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    bytes(status, "application/json", value.to_string().into_bytes())
}

/// A stream of `length` bytes from a channel.
pub(crate) fn stream(
    status: StatusCode,
    length: u64,
    chunks: mpsc::Receiver<io::Result<Bytes>>,
) -> Answer {
    let answer = finish(status, Streamed { chunks, left: length }.boxed_unsync());
    let answer = with(answer, header::CONTENT_TYPE, "application/octet-stream");
    with(answer, header::CONTENT_LENGTH, length)
}

fn finish(status: StatusCode, body: UnsyncBoxBody<Bytes, io::Error>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    with(answer, "docker-distribution-api-version", "registry/2.0")
}

pub(crate) fn with(
    mut answer: Answer,
    name: impl TryInto<header::HeaderName>,
    value: impl ToString,
) -> Answer {
    let value = HeaderValue::from_str(&value.to_string());
    // Names are literals and values printable; what is not printable is left out.
    if let (Ok(name), Ok(value)) = (name.try_into(), value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}

/// For HEAD: the same head (its length too), no body.
pub(crate) fn without_body(answer: Answer) -> Answer {
    answer.map(|_| Empty::new().map_err(|never| match never {}).boxed_unsync())
}

struct Streamed {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.chunks.poll_recv(cx).map(|next| {
            next.map(|chunk| {
                let chunk = chunk?;
                self.left = self.left.saturating_sub(chunk.len() as u64);
                Ok(Frame::data(chunk))
            })
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
