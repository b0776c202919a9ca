//! Port forwarding (staging/src/k8s.io/kubelet/pkg/cri/streaming/portforward): pairs of streams over SPDY, on the
//! connection itself or tunnelled through WebSocket, and the older pairs of WebSocket channels.

use super::spdy::{self, Stream, StreamWriter};
use super::websocket::{self, BINARY, CLOSE, Message, PONG, Reader};
use super::{Io, Place};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub(crate) const TUNNELLED: &str = "SPDY/3.1+portforward.k8s.io";
pub(crate) const CHANNELS: &str = "v4.channel.k8s.io";
pub(crate) const SPDY: &str = "portforward.k8s.io";

impl Place {
    /// Connects to a port on the pod's loopback.
    async fn dial(&self, port: u16) -> io::Result<TcpStream> {
        let Some(path) = self.netns.clone() else {
            return TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        };
        let connect = move || -> io::Result<std::net::TcpStream> {
            let netns = net::Netns::open(&path).map_err(io::Error::other)?;
            let dial = || Ok(std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
            netns.run(dial).map_err(io::Error::other)?
        };
        let stream = tokio::task::spawn_blocking(connect).await.map_err(io::Error::other)??;
        stream.set_nonblocking(true)?;
        TcpStream::from_std(stream)
    }

    fn failure(&self, port: u16, error: &io::Error) -> String {
        format!("error forwarding port {port} to pod {}, uid : {error}", self.sandbox)
    }
}

/// Serves pairs of SPDY streams until the client goes.
pub(crate) async fn spdy(io: impl SpdyIo, place: Place) {
    let (opened, mut streams) = mpsc::channel(8);
    let session = tokio::spawn(spdy::serve(io, opened));
    let mut halves: BTreeMap<String, Stream> = BTreeMap::new();
    let mut pairs = JoinSet::new();
    while let Some(stream) = streams.recv().await {
        let header = |name: &str| stream.headers.get(name).cloned();
        let id = header("requestid").or_else(|| header("port")).unwrap_or_default();
        let Some(other) = halves.remove(&id) else {
            halves.insert(id, stream);
            continue;
        };
        let is_data = header("streamtype").as_deref() == Some("data");
        let (data, error) = if is_data { (stream, other) } else { (other, stream) };
        pairs.spawn(pair(place.clone(), data, error.writer));
        while pairs.try_join_next().is_some() {}
    }
    session.abort();
}

/// What SPDY can be spoken on.
pub(crate) trait SpdyIo:
    tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static
{
}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static> SpdyIo for T {}

async fn pair(place: Place, data: Stream, error: StreamWriter) {
    let port = data.headers.get("port").and_then(|port| port.parse().ok()).unwrap_or(0);
    let Stream { data: from, writer, .. } = data;
    let done = match place.dial(port).await {
        Ok(stream) => copy(stream, from, &writer).await,
        Err(e) => {
            // The client may be gone; then nobody wants to know.
            let _ = error.send(place.failure(port, &e).as_bytes()).await;
            Ok(())
        }
    };
    if done.is_err() {
        let _ = writer.reset().await;
    }
    let _ = writer.finish().await;
    let _ = error.finish().await;
}

async fn copy(
    mut stream: TcpStream,
    mut from: mpsc::Receiver<Bytes>,
    to: &StreamWriter,
) -> io::Result<()> {
    let (mut reader, mut writer) = stream.split();
    let up = async {
        while let Some(bytes) = from.recv().await {
            writer.write_all(&bytes).await?;
        }
        writer.shutdown().await
    };
    let down = async {
        let mut buffer = vec![0; 32 << 10];
        loop {
            match reader.read(&mut buffer).await? {
                0 => return to.finish().await,
                count => to.send(&buffer[..count]).await?,
            }
        }
    };
    tokio::pin!(up);
    tokio::pin!(down);
    // When the pod has nothing more to say, what the client still sends has no reader.
    tokio::select! {
        result = &mut down => result,
        result = &mut up => {
            result?;
            down.await
        }
    }
}

/// SPDY inside binary WebSocket messages.
pub(crate) async fn tunnelled(io: Io, place: Place) {
    let (inner, outer) = tokio::io::duplex(64 << 10);
    let (reader, mut writer) = tokio::io::split(io);
    let (mut from, mut to) = tokio::io::split(outer);
    let (pings, mut pinged) = mpsc::channel(4);
    let hear = async {
        let mut reader = Reader::new(reader);
        while let Ok(Some(message)) = reader.next().await {
            match message {
                Message::Data(bytes) => to.write_all(&bytes).await?,
                Message::Ping(bytes) => drop(pings.send(bytes).await),
            }
        }
        to.shutdown().await
    };
    let speak = async {
        let mut buffer = vec![0; 32 << 10];
        loop {
            tokio::select! {
                count = from.read(&mut buffer) => match count? {
                    0 => break,
                    count => websocket::send(&mut writer, BINARY, &[&buffer[..count]]).await?,
                },
                Some(bytes) = pinged.recv() => websocket::send(&mut writer, PONG, &[&bytes]).await?,
            }
        }
        websocket::send(&mut writer, CLOSE, &[&1000_u16.to_be_bytes()]).await?;
        writer.shutdown().await
    };
    tokio::select! {
        () = spdy(inner, place) => {}
        // Errors mean that the client is gone.
        _ = hear => {}
        _ = speak => {}
    }
}

/// Two channels for each port of the query: data, and errors. Each begins with the port, little-endian.
pub(crate) async fn channels(io: Io, place: Place, ports: Vec<u16>) {
    let (reader, mut writer) = tokio::io::split(io);
    let (say, mut said) = mpsc::channel::<(u8, Bytes)>(16);
    let mut inputs = Vec::new();
    let mut work = JoinSet::new();
    for (index, port) in ports.into_iter().enumerate().take(127) {
        let channel = u8::try_from(index * 2).unwrap_or(u8::MAX - 1);
        let (input, from) = mpsc::channel(16);
        inputs.push(input);
        work.spawn(channel_pair(place.clone(), port, channel, from, say.clone()));
    }
    drop(say);
    let hear = async {
        let mut reader = Reader::new(reader);
        while let Ok(Some(message)) = reader.next().await {
            let Message::Data(message) = message else { continue };
            let Some((channel, bytes)) = message.split_first() else { continue };
            if channel % 2 == 0
                && let Some(input) = inputs.get(usize::from(channel / 2))
            {
                // A port whose connection ended takes nothing more.
                let _ = input.send(Bytes::copy_from_slice(bytes)).await;
            }
        }
    };
    let speak = async {
        while let Some((channel, bytes)) = said.recv().await {
            websocket::send(&mut writer, BINARY, &[&[channel], &bytes]).await?;
        }
        websocket::send(&mut writer, CLOSE, &[&1000_u16.to_be_bytes()]).await?;
        writer.shutdown().await
    };
    tokio::select! {
        () = hear => {}
        // An error means that the client is gone.
        _ = speak => {}
    }
}

async fn channel_pair(
    place: Place,
    port: u16,
    channel: u8,
    mut from: mpsc::Receiver<Bytes>,
    say: mpsc::Sender<(u8, Bytes)>,
) {
    let prefix = Bytes::copy_from_slice(&port.to_le_bytes());
    for channel in [channel, channel + 1] {
        // A failing send means that the client is gone, here and below.
        let _ = say.send((channel, prefix.clone())).await;
    }
    let mut stream = match place.dial(port).await {
        Ok(stream) => stream,
        Err(e) => {
            let _ = say.send((channel + 1, place.failure(port, &e).into())).await;
            return;
        }
    };
    let (mut reader, mut writer) = stream.split();
    let up = async {
        while let Some(bytes) = from.recv().await {
            if writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
        // Whoever hears the client ends this when it goes.
        std::future::pending().await
    };
    let down = async {
        let mut buffer = vec![0; 32 << 10];
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            if say.send((channel, Bytes::copy_from_slice(&buffer[..count]))).await.is_err() {
                return;
            }
        }
    };
    // A pod that has nothing more to say ends the pair: this protocol has no half-closed connections.
    tokio::select! {
        () = down => {}
        () = up => {}
        () = say.closed() => {}
    }
}
