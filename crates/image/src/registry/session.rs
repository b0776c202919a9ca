//! Requests to one repository of one registry, with authentication, redirects and retries.

use super::auth::{self, Challenge};
use super::errors::Refusal;
use super::transport::{self, Http, RequestBody};
use super::{Credentials, RegistriesConfig, proxy, tls};
use crate::{Error, Result};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use oci::Reference;
use std::sync::Mutex;
use std::time::Duration;

const REDIRECTS: usize = 5;
/// No answer for so long means the connection is dead.
pub(super) const STALL: Duration = Duration::from_secs(60);

/// One place a repository can be reached at.
pub(super) struct Session {
    http: Http,
    /// `https://host/v2/prefix/library/busybox`.
    pub base: String,
    credentials: Credentials,
    /// Asked for with every token.
    scopes: Vec<String>,
    authorization: Mutex<Option<HeaderValue>>,
}

/// A request whose body can be made again when it has to be sent twice.
pub(super) struct Ask<'a> {
    pub method: Method,
    pub uri: String,
    pub headers: Vec<(header::HeaderName, String)>,
    pub body: Option<&'a (dyn Fn() -> RequestBody + Send + Sync)>,
}

impl Ask<'_> {
    pub fn new(method: Method, uri: String) -> Self {
        Self { method, uri, headers: Vec::new(), body: None }
    }

    pub fn with(mut self, name: header::HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Session {
    /// All places to try for `reference`, mirrors first.
    pub fn places(config: &RegistriesConfig, reference: &Reference) -> Vec<(String, String)> {
        let of = config.of(reference.domain());
        let mut places: Vec<(String, String)> = Vec::new();
        for mirror in &of.mirrors {
            let full =
                if mirror.contains("://") { mirror.clone() } else { format!("https://{mirror}") };
            let (root, prefix) = split_mirror(&full);
            let host = root.split("://").nth(1).unwrap_or_default().to_owned();
            places.push((host, format!("{root}/v2{prefix}/{}", reference.path())));
        }
        places.extend(Self::origin(config, reference));
        places
    }

    /// The registry itself; insecure ones are tried with TLS first, then without.
    pub fn origin(config: &RegistriesConfig, reference: &Reference) -> Vec<(String, String)> {
        let domain = reference.domain();
        let roots = Self::roots(config, domain).into_iter();
        roots.map(|r| (domain.to_owned(), format!("{r}/v2/{}", reference.path()))).collect()
    }

    /// `https://host`, and `http://host` for an insecure registry.
    pub fn roots(config: &RegistriesConfig, domain: &str) -> Vec<String> {
        let host = if domain == "docker.io" { "registry-1.docker.io" } else { domain };
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let insecure =
            config.of(domain).insecure || proxy::is_loopback(name.trim_matches(['[', ']']));
        let schemes: &[&str] = if insecure { &["https", "http"] } else { &["https"] };
        schemes.iter().map(|s| format!("{s}://{host}")).collect()
    }

    pub fn new(
        config: &RegistriesConfig,
        (domain, base): &(String, String),
        credentials: Credentials,
        scopes: Vec<String>,
    ) -> Result<Self> {
        let mut registry = config.of(domain);
        let name = domain.rsplit_once(':').map_or(domain.as_str(), |(name, _)| name);
        registry.insecure |= proxy::is_loopback(name);
        let token = match credentials.registry_token.as_str() {
            "" => None,
            token => HeaderValue::from_str(&format!("Bearer {token}")).ok(),
        };
        Ok(Self {
            http: transport::client(tls::client_config(domain, &registry)?),
            base: base.clone(),
            credentials,
            scopes,
            authorization: Mutex::new(token),
        })
    }

    /// Sends, authenticates when asked to, follows redirects. Any status is an answer.
    pub async fn send(&self, ask: &Ask<'_>) -> Result<Response<Incoming>> {
        let response = self.follow(ask).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let Some(challenge) = auth::challenge(response.headers()) else {
            return Ok(response);
        };
        if !self.answer(challenge).await? {
            return Ok(response);
        }
        self.follow(ask).await
    }

    /// Like [`Session::send`], but a status that is not a success is a refusal.
    pub async fn get_ok(
        &self,
        ask: &Ask<'_>,
    ) -> Result<std::result::Result<Response<Incoming>, Refusal>> {
        let response = self.send(ask).await?;
        if response.status().is_success() {
            return Ok(Ok(response));
        }
        let status = response.status();
        let body = drain(response, 1 << 20).await?;
        Ok(Err(Refusal::parse(status, &body)))
    }

    /// Answers whether there is something new to try with.
    async fn answer(&self, challenge: Challenge) -> Result<bool> {
        let value = match challenge {
            Challenge::Basic => match auth::basic(&self.credentials) {
                Some(value) => value,
                None => return Ok(false),
            },
            Challenge::Bearer { realm, service, scope } => {
                let mut scopes = self.scopes.clone();
                if !scope.is_empty() && !scopes.contains(&scope) {
                    scopes.push(scope);
                }
                auth::token(&self.http, (&realm, &service), &scopes, &self.credentials).await?
            }
        };
        let mut known = self.authorization.lock().expect("no panic while held");
        if known.as_ref() == Some(&value) {
            return Ok(false);
        }
        *known = Some(value);
        Ok(true)
    }

    async fn follow(&self, ask: &Ask<'_>) -> Result<Response<Incoming>> {
        let mut uri: Uri = ask.uri.parse().map_err(|_| bad_uri(&ask.uri))?;
        let home = uri.authority().cloned();
        for _ in 0..REDIRECTS {
            let request = self.request(ask, &uri, uri.authority() == home.as_ref())?;
            let sent = tokio::time::timeout(STALL, self.http.request(request)).await;
            let named = |why: String| {
                let method = capital(ask.method.as_str());
                Error::unavailable(format!("{method} \"{}\": {why}", ask.uri))
            };
            let response = sent
                .map_err(|_| named("the registry does not answer".into()))?
                .map_err(|e| named(chain(&e)))?;
            let redirected = response.status().is_redirection()
                && matches!(ask.method, Method::GET | Method::HEAD);
            let next = response.headers().get(header::LOCATION).and_then(|v| v.to_str().ok());
            match next.filter(|_| redirected) {
                Some(next) => uri = resolve(&uri, next).ok_or_else(|| bad_uri(next))?,
                None => return Ok(response),
            }
        }
        Err(Error::unavailable(format!("{}: too many redirects", ask.uri)))
    }

    /// Credentials go to the registry only, never to where it redirects.
    fn request(&self, ask: &Ask<'_>, uri: &Uri, home: bool) -> Result<Request<RequestBody>> {
        let mut request = Request::builder().method(ask.method.clone()).uri(uri.clone());
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        request =
            request.header(header::USER_AGENT, concat!("boxship/", env!("CARGO_PKG_VERSION")));
        if home && let Some(value) = &*self.authorization.lock().expect("no panic while held") {
            request = request.header(header::AUTHORIZATION, value);
        }
        let body = ask.body.map_or_else(empty, |make| make());
        request.body(body).map_err(|e| Error::invalid(format!("{}: {e}", ask.uri)))
    }
}

fn bad_uri(uri: &str) -> Error {
    Error::unavailable(format!("the registry sent a bad address {uri:?}"))
}

/// A reference (`Location`) against the address it came from.
pub(super) fn resolve(base: &Uri, next: &str) -> Option<Uri> {
    if next.contains("://") {
        return next.parse().ok();
    }
    let path = if next.starts_with('/') { next.to_owned() } else { format!("/{next}") };
    format!("{}://{}{path}", base.scheme_str()?, base.authority()?).parse().ok()
}

/// `https://host/v2/a/b` or `https://host/a/b`: root and prefix.
fn split_mirror(full: &str) -> (String, String) {
    let full = full.trim_end_matches('/');
    let scheme_end = full.find("://").map_or(0, |at| at + 3);
    let path_at = full[scheme_end..].find('/').map_or(full.len(), |at| at + scheme_end);
    let prefix = &full[path_at..];
    let prefix =
        prefix.strip_prefix("/v2").filter(|p| p.is_empty() || p.starts_with('/')).unwrap_or(prefix);
    (full[..path_at].to_owned(), prefix.to_owned())
}

fn capital(method: &str) -> String {
    let lower = method.to_lowercase();
    lower[..1].to_uppercase() + &lower[1..]
}

pub(super) fn empty() -> RequestBody {
    Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn get(uri: Uri) -> Request<RequestBody> {
    let mut request = Request::new(empty());
    *request.uri_mut() = uri;
    request
}

/// The body of an answer, at most `limit` bytes.
pub(super) async fn drain(response: Response<Incoming>, limit: usize) -> Result<Bytes> {
    let body = http_body_util::Limited::new(response.into_body(), limit).collect();
    match tokio::time::timeout(STALL, body).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(e)) => Err(Error::unavailable(format!("reading the registry's answer: {e}"))),
        Err(_) => Err(Error::unavailable("the registry stopped answering")),
    }
}

/// An error with all its causes; hyper hides the interesting ones.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        text = format!("{text}: {e}");
        cause = e.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_order() {
        let text = r#"{"registries":{"docker.io":{"mirrors":["http://127.0.0.1:5000","m.example/v2/hub"]}}}"#;
        let config: RegistriesConfig = serde_json::from_str(text).unwrap();
        let bases = |name: &str| {
            let places = Session::places(&config, &Reference::parse(name).unwrap());
            places.into_iter().map(|(_, base)| base).collect::<Vec<_>>()
        };
        assert_eq!(
            bases("busybox"),
            [
                "http://127.0.0.1:5000/v2/library/busybox",
                "https://m.example/v2/hub/library/busybox",
                "https://registry-1.docker.io/v2/library/busybox",
            ]
        );
        assert_eq!(bases("[::1]:5/x")[1], "http://[::1]:5/v2/x");
        assert_eq!(bases("reg.example/x"), ["https://reg.example/v2/x"]);
    }

    #[test]
    fn locations() {
        let base: Uri = "http://h:5/v2/x/blobs/uploads/".parse().unwrap();
        assert_eq!(resolve(&base, "/v2/u?a=b").unwrap().to_string(), "http://h:5/v2/u?a=b");
        assert_eq!(resolve(&base, "https://o/u").unwrap().to_string(), "https://o/u");
    }
}
