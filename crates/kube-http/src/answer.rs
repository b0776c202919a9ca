//! Responses made from replies.

use crate::body::{Body, RopeBody};
use crate::gzip::{self, GzipBody};
use api::Reply;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderName, HeaderValue, StatusCode};
use meta::Problem;

pub type Response = http::Response<Body>;

/// Whether the client reads gzip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Plain,
    Gzip,
}

/// The response of a finished reply.
pub fn reply(reply: Reply, coding: Coding) -> Response {
    let large = reply.body.len() >= gzip::THRESHOLD;
    let mut response = http::Response::new(Body::empty());
    *response.status_mut() = status(reply.status);
    let headers = response.headers_mut();
    for (name, value) in &reply.headers {
        headers.append(HeaderName::from_static(name), header(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    if !reply.content_type.is_empty() {
        headers.insert(CONTENT_TYPE, header(&reply.content_type));
    }
    if large && coding == Coding::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
        *response.body_mut() = Body::Gzip(Box::new(GzipBody::new(RopeBody::new(reply.body))));
    } else {
        *response.body_mut() = reply.body.into();
    }
    response
}

pub fn problem(problem: &Problem) -> Response {
    reply(Reply::problem(problem), Coding::Plain)
}

pub fn text(code: u16, text: &str) -> Response {
    reply(Reply::text(code, text).header("x-content-type-options", "nosniff"), Coding::Plain)
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A header's value; bytes that HTTP does not allow in one become `?`.
fn header(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| {
        let clean: String =
            value.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
        HeaderValue::from_str(&clean).expect("only printable ASCII is left")
    })
}
