//! SPDY/3.1 of the server's side, as much of it as Kubernetes clients speak (github.com/moby/spdystream): streams
//! with headers, data, half-close, reset, ping. No flow control: neither side of spdystream has any.

mod dictionary;
mod header;

use bytes::{Buf, Bytes, BytesMut};
use header::{Deflate, Inflate};
use std::collections::BTreeMap;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// Frames waiting for a slow reader, per stream and for the wire.
const BACKLOG: usize = 32;
/// Larger frames are refused; spdystream's are at most some tens of KiB.
const FRAME_MAX: usize = 4 << 20;
/// Streams a session may have open; a port-forward has two for each connection.
const STREAMS_MAX: usize = 1000;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const FIN: u8 = 1;

/// A stream the client opened.
pub(crate) struct Stream {
    pub headers: BTreeMap<String, String>,
    /// Ends when the client half-closes.
    pub data: mpsc::Receiver<Bytes>,
    pub writer: StreamWriter,
}

/// The server's half of a stream.
#[derive(Clone)]
pub(crate) struct StreamWriter {
    id: u32,
    wire: mpsc::Sender<Bytes>,
}

impl StreamWriter {
    /// Sends data.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.frame(0, bytes).await
    }

    /// Nothing more will be sent.
    pub async fn finish(&self) -> io::Result<()> {
        self.frame(FIN, b"").await
    }

    /// Ends both halves.
    pub async fn reset(&self) -> io::Result<()> {
        const CANCEL: u32 = 5;
        let payload = [self.id.to_be_bytes(), CANCEL.to_be_bytes()].concat();
        self.put(control(RST_STREAM, 0, &payload)).await
    }

    async fn frame(&self, flags: u8, bytes: &[u8]) -> io::Result<()> {
        let mut frame = Vec::with_capacity(8 + bytes.len());
        frame.extend(self.id.to_be_bytes());
        frame.push(flags);
        frame.extend(&length(bytes.len()));
        frame.extend_from_slice(bytes);
        self.put(frame.into()).await
    }

    async fn put(&self, frame: Bytes) -> io::Result<()> {
        self.wire.send(frame).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

fn length(len: usize) -> [u8; 3] {
    let [_, bytes @ ..] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
    bytes
}

fn control(kind: u16, flags: u8, payload: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(8 + payload.len());
    frame.extend([0x80, 3]);
    frame.extend(kind.to_be_bytes());
    frame.push(flags);
    frame.extend(length(payload.len()));
    frame.extend_from_slice(payload);
    frame.into()
}

/// Speaks SPDY on `io` and gives the streams the client opens; runs until the client goes or `opened` is dropped
/// and all streams' writers with it.
pub(crate) async fn serve<I>(io: I, opened: mpsc::Sender<Stream>) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (reader, writer) = tokio::io::split(io);
    let (wire, frames) = mpsc::channel(BACKLOG);
    let (inflate, deflate) = (Inflate::new(), Deflate::new());
    let session = Session { wire, opened, streams: BTreeMap::new(), inflate, deflate };
    let writing = tokio::spawn(write(writer, frames));
    let result = session.read(reader).await;
    // The writer ends when the last stream's writer is dropped, so that what is on its way arrives.
    let _ = writing.await;
    result
}

async fn write<W: AsyncWrite + Unpin>(mut io: W, mut frames: mpsc::Receiver<Bytes>) {
    while let Some(frame) = frames.recv().await {
        if io.write_all(&frame).await.is_err() || io.flush().await.is_err() {
            return;
        }
    }
    // The client may be gone already.
    let _ = io.shutdown().await;
}

struct Session {
    wire: mpsc::Sender<Bytes>,
    opened: mpsc::Sender<Stream>,
    streams: BTreeMap<u32, mpsc::Sender<Bytes>>,
    inflate: Inflate,
    deflate: Deflate,
}

struct Frame {
    /// `None` is data.
    kind: Option<u16>,
    flags: u8,
    stream: u32,
    payload: Bytes,
}

impl Session {
    async fn read<R: AsyncRead + Unpin>(mut self, mut io: R) -> io::Result<()> {
        let mut buffer = BytesMut::new();
        loop {
            while let Some(frame) = parse(&mut buffer)? {
                if frame.kind == Some(GOAWAY) {
                    return Ok(());
                }
                self.frame(frame).await?;
            }
            tokio::select! {
                read = io.read_buf(&mut buffer) => if read? == 0 { return Ok(()) },
                () = self.opened.closed() => return Ok(()),
            }
        }
    }

    async fn frame(&mut self, frame: Frame) -> io::Result<()> {
        match frame.kind {
            None => self.data(frame).await,
            Some(SYN_STREAM) => return self.syn(&frame).await,
            Some(RST_STREAM) => {
                if let Some(id) = frame.payload.first_chunk::<4>() {
                    self.streams.remove(&(u32::from_be_bytes(*id) & 0x7fff_ffff));
                }
            }
            Some(PING) => {
                let reply = control(PING, 0, &frame.payload);
                return self.wire.send(reply).await.map_err(|_| io::ErrorKind::BrokenPipe.into());
            }
            Some(_) => {}
        }
        Ok(())
    }

    async fn data(&mut self, frame: Frame) {
        if !frame.payload.is_empty()
            && let Some(to) = self.streams.get(&frame.stream)
        {
            // Nobody reads this stream any more: what comes for it is lost.
            let _ = to.send(frame.payload).await;
        }
        if frame.flags & FIN != 0 {
            self.streams.remove(&frame.stream);
        }
    }

    async fn syn(&mut self, frame: &Frame) -> io::Result<()> {
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "a malformed SYN_STREAM frame");
        let id = frame.payload.first_chunk::<4>().ok_or_else(bad)?;
        let id = u32::from_be_bytes(*id) & 0x7fff_ffff;
        let headers = self.inflate.headers(frame.payload.get(10..).ok_or_else(bad)?)?;
        if self.streams.len() >= STREAMS_MAX {
            return Err(io::Error::other("too many streams in one session"));
        }
        let (to, data) = mpsc::channel(BACKLOG);
        if frame.flags & FIN == 0 {
            self.streams.insert(id, to);
        }
        let reply = [&id.to_be_bytes()[..], &self.deflate.empty()].concat();
        let writer = StreamWriter { id, wire: self.wire.clone() };
        writer.put(control(SYN_REPLY, 0, &reply)).await?;
        let stream = Stream { headers, data, writer };
        self.opened.send(stream).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

fn parse(buffer: &mut BytesMut) -> io::Result<Option<Frame>> {
    let Some(head) = buffer.first_chunk::<8>() else { return Ok(None) };
    let [a, b, c, d, flags, len @ ..] = *head;
    let len = u32::from_be_bytes([0, len[0], len[1], len[2]]) as usize;
    if len > FRAME_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame of more than 4 MiB"));
    }
    if buffer.len() < 8 + len {
        return Ok(None);
    }
    buffer.advance(8);
    let payload = buffer.split_to(len).freeze();
    let kind = (a & 0x80 != 0).then(|| u16::from_be_bytes([c, d]));
    Ok(Some(Frame { kind, flags, stream: u32::from_be_bytes([a, b, c, d]), payload }))
}

#[cfg(test)]
mod tests;
