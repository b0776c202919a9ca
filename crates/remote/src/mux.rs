//! Docker's frames of output: stream, length, bytes (moby `pkg/stdcopy`).

use crate::Error;
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// A piece of output.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Stdout(Bytes),
    Stderr(Bytes),
}

/// Takes frames from bytes that come in any pieces.
#[derive(Default)]
pub struct Frames {
    buffer: BytesMut,
}

const HEAD: usize = 8;

impl Frames {
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame that is there.
    ///
    /// # Errors
    /// When the bytes are no frames, or the server reports an error in one.
    pub fn pull(&mut self) -> Result<Option<Frame>, Error> {
        let Some(head) = self.buffer.first_chunk::<HEAD>() else { return Ok(None) };
        let kind = head[0];
        let len = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if self.buffer.len() < HEAD + len {
            return Ok(None);
        }
        self.buffer.advance(HEAD);
        let data = self.buffer.split_to(len).freeze();
        match kind {
            0 | 1 => Ok(Some(Frame::Stdout(data))),
            2 => Ok(Some(Frame::Stderr(data))),
            3 => Err(Error::Broken(String::from_utf8_lossy(&data).into_owned())),
            other => Err(Error::Broken(format!("output of an unknown stream {other}"))),
        }
    }

    /// As [`Frames::pull`], reading from `io` until a frame is whole; `None` at the end.
    ///
    /// # Errors
    /// As there, and when the connection breaks.
    pub async fn read(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
    ) -> Result<Option<Frame>, Error> {
        loop {
            if let Some(frame) = self.pull()? {
                return Ok(Some(frame));
            }
            let read = io.read_buf(&mut self.buffer).await;
            if read.map_err(|e| Error::broken("the connection to the container", e))? == 0 {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_in_pieces() {
        let mut frames = Frames::default();
        frames.push(b"\x01\0\0\0\0\0\0\x02h");
        assert_eq!(frames.pull().unwrap(), None);
        frames.push(b"i\x02\0\0\0\0\0\0\x01!");
        assert_eq!(frames.pull().unwrap(), Some(Frame::Stdout(Bytes::from_static(b"hi"))));
        assert_eq!(frames.pull().unwrap(), Some(Frame::Stderr(Bytes::from_static(b"!"))));
        assert_eq!(frames.pull().unwrap(), None);
    }
}
