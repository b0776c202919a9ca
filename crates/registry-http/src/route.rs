//! From a request line to a call.

use crate::answer::{self, Answer, Oops};
use crate::{blobs, manifests, uploads};
use http::{Method, Request, StatusCode, Uri};
use hyper::body::Incoming;
use image::ImageStore;

/// One endpoint of the specification with its path parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub method: Method,
    pub what: What,
    /// Empty for `/v2/` and the catalog.
    pub name: String,
    pub query: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Ping,
    Catalog,
    Tags,
    Manifest(String),
    Blob(String),
    NewUpload,
    Upload(String),
    Referrers(String),
}

impl Call {
    pub fn writes(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD)
            || matches!(self.what, What::NewUpload | What::Upload(_))
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

pub(crate) fn parse(method: &Method, uri: &Uri) -> Result<Call, Oops> {
    let unknown = || Oops::new(StatusCode::NOT_FOUND, "NOT_FOUND", "404 page not found");
    let path = uri.path();
    let query = parse_query(uri.query().unwrap_or_default());
    let call = |what, name: &str| Call { method: method.clone(), what, name: name.into(), query };
    let rest = path.strip_prefix("/v2").ok_or_else(unknown)?;
    if rest.is_empty() || rest == "/" {
        return Ok(call(What::Ping, ""));
    }
    let rest = decode(rest.strip_prefix('/').ok_or_else(unknown)?);
    if rest == "_catalog" {
        return Ok(call(What::Catalog, ""));
    }
    let (name, what) = split(&rest).ok_or_else(unknown)?;
    if !oci::reference::is_path(name) || name.len() > 255 {
        let text = "invalid repository name";
        return Err(Oops::new(StatusCode::BAD_REQUEST, "NAME_INVALID", text));
    }
    Ok(call(what, name))
}

/// The last marker wins: repository names may contain words like `tags`.
fn split(path: &str) -> Option<(&str, What)> {
    if let Some(name) = path.strip_suffix("/tags/list") {
        return Some((name, What::Tags));
    }
    let uploads = path.strip_suffix("/blobs/uploads/").or(path.strip_suffix("/blobs/uploads"));
    if let Some(name) = uploads {
        return Some((name, What::NewUpload));
    }
    let (front, last) = path.rsplit_once('/')?;
    let last = last.to_owned();
    if let Some(name) = front.strip_suffix("/blobs/uploads") {
        return Some((name, What::Upload(last)));
    }
    if let Some(name) = front.strip_suffix("/manifests") {
        return Some((name, What::Manifest(last)));
    }
    if let Some(name) = front.strip_suffix("/blobs") {
        return Some((name, What::Blob(last)));
    }
    front.strip_suffix("/referrers").map(|name| (name, What::Referrers(last)))
}

pub(crate) async fn run(
    store: ImageStore,
    call: Call,
    request: Request<Incoming>,
) -> Result<Answer, Oops> {
    const GET: &Method = &Method::GET;
    const HEAD: &Method = &Method::HEAD;
    let reads = matches!(&call.method, m if m == GET || m == HEAD);
    match (&call.what, &call.method) {
        (What::Ping, _) if reads => Ok(answer::json(StatusCode::OK, &serde_json::json!({}))),
        (What::Catalog, _) if reads => manifests::catalog(&store, &call),
        (What::Tags, _) if reads => manifests::tags(&store, &call),
        (What::Referrers(digest), _) if reads => manifests::referrers(&store, &call, digest),
        (What::Manifest(reference), _) if reads => manifests::get(&store, &call.name, reference),
        (What::Manifest(reference), &Method::PUT) => {
            manifests::put(store, &call.name, reference, request).await
        }
        (What::Manifest(reference), &Method::DELETE) => {
            manifests::delete(&store, &call.name, reference)
        }
        (What::Blob(digest), _) if reads => {
            blobs::get(store, &call, digest, request.headers()).await
        }
        (What::Blob(digest), &Method::DELETE) => blobs::delete(&store, &call.name, digest),
        (What::NewUpload, &Method::POST) => uploads::start(store, &call, request).await,
        (What::Upload(id), &Method::PATCH) => uploads::patch(store, &call, id, request).await,
        (What::Upload(id), &Method::PUT) => uploads::finish(store, &call, id, request).await,
        (What::Upload(id), &Method::DELETE) => uploads::cancel(&store, id),
        (What::Upload(id), _) if reads => uploads::status(&store, &call.name, id),
        _ => {
            let text = "the operation is unsupported";
            Err(Oops::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", text))
        }
    }
}

pub(crate) fn parse_query(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|p| !p.is_empty());
    let decoded = |t: &str| decode(&t.replace('+', " "));
    pairs
        .map(|p| p.split_once('=').unwrap_or((p, "")))
        .map(|(k, v)| (decoded(k), decoded(v)))
        .collect()
}

/// Percent decoding; what is not valid stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|h| u8::from_str_radix(h, 16).ok());
        match hex.filter(|_| bytes[at] == b'%') {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(path: &str) -> Option<(String, What)> {
        let call = parse(&Method::GET, &path.parse().expect("a URI")).ok()?;
        Some((call.name, call.what))
    }

    #[test]
    fn paths() {
        let some = |name: &str, what| Some((name.to_owned(), what));
        assert_eq!(what("/v2"), some("", What::Ping));
        assert_eq!(what("/v2/_catalog?n=1"), some("", What::Catalog));
        assert_eq!(what("/v2/a/b/tags/list"), some("a/b", What::Tags));
        assert_eq!(what("/v2/tags/tags/list"), some("tags", What::Tags));
        assert_eq!(what("/v2/a/blobs/uploads/"), some("a", What::NewUpload));
        assert_eq!(what("/v2/a/blobs/uploads/x"), some("a", What::Upload("x".into())));
        assert_eq!(what("/v2/a/manifests/v1"), some("a", What::Manifest("v1".into())));
        assert_eq!(what("/v2/a/blobs/sha256%3Ax"), some("a", What::Blob("sha256:x".into())));
        for bad in
            ["/", "/v1/", "/v2x", "/v2/A/tags/list", "/v2/../tags/list", "/v2/a", "/v2/a/x/y"]
        {
            assert_eq!(what(bad), None, "{bad}");
        }
    }
}
