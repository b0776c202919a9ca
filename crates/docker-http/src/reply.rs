//! Answers in the forms Docker gives them.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::body::{Reply, feed, full};
use crate::refusal::Refusal;

/// A JSON document with the newline that Go's encoder adds.
pub fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Reply {
    let mut bytes = serde_json::to_vec(value)
        .unwrap_or_else(|e| format!("{{\"message\":\"encoding the answer: {e}\"}}").into_bytes());
    bytes.push(b'\n');
    let mut reply = Response::new(full(bytes));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

pub fn ok<T: Serialize + ?Sized>(value: &T) -> Reply {
    json(StatusCode::OK, value)
}

pub fn created<T: Serialize + ?Sized>(value: &T) -> Reply {
    json(StatusCode::CREATED, value)
}

pub fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(full(Bytes::new()));
    *reply.status_mut() = status;
    reply
}

pub fn no_content() -> Reply {
    empty(StatusCode::NO_CONTENT)
}

pub fn refused(refusal: &Refusal) -> Reply {
    if refusal.status == StatusCode::NOT_MODIFIED {
        return empty(refusal.status);
    }
    json(refusal.status, &serde_json::json!({ "message": refusal.message }))
}

/// A streamed answer of the given content type and the sender that feeds it.
pub fn stream(content_type: &'static str) -> (mpsc::Sender<Bytes>, Reply) {
    let (tx, body) = feed();
    let mut reply = Response::new(body);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    (tx, reply)
}
