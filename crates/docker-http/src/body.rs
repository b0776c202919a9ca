//! Bodies: whole JSON documents, and streams that are written while they come to be.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body, Frame, Incoming};
use tokio::sync::mpsc;

use crate::refusal::Refusal;

pub type Reply = http::Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Larger JSON documents are refused: no honest client sends them.
const JSON_LIMIT: usize = 8 << 20;

/// A body fed through a channel; one frame per message, flushed at once.
pub struct Feed(mpsc::Receiver<Bytes>);

impl Body for Feed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
    }
}

pub fn full(bytes: impl Into<Bytes>) -> UnsyncBoxBody<Bytes, Infallible> {
    Full::new(bytes.into()).boxed_unsync()
}

/// A body and the sender that feeds it; the sender fails once the client has gone.
pub fn feed() -> (mpsc::Sender<Bytes>, UnsyncBoxBody<Bytes, Infallible>) {
    let (tx, rx) = mpsc::channel(16);
    (tx, Feed(rx).boxed_unsync())
}

/// The whole request body, at most `JSON_LIMIT` bytes.
pub async fn whole(mut body: Incoming) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Refusal::bad_request(format!("reading the body: {e}")))?;
        if let Some(data) = frame.data_ref() {
            if out.len() + data.len() > JSON_LIMIT {
                return Err(Refusal::bad_request("http: request body too large"));
            }
            out.extend_from_slice(data);
        }
    }
    Ok(out)
}

/// The request body as a channel of chunks, for tar streams; a broken body ends with the error.
pub fn chunks(mut body: Incoming) -> mpsc::Receiver<std::io::Result<Bytes>> {
    let (tx, rx) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            let item = match frame {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => Ok(data),
                    Err(_) => continue,
                },
                Err(e) => Err(std::io::Error::other(e)),
            };
            let broken = item.is_err();
            if tx.send(item).await.is_err() || broken {
                return;
            }
        }
    });
    rx
}
