//! Answers that go on: lines, and the events of a watch.

use crate::Error;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use meta::Value;

/// Reads an answer as it comes.
pub struct Lines {
    body: Incoming,
    buffer: BytesMut,
    /// How much of `buffer` is known to hold no line end.
    seen: usize,
}

impl Lines {
    pub fn new(body: Incoming) -> Self {
        Self { body, buffer: BytesMut::new(), seen: 0 }
    }

    /// What came next, in whatever pieces; `None` at the end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if !self.buffer.is_empty() {
            self.seen = 0;
            return Ok(Some(self.buffer.split().freeze()));
        }
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|e| Error::broken("read the answer", e))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The next line without its end; the last one may lack the end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn line(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(at) = self.buffer[self.seen..].iter().position(|byte| *byte == b'\n') {
                let mut line = self.buffer.split_to(self.seen + at + 1);
                self.seen = 0;
                line.truncate(line.len() - 1);
                return Ok(Some(line.freeze()));
            }
            self.seen = self.buffer.len();
            match self.body.frame().await {
                Some(frame) => {
                    let frame = frame.map_err(|e| Error::broken("read the answer", e))?;
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    self.seen = 0;
                    return Ok(Some(self.buffer.split().freeze()));
                }
            }
        }
    }

    /// The next line as JSON.
    ///
    /// # Errors
    /// When the connection breaks or the line is not JSON.
    pub async fn json(&mut self) -> Result<Option<Value>, Error> {
        while let Some(line) = self.line().await? {
            if !line.trim_ascii().is_empty() {
                let value = serde_json::from_slice(&line);
                return value.map(Some).map_err(|e| Error::broken("a line is not JSON", e));
            }
        }
        Ok(None)
    }
}

/// One change.
#[derive(Debug, Clone)]
pub struct Event {
    /// `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`.
    pub kind: String,
    pub object: Value,
}

/// A watch under way.
pub struct Watch(Lines);

impl Watch {
    pub(crate) fn new(lines: Lines) -> Self {
        Self(lines)
    }

    /// The next change; `None` when the server ended the watch, which it does now and then.
    ///
    /// # Errors
    /// When the connection breaks, or what the server's `ERROR` event says (410: list again).
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        let Some(mut value) = self.0.json().await? else { return Ok(None) };
        let kind = value["type"].as_str().unwrap_or_default().to_owned();
        let object = value["object"].take();
        if kind == "ERROR" {
            let code = object["code"].as_u64().and_then(|code| u16::try_from(code).ok());
            return Err(Error::of_kubernetes(code.unwrap_or(500), object.to_string().as_bytes()));
        }
        Ok(Some(Event { kind, object }))
    }
}
