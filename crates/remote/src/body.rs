//! Bodies of requests and answers.

use crate::Error;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Frame, Incoming};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

/// What a request carries.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Sends what `source` gives, as it comes.
pub fn stream(mut source: impl AsyncRead + Send + Unpin + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        let mut buffer = bytes::BytesMut::with_capacity(CHUNK);
        loop {
            buffer.reserve(CHUNK);
            let item = match source.read_buf(&mut buffer).await {
                Ok(0) => return,
                Ok(_) => Ok(Frame::data(buffer.split().freeze())),
                Err(e) => Err(e),
            };
            let last = item.is_err();
            // Nobody reading means the request is over.
            if sender.send(item).await.is_err() || last {
                return;
            }
        }
    });
    Receiver(receiver).boxed_unsync()
}

const CHUNK: usize = 64 << 10;

struct Receiver(mpsc::Receiver<io::Result<Frame<Bytes>>>);

impl hyper::body::Body for Receiver {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx)
    }
}

/// The whole body of an answer.
///
/// # Errors
/// When the connection breaks meanwhile.
pub async fn read(body: Incoming) -> Result<Bytes, Error> {
    let collected = body.collect().await;
    Ok(collected.map_err(|e| Error::broken("read the answer", e))?.to_bytes())
}
