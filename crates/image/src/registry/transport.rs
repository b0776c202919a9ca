//! Connections for the HTTP client: TCP, TLS, and both through a proxy.

use super::proxy::Proxies;
use base64::Engine as _;
use bytes::Bytes;
use http::Uri;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame};
use hyper::rt::ReadBufCursor;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const CONNECT: Duration = Duration::from_secs(20);

pub(super) type RequestBody = UnsyncBoxBody<Bytes, io::Error>;
pub(super) type Http = Client<Connector, RequestBody>;

/// An HTTP/1.1 client with kept connections; it closes them when dropped.
pub(super) fn client(tls: Arc<ClientConfig>) -> Http {
    let connector = Connector { tls, proxies: Arc::new(Proxies::from_env()) };
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(8).build(connector)
}

#[derive(Clone)]
pub(super) struct Connector {
    tls: Arc<ClientConfig>,
    proxies: Arc<Proxies>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            match tokio::time::timeout(CONNECT, this.connect(&target)).await {
                Ok(connected) => connected,
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "connection timed out")),
            }
        })
    }
}

impl Connector {
    async fn connect(&self, target: &Uri) -> io::Result<Stream> {
        let secure = target.scheme_str() == Some("https");
        let (host, port) = address(target, if secure { 443 } else { 80 })?;
        let Some(proxy) = self.proxies.of(target) else {
            let tcp = dial(&host, port).await?;
            return if secure { self.handshake(tcp, &host).await } else { Ok(Stream::plain(tcp)) };
        };
        let (proxy_host, proxy_port) = address(proxy, 3128)?;
        let mut tcp = dial(&proxy_host, proxy_port).await?;
        if !secure {
            return Ok(Stream::Plain { io: TokioIo::new(tcp), proxied: true });
        }
        tunnel(&mut tcp, proxy, &host, port).await?;
        self.handshake(tcp, &host).await
    }

    async fn handshake(&self, tcp: TcpStream, host: &str) -> io::Result<Stream> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| io::Error::other(format!("{host} is not a host name")))?;
        let tls = TlsConnector::from(self.tls.clone()).connect(name, tcp).await?;
        Ok(Stream::Tls(Box::new(TokioIo::new(tls))))
    }
}

async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect((host, port))
        .await
        .map_err(|e| io::Error::new(e.kind(), format!("dial tcp {host}:{port}: {e}")))?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

fn address(uri: &Uri, default: u16) -> io::Result<(String, u16)> {
    let host = uri.host().ok_or_else(|| io::Error::other(format!("{uri} has no host")))?;
    Ok((host.trim_matches(['[', ']']).to_owned(), uri.port_u16().unwrap_or(default)))
}

/// `CONNECT host:port` and its answer.
async fn tunnel(tcp: &mut TcpStream, proxy: &Uri, host: &str, port: u16) -> io::Result<()> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let userinfo = proxy.authority().and_then(|a| a.as_str().rsplit_once('@')).map(|(u, _)| u);
    let auth = userinfo.map_or(String::new(), |user| {
        let encoded = base64::engine::general_purpose::STANDARD.encode(user);
        format!("Proxy-Authorization: Basic {encoded}\r\n")
    });
    let request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{auth}\r\n");
    tcp.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the blank line belongs to TLS.
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(tcp.read_u8().await?);
        if answer.len() > 8192 {
            return Err(io::Error::other("the proxy's answer is too long"));
        }
    }
    let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    match line.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(io::Error::other(format!("the proxy refuses: {line}"))),
    }
}

/// A connection of either kind.
pub(super) enum Stream {
    Plain { io: TokioIo<TcpStream>, proxied: bool },
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Stream {
    fn plain(tcp: TcpStream) -> Self {
        Self::Plain { io: TokioIo::new(tcp), proxied: false }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().proxy(matches!(self, Self::Plain { proxied: true, .. }))
    }
}

impl hyper::rt::Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain { io, .. } => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(&mut **io).poll_read(cx, buf),
        }
    }
}

impl hyper::rt::Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain { io, .. } => Pin::new(io).poll_write(cx, buf),
            Self::Tls(io) => Pin::new(&mut **io).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain { io, .. } => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(&mut **io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain { io, .. } => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(&mut **io).poll_shutdown(cx),
        }
    }
}

/// A body fed by a blocking reader through a channel.
pub(super) struct ChannelBody(pub tokio::sync::mpsc::Receiver<io::Result<Bytes>>);

impl Body for ChannelBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|next| next.map(|chunk| chunk.map(Frame::data)))
    }
}
