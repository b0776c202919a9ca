//! Response bodies: ropes, watches, and streams of others.

use crate::gzip::GzipBody;
use crate::watch::WatchBody;
use api::{Chunk, Rope};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use store::Object;

/// Pieces are gathered up to this many bytes, so that a list of small objects is not a storm of tiny frames.
const FRAME: usize = 64 * 1024;
/// Larger pieces go out as they are, without being copied.
const LARGE: usize = 8 * 1024;

/// What a response streams.
pub enum Body {
    Rope(RopeBody),
    Gzip(Box<GzipBody>),
    Watch(Box<WatchBody>),
    Stream(UnsyncBoxBody<Bytes, io::Error>),
}

impl Body {
    pub fn empty() -> Self {
        Self::Rope(RopeBody::new(Rope::default()))
    }

    /// Any other stream, such as a container's log.
    pub fn stream<B>(body: B) -> Self
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        Self::Stream(body.map_err(io::Error::other).boxed_unsync())
    }
}

impl From<Rope> for Body {
    fn from(rope: Rope) -> Self {
        Self::Rope(RopeBody::new(rope))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Rope(vec![Chunk::Bytes(text.into())]).into()
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Rope(rope) => Poll::Ready(rope.next().map(|piece| Ok(Frame::data(piece)))),
            Self::Gzip(gzip) => Poll::Ready(gzip.next_frame()),
            Self::Watch(watch) => watch.poll_next(cx).map(|some| some.map(|b| Ok(Frame::data(b)))),
            Self::Stream(stream) => Pin::new(stream).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Rope(rope) => rope.left == 0,
            Self::Gzip(_) | Self::Watch(_) => false,
            Self::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Rope(rope) => SizeHint::with_exact(rope.left as u64),
            Self::Gzip(_) | Self::Watch(_) => SizeHint::default(),
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}

/// Hands out a rope piece by piece, dropping each object once it is sent.
pub struct RopeBody {
    chunks: std::vec::IntoIter<Chunk>,
    /// A large piece that did not fit into the frame before it.
    held: Option<Chunk>,
    left: usize,
}

impl RopeBody {
    pub fn new(rope: Rope) -> Self {
        let left = rope.len();
        Self { chunks: rope.0.into_iter(), held: None, left }
    }
}

impl Iterator for RopeBody {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut gathered = BytesMut::new();
        while let Some(chunk) = self.held.take().or_else(|| self.chunks.next()) {
            let len = chunk.as_slice().len();
            let large = len >= LARGE;
            if !gathered.is_empty() && (large || gathered.len() + len > FRAME) {
                self.held = Some(chunk);
                break;
            }
            self.left -= len;
            if large {
                return Some(whole(chunk));
            }
            if gathered.capacity() == 0 {
                gathered.reserve(FRAME.min(self.left + len));
            }
            gathered.extend_from_slice(chunk.as_slice());
        }
        (!gathered.is_empty()).then(|| gathered.freeze())
    }
}

/// The chunk's bytes, shared with the store.
fn whole(chunk: Chunk) -> Bytes {
    match chunk {
        Chunk::Static(bytes) => Bytes::from_static(bytes),
        Chunk::Bytes(bytes) => bytes,
        Chunk::Stored(object) => Bytes::from_owner(Stored(object)),
    }
}

struct Stored(Arc<Object>);

impl AsRef<[u8]> for Stored {
    fn as_ref(&self) -> &[u8] {
        self.0.json()
    }
}

/// One contiguous piece; the fewest copies for short ropes such as a watch event.
pub fn append(out: &mut BytesMut, rope: &Rope) {
    for chunk in &rope.0 {
        out.extend_from_slice(chunk.as_slice());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_are_gathered_and_large_ones_pass() {
        let small = || Chunk::Static(b"abc");
        let big = Bytes::from(vec![b'x'; LARGE]);
        let rope = Rope(vec![small(), small(), Chunk::Bytes(big.clone()), small()]);
        let mut body = RopeBody::new(rope);
        let pieces: Vec<_> = body.by_ref().collect();
        assert_eq!(pieces.len(), 3);
        assert_eq!(&pieces[0][..], b"abcabc");
        assert_eq!(pieces[1].as_ptr(), big.as_ptr(), "not copied");
        assert_eq!(body.left, 0);
    }
}
