//! Docker's framing of several streams in one: `[kind, 0, 0, 0, length as u32 BE]` and the bytes.

use bytes::{BufMut, Bytes, BytesMut};

/// Which stream a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    Stdout = 1,
    Stderr = 2,
}

pub const RAW: &str = "application/vnd.docker.raw-stream";
pub const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

/// One frame. Payloads of 4 GiB and more do not occur: callers chunk their reads.
pub fn frame(kind: StreamKind, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(8 + payload.len());
    out.put_u8(kind as u8);
    out.put_bytes(0, 3);
    out.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    out.put_slice(payload);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::{StreamKind, frame};

    #[test]
    fn header() {
        assert_eq!(&frame(StreamKind::Stderr, b"ab")[..], b"\x02\0\0\0\0\0\0\x02ab");
    }
}
