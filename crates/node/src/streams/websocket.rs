//! WebSocket frames of the server's side (RFC 6455), without extensions.

use base64::Engine as _;
use bytes::{Buf, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A larger message is refused.
const MESSAGE_MAX: usize = 16 << 20;

const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// What the server answers a client's `Sec-WebSocket-Key`.
pub(crate) fn accept_key(key: &str) -> String {
    const SALT: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let digest = ring::digest::digest(
        &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}{SALT}").as_bytes(),
    );
    base64::engine::general_purpose::STANDARD.encode(digest)
}

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Data(Bytes),
    /// To be answered with a pong of the same content.
    Ping(Bytes),
}

/// Reads whole messages.
pub(crate) struct Reader<R> {
    io: R,
    buffer: BytesMut,
    message: BytesMut,
}

struct Head {
    fin: bool,
    opcode: u8,
    mask: [u8; 4],
    head_len: usize,
    len: usize,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub fn new(io: R) -> Self {
        Self { io, buffer: BytesMut::new(), message: BytesMut::new() }
    }

    /// The next message; `None` when the client closed.
    ///
    /// # Errors
    /// When the connection breaks or the client does not speak WebSocket.
    pub async fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            let Some(head) = self.head().await? else { return Ok(None) };
            while self.buffer.len() < head.head_len + head.len {
                if self.io.read_buf(&mut self.buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            self.buffer.advance(head.head_len);
            let mut payload = self.buffer.split_to(head.len);
            for (at, byte) in payload.iter_mut().enumerate() {
                *byte ^= head.mask[at % 4];
            }
            match head.opcode {
                CLOSE => return Ok(None),
                PING => return Ok(Some(Message::Ping(payload.freeze()))),
                PONG => continue,
                CONTINUATION | TEXT | BINARY => {}
                _ => return Err(broken("a frame of an unknown kind")),
            }
            if self.message.len() + payload.len() > MESSAGE_MAX {
                return Err(broken("a message of more than 16 MiB"));
            }
            self.message.unsplit(payload);
            if head.fin {
                return Ok(Some(Message::Data(self.message.split().freeze())));
            }
        }
    }

    async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(head) = parse_head(&self.buffer)? {
                return Ok(Some(head));
            }
            if self.io.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the client sent {what}"))
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if second & 0x80 == 0 {
        return Err(broken("a frame without a mask"));
    }
    let (size, len) = match second & 0x7f {
        126 => match rest.first_chunk::<2>() {
            Some(len) => (2, usize::from(u16::from_be_bytes(*len))),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(len) => (8, usize::try_from(u64::from_be_bytes(*len)).unwrap_or(usize::MAX)),
            None => return Ok(None),
        },
        len => (0, usize::from(len)),
    };
    if len > MESSAGE_MAX {
        return Err(broken("a frame of more than 16 MiB"));
    }
    let Some(mask) = rest.get(size..).and_then(|rest| rest.first_chunk::<4>()) else {
        return Ok(None);
    };
    let head_len = 2 + size + 4;
    Ok(Some(Head { fin: first & 0x80 != 0, opcode: first & 0x0f, mask: *mask, head_len, len }))
}

/// Sends one message as one frame.
pub(crate) async fn send<W: AsyncWrite + Unpin>(
    io: &mut W,
    opcode: u8,
    parts: &[&[u8]],
) -> io::Result<()> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut frame = Vec::with_capacity(len + 10);
    frame.push(0x80 | opcode);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len), _) if len < 126 => frame.push(len),
        (_, Ok(len)) => {
            frame.push(126);
            frame.extend(len.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    io.write_all(&frame).await?;
    io.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_specification() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    fn masked(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut out = vec![u8::from(fin) << 7 | opcode, 0x80 | payload.len() as u8];
        out.extend(mask);
        out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        out
    }

    #[tokio::test]
    async fn fragments_pings_and_the_end() {
        let bytes = [
            masked(false, BINARY, b"ab"),
            masked(true, PING, b"x"),
            masked(true, CONTINUATION, b"cd"),
            masked(true, CLOSE, b""),
        ]
        .concat();
        let mut reader = Reader::new(&bytes[..]);
        assert_eq!(reader.next().await.unwrap(), Some(Message::Ping(Bytes::from_static(b"x"))));
        assert_eq!(reader.next().await.unwrap(), Some(Message::Data(Bytes::from_static(b"abcd"))));
        assert_eq!(reader.next().await.unwrap(), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_no_panic(bytes: Vec<u8>) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let mut reader = Reader::new(&bytes[..]);
                while let Ok(Some(_)) = reader.next().await {}
            });
        }
    }
}
