//! Attach: the connection becomes the container's streams.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use engine::{Attached, LogLine, LogOptions};
use http::StatusCode;
use runtime::AttachSpec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::{Handled, logs};
use crate::body::{self, feed};
use crate::call::{self, Call, RawRead, RawWrite, switching, take_over};
use crate::pump::{Ended, Framing, both_ways};
use crate::refusal::Refusal;
use crate::{detach, mux};

const CHUNK: usize = 16 << 10;

pub(super) type Session = Pin<Box<dyn Future<Output = ()> + Send>>;

/// `POST /containers/{id}/attach`
pub async fn attach(call: Call) -> Handled {
    let engine = call.face.engine.clone();
    let id = call.param(0).to_owned();
    let keys = detach_keys(call.query.get("detachKeys"))?;
    let record = engine.inspect(&id)?;
    let tty = record.config.tty;
    let wants = |key: &str| call.query.flag(key);
    let spec = AttachSpec {
        stdin: wants("stdin") && record.config.open_stdin,
        stdout: wants("stdout"),
        stderr: wants("stderr"),
    };
    let past = LogOptions { stdout: spec.stdout, stderr: spec.stderr, ..LogOptions::default() };
    let past = if wants("logs") { Some(engine.logs(&id, past).await?) } else { None };
    let attached = match wants("stream") {
        true => Some(engine.attach(&id, spec).await?),
        false => None,
    };
    let kind = call::stream_type(call.version, tty, call.wants_upgrade());
    let keys = (tty && spec.stdin).then_some(keys);
    Ok(open(call, kind, move |io| {
        Box::pin(async move {
            if serve(io, past, attached, keys).await == Some(Ended::Detached) {
                // The container may be gone by now, and its event with it.
                let _ = engine.detached(&id);
            }
        })
    }))
}

/// What was written so far, then what is written from now on.
async fn serve(
    (read, mut write): (RawRead, RawWrite),
    past: Option<mpsc::Receiver<LogLine>>,
    attached: Option<Attached>,
    keys: Option<Vec<u8>>,
) -> Option<Ended> {
    let framing = Framing::of(attached.as_ref().is_some_and(|a| a.tty));
    if let Some(mut lines) = past {
        while let Some(line) = lines.recv().await {
            let bytes = framing.wrap(logs::kind(&line), line.text.as_bytes());
            write.write_all(&bytes).await.ok()?;
        }
    }
    let streams = match attached {
        Some(attached) => attached.streams().await,
        None => None,
    };
    match streams {
        Some(streams) => Some(both_ways((read, write), streams, framing, keys, async {}).await),
        None => {
            let _ = write.shutdown().await;
            None
        }
    }
}

/// Switches protocols, or answers with a body that is the output when no upgrade was asked for.
pub(super) fn open<F>(call: Call, kind: &'static str, session: F) -> body::Reply
where
    F: FnOnce((RawRead, RawWrite)) -> Session + Send + 'static,
{
    if call.wants_upgrade() {
        let upgrade = call.upgrade;
        tokio::spawn(async move {
            if let Ok(io) = take_over(upgrade).await {
                session(io).await;
            }
        });
        return switching(kind);
    }
    let (tx, body) = feed();
    let (near, far) = tokio::io::duplex(CHUNK);
    tokio::spawn(session((reader(call.body), Box::new(near))));
    tokio::spawn(forward(far, tx));
    let mut reply = http::Response::new(body);
    *reply.status_mut() = StatusCode::OK;
    // Closing ends this body, as dockerd's does: clients read the bare socket.
    *reply.version_mut() = http::Version::HTTP_10;
    let kind = http::HeaderValue::from_static(mux::RAW);
    reply.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    reply
}

async fn forward(mut from: tokio::io::DuplexStream, to: mpsc::Sender<Bytes>) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(count) = from.read(&mut buffer).await {
        let bytes = Bytes::copy_from_slice(&buffer[..count]);
        if count == 0 || to.send(bytes).await.is_err() {
            return;
        }
    }
}

/// A request body as a reader.
fn reader(body: hyper::body::Incoming) -> RawRead {
    let mut chunks = body::chunks(body);
    let (mut near, far) = tokio::io::duplex(CHUNK);
    tokio::spawn(async move {
        while let Some(Ok(bytes)) = chunks.recv().await {
            if near.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = near.shutdown().await;
    });
    Box::new(far)
}

pub(super) fn detach_keys(text: &str) -> Result<Vec<u8>, Refusal> {
    let text = if text.is_empty() { "ctrl-p,ctrl-q" } else { text };
    detach::parse(text)
        .ok_or_else(|| Refusal::bad_request(format!("Invalid detach keys ({text}) provided")))
}
