//! Compression of large answers, on the way out.

use crate::body::RopeBody;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Frame;
use std::io::{self, Write};

/// Smaller answers are not worth it
/// (k8s.io/apiserver `pkg/endpoints/handlers/responsewriters/writers.go`).
pub const THRESHOLD: usize = 128 * 1024;

/// Compresses a rope frame by frame: neither side is held as a whole.
pub struct GzipBody {
    plain: RopeBody,
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl GzipBody {
    pub fn new(plain: RopeBody) -> Self {
        Self { plain, encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())) }
    }

    /// The next compressed frame; `None` at the end.
    pub fn next_frame(&mut self) -> Option<io::Result<Frame<Bytes>>> {
        match self.next_piece() {
            Ok(piece) => piece.map(|bytes| Ok(Frame::data(bytes))),
            Err(e) => Some(Err(e)),
        }
    }

    fn next_piece(&mut self) -> io::Result<Option<Bytes>> {
        while let Some(encoder) = &mut self.encoder {
            let Some(piece) = self.plain.next() else {
                let encoder = self.encoder.take().expect("just seen");
                return Ok(Some(encoder.finish()?.into()));
            };
            encoder.write_all(&piece)?;
            if encoder.get_ref().len() >= 16 * 1024 {
                return Ok(Some(std::mem::take(encoder.get_mut()).into()));
            }
        }
        Ok(None)
    }
}

/// Whether an `Accept-Encoding` header admits gzip.
pub fn accepted(header: &str) -> bool {
    header.split(',').any(|item| {
        let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
        let refused = parameters.split(';').any(|p| {
            p.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse::<f32>() == Ok(0.0))
        });
        coding.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}
