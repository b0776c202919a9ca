//! Bodies on their way through.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// What clients get.
pub(crate) type Answer = BoxBody<Bytes, hyper::Error>;

pub(crate) fn text(text: impl Into<Bytes>) -> Answer {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

/// A client's body that is lent to one attempt after another, until one has begun to read it.
#[derive(Clone)]
pub(crate) struct Lent(Arc<Mutex<State>>);

struct State {
    body: Incoming,
    read: bool,
}

impl Lent {
    pub(crate) fn new(body: Incoming) -> Self {
        Self(Arc::new(Mutex::new(State { body, read: false })))
    }

    /// Whether nothing of it is gone, so that another backend can have it all.
    pub(crate) fn is_whole(&self) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !state.read || state.body.is_end_stream()
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let polled = Pin::new(&mut state.body).poll_frame(cx);
        state.read |= polled.is_ready();
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).body.size_hint()
    }
}
