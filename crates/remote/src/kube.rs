//! A Kubernetes API server.

use crate::http1::Upgraded;
use crate::{Body, Error, Http, Kubeconfig, Lines, Raw, Target, Watch, body};
use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue, Method, Response};
use hyper::body::Incoming;
use meta::Value;

/// One cluster as one user. Clones share connections.
#[derive(Clone)]
pub struct Kube {
    http: Http,
    prefix: String,
    pub server: String,
    pub namespace: String,
}

/// Names the field manager of writes that do not name one.
const AGENT: &str = concat!("boxship/", env!("CARGO_PKG_VERSION"));

impl Kube {
    pub fn new(target: Target) -> Self {
        let mut headers = target.headers;
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        Self {
            http: Http::new(target.place, target.authority, headers),
            prefix: target.prefix,
            server: target.server,
            namespace: target.namespace,
        }
    }

    /// The cluster of `$KUBECONFIG` or `~/.kube/config`, by the current context.
    ///
    /// # Errors
    /// When there is none or it cannot be used.
    pub fn from_env() -> Result<Self, Error> {
        let config = Kubeconfig::load(&Kubeconfig::default_paths())?;
        Ok(Self::new(config.target(None)?))
    }

    /// The cluster a kubeconfig file names.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn from_file(path: &std::path::Path) -> Result<Self, Error> {
        Ok(Self::new(Kubeconfig::load(&[path.to_path_buf()])?.target(None)?))
    }

    /// Sends a request; anything outside 2xx is an error. `path` is path and query.
    ///
    /// # Errors
    /// The server's refusal, or why there is no answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Response<Incoming>, Error> {
        let path = format!("{}{path}", self.prefix);
        let answer = self.http.send(method, &path, headers, body).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(refusal(answer).await)
    }

    /// As [`Kube::send`] with a JSON body, and the JSON of the answer.
    ///
    /// # Errors
    /// As there, and when the answer is not JSON.
    pub async fn json(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        value: Option<&Value>,
    ) -> Result<Value, Error> {
        let body = value.map_or_else(body::empty, |value| body::full(value.to_string()));
        let mut headers = vec![("accept", "application/json")];
        if value.is_some() {
            headers.push(("content-type", content_type));
        }
        parse(self.send(method, path, &headers, body).await?).await
    }

    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        self.json(Method::GET, path, JSON, None).await
    }

    /// As [`Kube::get`] with another `Accept`, such as a Table's.
    pub async fn get_as(&self, path: &str, accept: &str) -> Result<Value, Error> {
        parse(self.send(Method::GET, path, &[("accept", accept)], body::empty()).await?).await
    }

    /// The bytes of an answer: `/readyz`, `/metrics`, logs that end.
    pub async fn text(&self, path: &str) -> Result<Bytes, Error> {
        let accept = [("accept", "*/*")];
        body::read(self.send(Method::GET, path, &accept, body::empty()).await?.into_body()).await
    }

    pub async fn post(&self, path: &str, value: &Value) -> Result<Value, Error> {
        self.json(Method::POST, path, JSON, Some(value)).await
    }

    pub async fn put(&self, path: &str, value: &Value) -> Result<Value, Error> {
        self.json(Method::PUT, path, JSON, Some(value)).await
    }

    /// `content_type` says which patch: `application/merge-patch+json` and so on.
    pub async fn patch(
        &self,
        path: &str,
        content_type: &str,
        value: &Value,
    ) -> Result<Value, Error> {
        self.json(Method::PATCH, path, content_type, Some(value)).await
    }

    /// Server-side apply. `value` is JSON, which is YAML as well.
    pub async fn apply(
        &self,
        path: &str,
        manager: &str,
        force: bool,
        value: &Value,
    ) -> Result<Value, Error> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{mark}fieldManager={}&force={force}", escape(manager));
        self.json(Method::PATCH, &path, "application/apply-patch+yaml", Some(value)).await
    }

    /// `options` is a `DeleteOptions`, or nothing.
    pub async fn delete(&self, path: &str, options: Option<&Value>) -> Result<Value, Error> {
        self.json(Method::DELETE, path, JSON, options).await
    }

    /// Follows a collection; `path` carries `watch=true` already.
    ///
    /// # Errors
    /// The server's refusal, or why there is no answer.
    pub async fn watch(&self, path: &str, accept: &str) -> Result<Watch, Error> {
        let answer = self.send(Method::GET, path, &[("accept", accept)], body::empty()).await?;
        Ok(Watch::new(Lines::new(answer.into_body())))
    }

    /// Asks for the connection itself under a WebSocket or SPDY upgrade.
    ///
    /// # Errors
    /// The server's refusal, or why there is no answer.
    pub(crate) async fn upgrade(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<(HeaderMap, Raw), Error> {
        let path = format!("{}{path}", self.prefix);
        match self.http.upgrade(method, &path, headers, body::empty()).await? {
            Upgraded::Raw(head, raw) => Ok((head, raw)),
            Upgraded::Refused(answer) => Err(refusal(answer).await),
        }
    }
}

const JSON: &str = "application/json";

async fn refusal(answer: Response<Incoming>) -> Error {
    let code = answer.status().as_u16();
    match body::read(answer.into_body()).await {
        Ok(body) => Error::of_kubernetes(code, &body),
        Err(e) => e,
    }
}

async fn parse(answer: Response<Incoming>) -> Result<Value, Error> {
    let bytes = body::read(answer.into_body()).await?;
    serde_json::from_slice(&bytes).map_err(|e| Error::broken("the answer is not JSON", e))
}

/// Percent-encodes a part of a path or query.
pub fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => write!(out, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
        out
    })
}
