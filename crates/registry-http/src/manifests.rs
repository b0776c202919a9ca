//! Manifests, tags, catalog, referrers.

use crate::answer::{self, Answer, Oops, with};
use crate::route::Call;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use image::{ErrorKind, ImageStore};
use oci::{Digest, media};

/// distribution's limit.
const MANIFEST_MAX: usize = 4 << 20;

pub(crate) fn get(store: &ImageStore, name: &str, reference: &str) -> Result<Answer, Oops> {
    let found = store
        .repository_manifest(name, reference)
        .map_err(|e| Oops::of(e, "MANIFEST_UNKNOWN"))?
        .ok_or_else(Oops::manifest_unknown)?;
    let answer = answer::bytes(StatusCode::OK, &found.media_type, found.bytes);
    let answer = with(answer, "docker-content-digest", &found.digest);
    Ok(with(answer, header::ETAG, format!("\"{}\"", found.digest)))
}

pub(crate) async fn put(
    store: ImageStore,
    name: &str,
    reference: &str,
    request: Request<Incoming>,
) -> Result<Answer, Oops> {
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let media_type = media_type.unwrap_or_default().to_owned();
    let body = Limited::new(request.into_body(), MANIFEST_MAX).collect().await.map_err(|_| {
        let text = "manifest is too large or incomplete";
        Oops::new(StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID", text)
    })?;
    let bytes = body.to_bytes();
    let (path, wanted) = (name.to_owned(), reference.to_owned());
    let stored = blocking(move || store.put_manifest(&path, &wanted, &media_type, &bytes)).await?;
    let (digest, subject) = stored.map_err(|e| match e.kind {
        ErrorKind::NotFound => {
            Oops::new(StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN", e.to_string())
        }
        ErrorKind::Invalid if e.message.contains("digest did not match") => Oops::digest_invalid(),
        _ => Oops::of(e, "MANIFEST_INVALID"),
    })?;
    let answer = answer::empty(StatusCode::CREATED);
    let answer = with(answer, header::LOCATION, format!("/v2/{name}/manifests/{digest}"));
    let answer = with(answer, "docker-content-digest", &digest);
    Ok(match subject {
        Some(subject) => with(answer, "oci-subject", subject),
        None => answer,
    })
}

pub(crate) fn delete(store: &ImageStore, name: &str, reference: &str) -> Result<Answer, Oops> {
    let gone = store.delete_manifest(name, reference).map_err(|e| Oops::of(e, "UNKNOWN"))?;
    match gone {
        true => Ok(answer::empty(StatusCode::ACCEPTED)),
        false => Err(Oops::manifest_unknown()),
    }
}

pub(crate) fn tags(store: &ImageStore, call: &Call) -> Result<Answer, Oops> {
    let all = store.repository_tags(&call.name).ok_or_else(Oops::name_unknown)?;
    let page = page(&all, call)?;
    let body = serde_json::json!({ "name": call.name, "tags": page });
    Ok(paged(
        answer::json(StatusCode::OK, &body),
        page,
        &all,
        call,
        &format!("{}/tags/list", call.name),
    ))
}

pub(crate) fn catalog(store: &ImageStore, call: &Call) -> Result<Answer, Oops> {
    let all = store.repositories();
    let page = page(&all, call)?;
    let body = serde_json::json!({ "repositories": page });
    Ok(paged(answer::json(StatusCode::OK, &body), page, &all, call, "_catalog"))
}

/// The part of a sorted list that `n` and `last` ask for.
fn page<'a>(all: &'a [String], call: &Call) -> Result<&'a [String], Oops> {
    let from = call.get("last").map_or(0, |last| all.partition_point(|t| t.as_str() <= last));
    let rest = &all[from..];
    let Some(n) = call.get("n") else { return Ok(rest) };
    let n: usize = n.parse().map_err(|_| {
        let text = "invalid number of results requested";
        Oops::new(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", text)
    })?;
    Ok(&rest[..n.min(rest.len())])
}

/// Adds the link to the next page when there is one.
fn paged(answer: Answer, page: &[String], all: &[String], call: &Call, path: &str) -> Answer {
    match page.last() {
        Some(last) if Some(last) != all.last() => {
            let n = page.len();
            let n = call.get("n").map_or(n.to_string(), str::to_owned);
            with(answer, header::LINK, format!("</v2/{path}?last={last}&n={n}>; rel=\"next\""))
        }
        _ => answer,
    }
}

pub(crate) fn referrers(store: &ImageStore, call: &Call, digest: &str) -> Result<Answer, Oops> {
    let digest: Digest = digest
        .parse()
        .map_err(|_| Oops::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "invalid digest"))?;
    let mut index =
        store.referrers(&call.name, &digest).map_err(|e| Oops::of(e, "MANIFEST_UNKNOWN"))?;
    let filter = call.get("artifactType");
    if let Some(wanted) = filter {
        index.manifests.retain(|d| d.artifact_type.as_deref() == Some(wanted));
    }
    let body = serde_json::to_vec(&index).expect("plain data");
    let answer = answer::bytes(StatusCode::OK, media::OCI_INDEX, body);
    Ok(match filter {
        Some(_) => with(answer, "oci-filters-applied", "artifactType"),
        None => answer,
    })
}

/// Runs the store's blocking work on a thread.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Oops> {
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        tracing::error!("registry worker: {e}");
        Oops::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "unknown error")
    })
}
