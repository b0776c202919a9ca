//! What a registry can be asked without pulling: whether credentials are good, what a name
//! stands for, what it has. Upstream: moby `registry/auth.go`, `daemon/containerd/resolver.go`,
//! `registry/search_session.go`.

use super::errors::Refusal;
use super::session::{Ask, Session, drain};
use super::{Credentials, credentials};
use crate::{Error, ErrorKind, ImageStore, Result};
use http::{Method, StatusCode, header};
use oci::{Descriptor, Digest, Document, ImageConfig, Platform, Reference, media};
use serde::{Deserialize, Serialize};

/// The longest answer to a search.
const SEARCH_MAX: usize = 4 << 20;

/// What a name stands for in its registry.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    pub descriptor: Descriptor,
    pub platforms: Vec<Platform>,
}

/// One row of a search.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    pub name: String,
    pub description: String,
    pub star_count: i64,
    pub is_official: bool,
    pub is_automated: bool,
}

#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    results: Vec<Found>,
}

/// `https://index.docker.io/v1/`, `host:5000`, `http://host/`: the domain references use.
fn domain_of(server: &str) -> String {
    let bare = server.split_once("://").map_or(server, |(_, rest)| rest);
    match bare.split('/').next().unwrap_or_default() {
        "" | "index.docker.io" | "registry-1.docker.io" => "docker.io".into(),
        host => host.into(),
    }
}

impl ImageStore {
    /// `docker login`: whether the registry takes the credentials.
    pub async fn login(&self, server: &str, credentials: Credentials) -> Result<()> {
        let domain = domain_of(server);
        let mut last = None;
        for root in Session::roots(&self.0.registries, &domain) {
            let place = (domain.clone(), format!("{root}/v2"));
            let session =
                Session::new(&self.0.registries, &place, credentials.clone(), Vec::new())?;
            match ping(&session).await {
                Ok(()) => return Ok(()),
                Err(e) if e.kind == ErrorKind::Unavailable => drop(last.get_or_insert(e)),
                Err(e) => return Err(e),
            }
        }
        Err(last.unwrap_or_else(|| Error::unavailable(format!("no registry at {server}"))))
    }

    /// `docker manifest inspect`-like: the descriptor behind a name and the platforms it has.
    pub async fn distribution(
        &self,
        reference: &Reference,
        auth: Option<Credentials>,
    ) -> Result<Distribution> {
        let credentials = match auth {
            Some(given) => given,
            None => credentials::of_docker(reference.domain()).await?,
        };
        let scopes = vec![format!("repository:{}:pull", reference.path())];
        let mut last = None;
        for place in Session::places(&self.0.registries, reference) {
            let session =
                Session::new(&self.0.registries, &place, credentials.clone(), scopes.clone())?;
            match describe(&session, reference).await {
                Ok(found) => return Ok(found),
                Err(e) => last = Some(super::pull::better(last, e)),
            }
        }
        Err(last.unwrap_or_else(|| Error::internal("no registry to ask")))
    }

    /// `docker search`: the first version's search endpoint, which only Docker Hub and few others
    /// have.
    pub async fn search(
        &self,
        term: &str,
        limit: usize,
        auth: Option<Credentials>,
    ) -> Result<Vec<Found>> {
        let (domain, name) = match term.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
                (host.to_owned(), rest)
            }
            _ => ("index.docker.io".to_owned(), term),
        };
        let query = super::auth::encode(&[("q", name.to_owned()), ("n", limit.to_string())]);
        let mut last = None;
        for root in Session::roots(&self.0.registries, &domain) {
            let place = (domain.clone(), root.clone());
            let credentials = auth.clone().unwrap_or_default();
            let session = Session::new(&self.0.registries, &place, credentials, Vec::new())?;
            match found(&session, &format!("{root}/v1/search?{query}")).await {
                Ok(rows) => return Ok(rows),
                Err(e) => last = Some(super::pull::better(last, e)),
            }
        }
        Err(last.unwrap_or_else(|| Error::internal("no registry to ask")))
    }
}

async fn ping(session: &Session) -> Result<()> {
    let uri = format!("{}/", session.base);
    let named = |e: Error| Error { message: format!("Get \"{uri}\": {}", e.message), ..e };
    match session.get_ok(&Ask::new(Method::GET, uri.clone())).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(refusal)) => Err(named(refusal.plain())),
        Err(e) if e.message.starts_with("Get ") => Err(e),
        Err(e) => Err(named(e)),
    }
}

async fn describe(session: &Session, reference: &Reference) -> Result<Distribution> {
    let digest = reference.digest().map(Digest::to_string);
    let name = digest.unwrap_or_else(|| reference.tag().unwrap_or("latest").into());
    let mut ask = Ask::new(Method::GET, format!("{}/manifests/{name}", session.base));
    for accept in media::ACCEPT_MANIFEST {
        ask = ask.with(header::ACCEPT, accept);
    }
    let response = session.get_ok(&ask).await?.map_err(|r| r.plain())?;
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let kind = kind.unwrap_or_default().to_owned();
    let bytes = drain(response, usize::try_from(crate::store::DOCUMENT_MAX).unwrap_or(0)).await?;
    let descriptor = Descriptor::new(&kind, Digest::sha256(&bytes), bytes.len() as u64);
    let platforms = match Document::parse(&kind, &bytes).map_err(Error::invalid)? {
        Document::Index(index) => index.manifests.into_iter().filter_map(|m| m.platform).collect(),
        Document::Manifest(manifest) => {
            let uri = format!("{}/blobs/{}", session.base, manifest.config.digest);
            let response = session.get_ok(&Ask::new(Method::GET, uri)).await?;
            let limit = usize::try_from(crate::store::DOCUMENT_MAX).unwrap_or(0);
            let bytes = drain(response.map_err(|r| r.plain())?, limit).await?;
            let config: ImageConfig = serde_json::from_slice(&bytes)
                .map_err(|e| Error::invalid(format!("the image's config is damaged: {e}")))?;
            vec![config.platform()]
        }
    };
    Ok(Distribution { descriptor, platforms })
}

async fn found(session: &Session, uri: &str) -> Result<Vec<Found>> {
    let ask = Ask::new(Method::GET, uri.to_owned()).with(header::ACCEPT, "application/json");
    let response = session.send(&ask).await?;
    let status = response.status();
    let body = drain(response, SEARCH_MAX).await?;
    match status {
        StatusCode::OK => {
            let results: Results = serde_json::from_slice(&body)
                .map_err(|e| Error::unavailable(format!("error decoding search results: {e}")))?;
            Ok(results.results)
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(Refusal::parse(status, &body).plain())
        }
        status => Err(Error::unavailable(format!("Unexpected status code {}", status.as_u16()))),
    }
}

#[cfg(test)]
mod tests {
    use super::domain_of;

    #[test]
    fn servers() {
        for (server, domain) in [
            ("", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("http://reg.lan:80/v2/", "reg.lan:80"),
        ] {
            assert_eq!(domain_of(server), domain, "{server}");
        }
    }
}
