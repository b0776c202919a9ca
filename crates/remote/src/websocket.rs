//! WebSocket frames of the client's side (RFC 6455), without extensions.

use crate::{Error, Kube, Raw};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes, BytesMut};
use http::Method;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

const MESSAGE_MAX: usize = 16 << 20;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What the server sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    Data(Bytes),
    /// To be answered with [`Sender::pong`].
    Ping(Bytes),
}

/// An open connection and the subprotocol both sides speak.
pub struct WebSocket {
    pub protocol: String,
    pub sender: Sender<WriteHalf<Raw>>,
    pub receiver: Receiver<ReadHalf<Raw>>,
}

impl WebSocket {
    /// Opens `path` offering `protocols` by preference.
    ///
    /// # Errors
    /// The server's refusal, or that it took none of the protocols.
    pub async fn open(kube: &Kube, path: &str, protocols: &[&str]) -> Result<Self, Error> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|e| Error::broken("draw a key", e))?;
        let key = STANDARD.encode(nonce);
        let offered = protocols.join(", ");
        let headers = [
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", &key),
            ("sec-websocket-protocol", &offered),
        ];
        let (head, raw) = kube.upgrade(Method::GET, path, &headers).await?;
        let text = |name: &str| head.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if text("sec-websocket-accept") != accept_key(&key) {
            return Err(Error::Broken("the server does not speak WebSocket".into()));
        }
        let protocol = text("sec-websocket-protocol").to_owned();
        if !protocols.contains(&protocol.as_str()) {
            return Err(Error::Broken(format!("the server speaks none of {offered}")));
        }
        let (reader, writer) = tokio::io::split(raw);
        Ok(Self { protocol, sender: Sender(writer), receiver: Receiver::new(reader) })
    }
}

fn accept_key(key: &str) -> String {
    const SALT: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let text = format!("{key}{SALT}");
    STANDARD.encode(ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

/// Sends messages, each as one masked frame.
pub struct Sender<W>(W);

impl<W: AsyncWrite + Unpin> Sender<W> {
    /// # Errors
    /// When the connection breaks.
    pub async fn send(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        self.frame(BINARY, parts).await
    }

    /// # Errors
    /// When the connection breaks.
    pub async fn pong(&mut self, content: &[u8]) -> io::Result<()> {
        self.frame(PONG, &[content]).await
    }

    /// Says that nothing more comes.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn close(&mut self) -> io::Result<()> {
        self.frame(CLOSE, &[&1000_u16.to_be_bytes()]).await
    }

    async fn frame(&mut self, opcode: u8, parts: &[&[u8]]) -> io::Result<()> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let mut mask = [0; 4];
        getrandom::fill(&mut mask).map_err(|e| io::Error::other(e.to_string()))?;
        let mut frame = Vec::with_capacity(len + 14);
        frame.push(0x80 | opcode);
        match (u8::try_from(len), u16::try_from(len)) {
            (Ok(len), _) if len < 126 => frame.push(0x80 | len),
            (_, Ok(len)) => {
                frame.push(0x80 | 126);
                frame.extend(len.to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((len as u64).to_be_bytes());
            }
        }
        frame.extend(mask);
        let bytes = parts.iter().flat_map(|part| part.iter());
        frame.extend(bytes.enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        self.0.write_all(&frame).await?;
        self.0.flush().await
    }
}

/// Reads whole messages.
pub struct Receiver<R> {
    io: R,
    buffer: BytesMut,
    message: BytesMut,
}

struct Head {
    fin: bool,
    opcode: u8,
    head_len: usize,
    len: usize,
}

impl<R: AsyncRead + Unpin> Receiver<R> {
    fn new(io: R) -> Self {
        Self { io, buffer: BytesMut::new(), message: BytesMut::new() }
    }

    /// The next message; `None` when the server closed. Safe to drop while waiting.
    ///
    /// # Errors
    /// When the connection breaks or the server does not speak WebSocket.
    pub async fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            let Some(head) = self.head().await? else { return Ok(None) };
            while self.buffer.len() < head.head_len + head.len {
                if self.io.read_buf(&mut self.buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            self.buffer.advance(head.head_len);
            let payload = self.buffer.split_to(head.len);
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
    io::Error::new(io::ErrorKind::InvalidData, format!("the server sent {what}"))
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if second & 0x80 != 0 {
        return Err(broken("a masked frame"));
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
    Ok(Some(Head { fin: first & 0x80 != 0, opcode: first & 0x0f, head_len: 2 + size, len }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_specification() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[tokio::test]
    async fn fragments_pings_and_the_end() {
        let bytes = b"\x02\x02ab\x89\x01x\x80\x02cd\x88\x00";
        let mut reader = Receiver::new(&bytes[..]);
        assert_eq!(reader.next().await.unwrap(), Some(Message::Ping(Bytes::from_static(b"x"))));
        assert_eq!(reader.next().await.unwrap(), Some(Message::Data(Bytes::from_static(b"abcd"))));
        assert_eq!(reader.next().await.unwrap(), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_no_panic(bytes: Vec<u8>) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let mut reader = Receiver::new(&bytes[..]);
                while let Ok(Some(_)) = reader.next().await {}
            });
        }
    }
}
