//! Uploads: in one request, in one after a start, in chunks, or by mounting.

use crate::answer::{self, Answer, Oops, with};
use crate::blobs::parse_digest;
use crate::manifests::blocking;
use crate::route::Call;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use image::{ErrorKind, ImageStore};

pub(crate) async fn start(
    store: ImageStore,
    call: &Call,
    request: Request<Incoming>,
) -> Result<Answer, Oops> {
    if let Some(digest) = call.get("mount") {
        let wanted = parse_digest(digest)?;
        let mounted = store.mount_blob(&call.name, &wanted, call.get("from"));
        if mounted.map_err(|e| Oops::of(e, "UNKNOWN"))? {
            return Ok(created(&call.name, digest));
        }
    }
    let id = store.start_upload().map_err(|e| Oops::of(e, "UNKNOWN"))?;
    let Some(digest) = call.get("digest") else {
        let answer = progress(StatusCode::ACCEPTED, &call.name, &id, 0);
        return Ok(with(answer, "oci-chunk-min-length", 1));
    };
    let wanted = parse_digest(digest)?;
    receive(&store, &id, 0, request).await?;
    complete(store, call.name.clone(), id, wanted).await?;
    Ok(created(&call.name, digest))
}

pub(crate) async fn patch(
    store: ImageStore,
    call: &Call,
    id: &str,
    request: Request<Incoming>,
) -> Result<Answer, Oops> {
    let have = size(&store, id)?;
    check_range(request.headers(), have)?;
    let now = receive(&store, id, have, request).await?;
    Ok(progress(StatusCode::ACCEPTED, &call.name, id, now))
}

pub(crate) async fn finish(
    store: ImageStore,
    call: &Call,
    id: &str,
    request: Request<Incoming>,
) -> Result<Answer, Oops> {
    let have = size(&store, id)?;
    let missing =
        || Oops::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "digest parameter missing");
    let digest = call.get("digest").ok_or_else(missing)?.to_owned();
    let wanted = parse_digest(&digest)?;
    check_range(request.headers(), have)?;
    receive(&store, id, have, request).await?;
    complete(store, call.name.clone(), id.to_owned(), wanted).await?;
    Ok(created(&call.name, &digest))
}

pub(crate) fn cancel(store: &ImageStore, id: &str) -> Result<Answer, Oops> {
    size(store, id)?;
    store.cancel_upload(id).map_err(|e| Oops::of(e, "BLOB_UPLOAD_UNKNOWN"))?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

pub(crate) fn status(store: &ImageStore, name: &str, id: &str) -> Result<Answer, Oops> {
    Ok(progress(StatusCode::NO_CONTENT, name, id, size(store, id)?))
}

fn size(store: &ImageStore, id: &str) -> Result<u64, Oops> {
    store.upload_size(id).map_err(|_| Oops::upload_unknown())
}

/// A chunk must begin where the last one ended.
fn check_range(headers: &HeaderMap, have: u64) -> Result<(), Oops> {
    let Some(range) = headers.get(header::CONTENT_RANGE) else { return Ok(()) };
    let text = range.to_str().unwrap_or_default();
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    let parsed = text.split_once('-').and_then(|(from, to)| {
        let to = to.split('/').next()?;
        Some((from.trim().parse::<u64>().ok()?, to.trim().parse::<u64>().ok()?))
    });
    match parsed {
        Some((from, to)) if from == have && to >= from => Ok(()),
        _ => Err(Oops::range_invalid()),
    }
}

/// Writes the body behind what is there; what arrived before a broken connection stays.
async fn receive(
    store: &ImageStore,
    id: &str,
    mut at: u64,
    request: Request<Incoming>,
) -> Result<u64, Oops> {
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        let broken = |_| {
            let text = "the upload broke off";
            Oops::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", text)
        };
        let Ok(chunk) = frame.map_err(broken)?.into_data() else { continue };
        let (store, id) = (store.clone(), id.to_owned());
        let written = blocking(move || store.append_upload(&id, at, &chunk)).await?;
        at = written.map_err(|e| match e.kind {
            ErrorKind::NotFound => Oops::upload_unknown(),
            ErrorKind::Conflict => Oops::range_invalid(),
            _ => Oops::of(e, "BLOB_UPLOAD_INVALID"),
        })?;
    }
    Ok(at)
}

async fn complete(
    store: ImageStore,
    name: String,
    id: String,
    digest: oci::Digest,
) -> Result<(), Oops> {
    let finished = blocking(move || store.finish_upload(&id, &name, &digest)).await?;
    finished.map(|_| ()).map_err(|e| match e.kind {
        ErrorKind::Invalid => Oops::digest_invalid(),
        _ => Oops::of(e, "BLOB_UPLOAD_UNKNOWN"),
    })
}

fn created(name: &str, digest: &str) -> Answer {
    let answer = answer::empty(StatusCode::CREATED);
    let answer = with(answer, header::LOCATION, format!("/v2/{name}/blobs/{digest}"));
    with(answer, "docker-content-digest", digest)
}

fn progress(status: StatusCode, name: &str, id: &str, size: u64) -> Answer {
    let answer = answer::empty(status);
    let answer = with(answer, header::LOCATION, format!("/v2/{name}/blobs/uploads/{id}"));
    let answer = with(answer, "docker-upload-uuid", id);
    with(answer, header::RANGE, format!("0-{}", size.saturating_sub(1)))
}
