//! What a face sends back.

use bytes::Bytes;
use meta::Problem;
use std::sync::Arc;
use store::Object;

/// A finished HTTP response.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub content_type: String,
    /// Further headers (`Warning`, `ETag`, `Vary`, `Retry-After`, `Cache-Control`), lower-case names.
    pub headers: Vec<(&'static str, String)>,
    pub body: Rope,
}

/// Bytes in pieces: stored objects are borrowed, not copied.
#[derive(Debug, Clone, Default)]
pub struct Rope(pub Vec<Chunk>);

#[derive(Debug, Clone)]
pub enum Chunk {
    Static(&'static [u8]),
    Bytes(Bytes),
    /// The stored JSON of an object.
    Stored(Arc<Object>),
}

impl Chunk {
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Static(bytes) => bytes,
            Self::Bytes(bytes) => bytes,
            Self::Stored(object) => object.json(),
        }
    }
}

impl Rope {
    pub fn len(&self) -> usize {
        self.0.iter().map(|c| c.as_slice().len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One contiguous copy.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        for chunk in &self.0 {
            out.extend_from_slice(chunk.as_slice());
        }
        out
    }
}

impl From<Vec<u8>> for Rope {
    fn from(bytes: Vec<u8>) -> Self {
        Self(vec![Chunk::Bytes(bytes.into())])
    }
}

impl Reply {
    pub fn new(status: u16, content_type: impl Into<String>, body: impl Into<Rope>) -> Self {
        Self { status, content_type: content_type.into(), headers: Vec::new(), body: body.into() }
    }

    pub fn json(status: u16, body: &meta::Value) -> Self {
        let bytes = serde_json::to_vec(body).expect("values with string keys serialise");
        Self::new(status, "application/json", bytes)
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.as_bytes().to_vec())
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A `Status` in JSON: for faces that refuse a request before it reaches the pipeline.
    pub fn problem(problem: &Problem) -> Self {
        let reply = Self::json(problem.code(), &problem.to_status());
        match problem.details.as_ref().map_or(0, |d| d.retry_after_secs) {
            0 => reply,
            secs => reply.header("retry-after", secs.to_string()),
        }
    }
}
