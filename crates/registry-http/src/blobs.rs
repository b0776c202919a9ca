//! Blobs: whole or in ranges.

use crate::answer::{self, Answer, Oops, with};
use crate::route::Call;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use image::ImageStore;
use oci::Digest;
use std::fs::File;
use std::io::{self, Read, Seek as _};
use tokio::sync::mpsc;

pub(crate) fn parse_digest(text: &str) -> Result<Digest, Oops> {
    text.parse().map_err(|e: oci::DigestError| {
        Oops::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", e.to_string())
    })
}

pub(crate) async fn get(
    store: ImageStore,
    call: &Call,
    digest: &str,
    headers: &HeaderMap,
) -> Result<Answer, Oops> {
    let digest = parse_digest(digest)?;
    let size = store.repository_blob(&call.name, &digest).ok_or_else(Oops::blob_unknown)?;
    // Layers that are printed anew have no parts: their ranges are ignored, as RFC 9110 allows.
    let file = store.blob_file(&digest);
    let range = headers.get(header::RANGE).filter(|_| file.is_some());
    let range = range.and_then(|v| v.to_str().ok());
    let range = range.map(|text| parse_range(text, size)).transpose()?.flatten();
    let (from, to) = range.unwrap_or((0, size));
    let (sender, receiver) = mpsc::channel(4);
    let ranged = file.is_some();
    if call.method == Method::GET {
        let digest = digest.clone();
        tokio::task::spawn_blocking(move || send(&store, file, &digest, (from, to), &sender));
    }
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let answer = answer::stream(status, to - from, receiver);
    let answer = with(answer, "docker-content-digest", &digest);
    let ranges = if ranged { "bytes" } else { "none" };
    let answer = with(answer, header::ACCEPT_RANGES, ranges);
    let answer = with(answer, header::ETAG, format!("\"{digest}\""));
    let answer = with(answer, header::CACHE_CONTROL, "max-age=31536000");
    Ok(match range {
        Some(_) => with(answer, header::CONTENT_RANGE, format!("bytes {from}-{}/{size}", to - 1)),
        None => answer,
    })
}

/// Reads on a thread; a client that goes away ends it.
fn send(
    store: &ImageStore,
    file: Option<File>,
    digest: &Digest,
    (from, to): (u64, u64),
    sender: &mpsc::Sender<io::Result<Bytes>>,
) {
    let opened: io::Result<Box<dyn Read>> = match file {
        Some(mut file) => file
            .seek(io::SeekFrom::Start(from))
            .map(|_| Box::new(file.take(to - from)) as Box<dyn Read>),
        None => store.blob_stream(digest).map(|(_, s)| s as Box<dyn Read>).map_err(Into::into),
    };
    let streamed = opened.and_then(|mut stream| {
        loop {
            let mut chunk = vec![0; 128 << 10];
            let got = stream.read(&mut chunk)?;
            chunk.truncate(got);
            if got == 0 || sender.blocking_send(Ok(chunk.into())).is_err() {
                return Ok(());
            }
        }
    });
    if let Err(e) = streamed {
        tracing::error!("registry: cannot read blob {digest}: {e}");
        let _ = sender.blocking_send(Err(e));
    }
}

/// `bytes=a-b`, `bytes=a-`, `bytes=-n`. Several ranges or other units are ignored, as RFC 9110
/// allows; answers start and end (exclusive).
fn parse_range(text: &str, size: u64) -> Result<Option<(u64, u64)>, Oops> {
    let Some(spec) = text.strip_prefix("bytes=").filter(|s| !s.contains(',')) else {
        return Ok(None);
    };
    let Some((from, to)) = spec.split_once('-') else { return Ok(None) };
    let number = |t: &str| t.parse::<u64>().map_err(|_| Oops::range_invalid());
    let (from, to) = match (from.trim(), to.trim()) {
        ("", n) => (size.saturating_sub(number(n)?), size),
        (a, "") => (number(a)?, size),
        (a, b) => (number(a)?, number(b)?.saturating_add(1).min(size)),
    };
    if from >= to { Err(Oops::range_invalid()) } else { Ok(Some((from, to))) }
}

pub(crate) fn delete(store: &ImageStore, name: &str, digest: &str) -> Result<Answer, Oops> {
    let digest = parse_digest(digest)?;
    let gone = store.delete_repository_blob(name, &digest).map_err(|e| Oops::of(e, "UNKNOWN"))?;
    match gone {
        true => Ok(answer::empty(StatusCode::ACCEPTED)),
        false => Err(Oops::blob_unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let rows = [
            ("bytes=0-4", Some((0, 5))),
            ("bytes=5-", Some((5, 10))),
            ("bytes=-3", Some((7, 10))),
            ("bytes=0-99", Some((0, 10))),
            ("bytes=0-1,3-4", None),
            ("lines=1-2", None),
        ];
        for (text, want) in rows {
            assert_eq!(parse_range(text, 10).expect(text), want, "{text}");
        }
        for bad in ["bytes=10-", "bytes=5-4", "bytes=x-1", "bytes=-0"] {
            assert!(parse_range(bad, 10).is_err(), "{bad}");
        }
    }
}
