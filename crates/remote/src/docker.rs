//! An engine behind the Docker API.

use crate::connect::Place;
use crate::http1::Upgraded;
use crate::tls::{self, Trust};
use crate::{Body, Error, Http, Lines, Raw, body};
use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use meta::Value;
use rustls_pki_types::ServerName;
use std::fs;
use std::path::{Path, PathBuf};

/// Where an engine is.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    /// `unix:///path` or `tcp://host:port`.
    pub host: String,
    /// A directory with `ca.pem`, `cert.pem` and `key.pem`, when the engine is asked over TLS.
    pub certs: Option<PathBuf>,
}

/// Where `boxship up` answers unless told otherwise, and Docker's own place.
const OURS: &str = "/run/boxship/docker.sock";
const DOCKERS: &str = "/var/run/docker.sock";

/// `$DOCKER_HOST`, or this machine's boxship, or this machine's docker.
pub fn docker_host() -> String {
    if let Some(host) = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()) {
        return host;
    }
    let path =
        if !Path::new(OURS).exists() && Path::new(DOCKERS).exists() { DOCKERS } else { OURS };
    format!("unix://{path}")
}

impl DockerConfig {
    /// From `$DOCKER_HOST`, `$DOCKER_TLS_VERIFY` and `$DOCKER_CERT_PATH`.
    pub fn from_env() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let home = || std::env::home_dir().map(|home| home.join(".docker"));
        let certs = set("DOCKER_TLS_VERIFY")
            .and_then(|_| set("DOCKER_CERT_PATH").map(PathBuf::from).or_else(home));
        Self { host: docker_host(), certs }
    }
}

/// The version this client speaks.
const VERSION: &str = "/v1.47";
const AGENT: &str = concat!("boxship/", env!("CARGO_PKG_VERSION"));

/// One engine. Clones share connections.
#[derive(Clone)]
pub struct Docker {
    http: Http,
    pub host: String,
}

impl Docker {
    /// # Errors
    /// When the address cannot be used. Nothing is connected yet.
    pub fn new(config: &DockerConfig) -> Result<Self, Error> {
        let host = &config.host;
        let place = match host.split_once("://") {
            Some(("unix", path)) => Place::Unix(path.into()),
            Some(("tcp" | "http" | "https", address)) => {
                tcp(host, address, config.certs.as_deref())?
            }
            _ => {
                let why = "addresses are unix:///path or tcp://host:port";
                return Err(Error::Config(format!("unable to parse docker host `{host}`: {why}")));
            }
        };
        let authority = match &place {
            Place::Unix(_) => "docker".to_owned(),
            Place::Tcp { host, port } | Place::Tls { host, port, .. } => format!("{host}:{port}"),
        };
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        Ok(Self { http: Http::new(place, authority, headers), host: host.clone() })
    }

    /// The engine of the environment.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn from_env() -> Result<Self, Error> {
        Self::new(&DockerConfig::from_env())
    }

    /// Sends a request; 4xx and 5xx are errors. `path` is path and query without the version.
    ///
    /// # Errors
    /// The engine's refusal, or why there is no answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Response<Incoming>, Error> {
        let answer = self.http.send(method, &format!("{VERSION}{path}"), headers, body).await;
        let answer = answer.map_err(|e| self.unreachable(e))?;
        if answer.status().as_u16() < 400 {
            return Ok(answer);
        }
        Err(refusal(answer).await)
    }

    fn unreachable(&self, error: Error) -> Error {
        match error {
            Error::Unreachable { cause, .. } => {
                Error::Unreachable { server: self.host.clone(), cause }
            }
            other => other,
        }
    }

    /// As [`Docker::send`] with a JSON body, and the JSON of the answer (`null` when it has none).
    ///
    /// # Errors
    /// As there, and when the answer is not JSON.
    pub async fn json(
        &self,
        method: Method,
        path: &str,
        value: Option<&Value>,
    ) -> Result<Value, Error> {
        let body = value.map_or_else(body::empty, |value| body::full(value.to_string()));
        let headers: &[(&str, &str)] =
            if value.is_some() { &[("content-type", "application/json")] } else { &[] };
        let answer = self.send(method, path, headers, body).await?;
        let bytes = body::read(answer.into_body()).await?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|e| Error::broken("the answer is not JSON", e))
    }

    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        self.json(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, value: Option<&Value>) -> Result<Value, Error> {
        self.json(Method::POST, path, value).await
    }

    pub async fn delete(&self, path: &str) -> Result<Value, Error> {
        self.json(Method::DELETE, path, None).await
    }

    /// An answer that goes on: progress, events, stats, logs.
    ///
    /// # Errors
    /// As [`Docker::send`].
    pub async fn lines(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Lines, Error> {
        Ok(Lines::new(self.send(method, path, headers, body).await?.into_body()))
    }

    /// Takes the connection over: attach, and exec's start.
    ///
    /// # Errors
    /// The engine's refusal.
    pub async fn hijack(&self, path: &str, value: Option<&Value>) -> Result<Raw, Error> {
        let (headers, bytes): (&[(&str, &str)], Bytes) = match value {
            Some(value) => (&[("content-type", "application/json")], value.to_string().into()),
            None => (&[("content-type", "text/plain")], Bytes::new()),
        };
        let path = format!("{VERSION}{path}");
        let answer = self.http.upgrade(Method::POST, &path, headers, body::full(bytes)).await;
        match answer.map_err(|e| self.unreachable(e))? {
            Upgraded::Raw(_, raw) => Ok(raw),
            Upgraded::Refused(answer) if answer.status() == StatusCode::OK => {
                Err(Error::Broken("the engine does not hand its connection over".into()))
            }
            Upgraded::Refused(answer) => Err(refusal(answer).await),
        }
    }
}

async fn refusal(answer: Response<Incoming>) -> Error {
    let code = answer.status().as_u16();
    match body::read(answer.into_body()).await {
        Ok(body) => Error::of_docker(code, &body),
        Err(e) => e,
    }
}

fn tcp(whole: &str, address: &str, certs: Option<&Path>) -> Result<Place, Error> {
    let bad = |why: &str| Error::Config(format!("unable to parse docker host `{whole}`: {why}"));
    let address = address.trim_end_matches('/');
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| bad("the port is not a number"))?),
        None => (address, if certs.is_some() { 2376 } else { 2375 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let Some(dir) = certs else { return Ok(Place::Tcp { host, port }) };
    let read = |name: &str| {
        let path = dir.join(name);
        fs::read(&path).map_err(|e| Error::Config(format!("`{}`: {e}", path.display())))
    };
    let trust = Trust {
        ca: Some(read("ca.pem")?),
        client: Some((read("cert.pem")?, read("key.pem")?)),
        insecure: false,
    };
    let name = ServerName::try_from(host.clone()).map_err(|e| bad(&e.to_string()))?;
    let config = tls::config(&trust).map_err(Error::Config)?;
    Ok(Place::Tls { host, port, name, config })
}
