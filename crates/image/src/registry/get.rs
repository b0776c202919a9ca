//! GET of any URL with the trust and the proxies that registries are reached with.

use super::{RegistryConfig, tls, transport};
use crate::{Error, Result};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;

/// One answer, whatever its status; redirections are the caller's.
pub async fn get(url: &str, headers: HeaderMap) -> Result<Response<Incoming>> {
    let bad = |e: &dyn std::fmt::Display| Error::invalid(format!("{url}: {e}"));
    let uri: Uri = url.parse().map_err(|e: http::uri::InvalidUri| bad(&e))?;
    let host = uri.host().ok_or_else(|| bad(&"no host"))?.to_owned();
    let client = transport::client(tls::client_config(&host, &RegistryConfig::default())?);
    let body = Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync();
    let mut request = Request::get(uri).body(body).map_err(|e| bad(&e))?;
    *request.headers_mut() = headers;
    client.request(request).await.map_err(|e| {
        let cause = std::error::Error::source(&e).map(|c| format!(": {c}")).unwrap_or_default();
        Error::unavailable(format!("Get \"{url}\": {e}{cause}"))
    })
}
