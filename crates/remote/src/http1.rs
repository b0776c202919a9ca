//! Requests over kept connections, and connections that are taken over after one.

use crate::connect::{Connector, Place, Stream};
use crate::{Body, Error};
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One server. Clones share its connections.
#[derive(Clone)]
pub struct Http {
    client: Client<Connector, Body>,
    place: Place,
    /// For `Host`, and for messages.
    authority: String,
    /// Sent with every request.
    headers: HeaderMap,
}

impl Http {
    pub(crate) fn new(place: Place, authority: String, headers: HeaderMap) -> Self {
        let client = Client::builder(TokioExecutor::new()).build(Connector(place.clone()));
        Self { client, place, authority, headers }
    }

    /// Where this goes, for messages.
    pub fn server(&self) -> &str {
        &self.authority
    }

    /// Sends a request and waits for the head of the answer, whatever its status. `path` is path and query.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Response<Incoming>, Error> {
        // Where it really goes is the connector's business; the pool wants a host.
        let uri = format!("http://{}{path}", self.authority);
        let request = self.request(method, &uri, headers, body)?;
        self.client.request(request).await.map_err(|e| self.unreachable(&e))
    }

    fn request(
        &self,
        method: Method,
        uri: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Request<Body>, Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .body(body)
            .map_err(|e| Error::broken(&format!("address `{uri}`"), e))?;
        request.headers_mut().extend(self.headers.clone());
        for (name, value) in headers {
            let bad = |e: &dyn std::fmt::Display| Error::broken(&format!("header `{name}`"), e);
            let value = HeaderValue::from_str(value).map_err(|e| bad(&e))?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| bad(&e))?;
            request.headers_mut().insert(name, value);
        }
        Ok(request)
    }

    /// Asks for the connection itself, on one of its own: the answer's head, and the connection when the server agreed
    /// (101).
    ///
    /// # Errors
    /// When there is no answer.
    pub(crate) async fn upgrade(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Upgraded, Error> {
        let lost = |e: &dyn std::error::Error| self.unreachable(e);
        let stream: Stream = self.place.connect().await.map_err(|e| lost(&e))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| lost(&e))?;
        tokio::spawn(connection.with_upgrades());
        let mut request = self.request(method, path, headers, body)?;
        let host = HeaderValue::from_str(&self.authority)
            .map_err(|e| Error::broken("name of the server", e))?;
        request.headers_mut().insert(HOST, host);
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        request.headers_mut().entry(UPGRADE).or_insert(HeaderValue::from_static("tcp"));
        let answer = sender.send_request(request).await.map_err(|e| lost(&e))?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Upgraded::Refused(answer));
        }
        let head = answer.headers().clone();
        let io = hyper::upgrade::on(answer).await.map_err(|e| lost(&e))?;
        Ok(Upgraded::Raw(head, Raw(TokioIo::new(io))))
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> Error {
        Error::Unreachable { server: self.authority.clone(), cause: innermost(error) }
    }
}

/// The error at the bottom says what happened; the ones above only that something did.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// What came of asking for a connection.
pub(crate) enum Upgraded {
    Raw(HeaderMap, Raw),
    Refused(Response<Incoming>),
}

/// A connection that is no longer HTTP.
pub struct Raw(TokioIo<hyper::upgrade::Upgraded>);

impl AsyncRead for Raw {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Raw {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
