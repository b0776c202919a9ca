//! Downloads of blobs: resumed where they stopped, in parallel ranges when they are huge.

use super::follow::{Downloading, Tide};
use super::session::{Ask, STALL, Session};
use crate::error::Doing as _;
use crate::{Error, ErrorKind, Reporter, Result};
use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body_util::BodyExt as _;
use oci::Descriptor;
use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

/// Blobs beyond this are fetched in ranges.
const HUGE: u64 = 64 << 20;
/// One range, and how many are under way; together they bound the memory of a huge download.
const RANGE: u64 = 4 << 20;
const AHEAD: usize = 4;
const ATTEMPTS: u32 = 5;
const NO_RANGES: &str = "the registry does not serve ranges";

/// A download into a partial file.
pub(super) struct Download<'a> {
    pub session: &'a Session,
    pub blob: &'a Descriptor,
    pub file: &'a File,
    pub tide: Arc<Tide>,
    pub reporter: &'a Reporter,
}

impl Download<'_> {
    /// Fetches what is missing behind the first `have` bytes of the file.
    pub async fn run(&self, have: u64) -> Result<()> {
        let guard = Downloading(self.tide.clone());
        let mut have = have;
        self.tide.rise(have);
        let mut attempt = 0;
        let mut ranged = true;
        while have < self.blob.size {
            let before = have;
            let huge = ranged && self.blob.size - have > HUGE;
            let tried =
                if huge { self.ranges(&mut have).await } else { self.stream(&mut have).await };
            let Err(error) = tried else { continue };
            if huge && error.message == NO_RANGES {
                ranged = false;
                continue;
            }
            attempt = if have > before { 1 } else { attempt + 1 };
            if attempt >= ATTEMPTS || error.kind != ErrorKind::Unavailable {
                return Err(error);
            }
            tracing::warn!(digest = %self.blob.digest, "download interrupted, resuming: {error}");
            tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
        }
        self.tide.complete();
        drop(guard);
        Ok(())
    }

    fn ask(&self, range: Option<(u64, u64)>) -> Ask<'static> {
        let uri = format!("{}/blobs/{}", self.session.base, self.blob.digest);
        let ask = Ask::new(Method::GET, uri);
        match range {
            Some((from, to)) => ask.with(header::RANGE, format!("bytes={from}-{}", to - 1)),
            None => ask,
        }
    }

    /// One request for all that is missing.
    async fn stream(&self, have: &mut u64) -> Result<()> {
        let range = (*have > 0).then_some((*have, self.blob.size));
        let response = self.session.get_ok(&self.ask(range)).await?.map_err(|r| r.plain())?;
        // A server without ranges begins anew; what is here was already hashed and stays.
        let whole = response.status() != StatusCode::PARTIAL_CONTENT;
        let mut skip = if whole { *have } else { 0 };
        let mut body = response.into_body();
        while let Some(mut chunk) = next_chunk(&mut body).await? {
            let dropped = usize::try_from(skip).map_or(chunk.len(), |n| n.min(chunk.len()));
            skip -= dropped as u64;
            self.put(have, &chunk.split_off(dropped))?;
        }
        match *have == self.blob.size {
            true => Ok(()),
            false => Err(Error::unavailable("unexpected EOF")),
        }
    }

    /// Several ranges at once, written in order so that the file is always a prefix.
    async fn ranges(&self, have: &mut u64) -> Result<()> {
        let mut running = VecDeque::new();
        let mut next = *have;
        let mut work = ordered::Ordered::default();
        while *have < self.blob.size {
            while running.len() < AHEAD && next < self.blob.size {
                let to = (next + RANGE).min(self.blob.size);
                work.push(Box::pin(self.range(next, to)));
                running.push_back(());
                next = to;
            }
            let chunk = work.next().await?;
            running.pop_front();
            self.put(have, &chunk)?;
        }
        Ok(())
    }

    async fn range(&self, from: u64, to: u64) -> Result<Bytes> {
        let ask = self.ask(Some((from, to)));
        let response = self.session.get_ok(&ask).await?.map_err(|r| r.plain())?;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return Err(Error::invalid(NO_RANGES));
        }
        let length = usize::try_from(to - from).expect("a range is small");
        let bytes = super::session::drain(response, length).await?;
        match bytes.len() == length {
            true => Ok(bytes),
            false => Err(Error::unavailable("unexpected EOF")),
        }
    }

    fn put(&self, have: &mut u64, chunk: &[u8]) -> Result<()> {
        let end = *have + chunk.len() as u64;
        if end > self.blob.size {
            return Err(Error::invalid(format!(
                "blob {} is longer than announced",
                self.blob.digest
            )));
        }
        self.file.write_all_at(chunk, *have).doing("writing the download")?;
        let step = 512 << 10;
        if end / step != *have / step || end == self.blob.size {
            self.reporter.bytes(self.blob.digest.short(), "Downloading", end, self.blob.size);
        }
        *have = end;
        self.tide.rise(end);
        Ok(())
    }
}

async fn next_chunk(body: &mut hyper::body::Incoming) -> Result<Option<Bytes>> {
    loop {
        let frame = tokio::time::timeout(STALL, body.frame())
            .await
            .map_err(|_| Error::unavailable("the registry stopped sending"))?;
        match frame {
            None => return Ok(None),
            Some(Err(e)) => return Err(Error::unavailable(format!("download broke off: {e}"))),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Futures that run together and finish in the order they were added.
mod ordered {
    use std::collections::VecDeque;
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;

    type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

    pub(super) struct Ordered<'a, T>(VecDeque<Slot<'a, T>>);

    enum Slot<'a, T> {
        Running(Boxed<'a, T>),
        Done(Option<T>),
    }

    impl<T> Default for Ordered<'_, T> {
        fn default() -> Self {
            Self(VecDeque::new())
        }
    }

    impl<'a, T: Unpin> Ordered<'a, T> {
        pub fn push(&mut self, future: Boxed<'a, T>) {
            self.0.push_back(Slot::Running(future));
        }

        /// The oldest one's answer. Must not be called when there is none.
        pub async fn next(&mut self) -> T {
            poll_fn(|cx| {
                for slot in &mut self.0 {
                    if let Slot::Running(future) = slot
                        && let Poll::Ready(value) = future.as_mut().poll(cx)
                    {
                        *slot = Slot::Done(Some(value));
                    }
                }
                match self.0.front_mut() {
                    Some(Slot::Done(value)) => {
                        let value = value.take().expect("taken once, then removed");
                        self.0.pop_front();
                        Poll::Ready(value)
                    }
                    _ => Poll::Pending,
                }
            })
            .await
        }
    }
}
