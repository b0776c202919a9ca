//! Connections: accept, TLS, HTTP/1.1 or HTTP/2 by ALPN, and an orderly end.

use crate::exchange::{Peer, exchange};
use crate::server::Server;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// As upstream's HTTP/2 server (k8s.io/apiserver `pkg/server/secure_serving.go`).
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * 100;
const STREAMS: u32 = 1000;
/// Per stream: what a client that does not read may make us hold.
const SEND_BUFFER: usize = 128 * 1024;
const HEADERS: u32 = 1 << 20;
/// Dead peers are found by the kernel, which costs the process nothing while idle.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Held by every connection: when the last is gone, shutdown is complete.
type Alive = mpsc::Sender<Infallible>;

pub async fn run(server: Arc<Server>, listener: TcpListener) {
    let (alive, mut ended) = mpsc::channel::<Infallible>(1);
    let acceptor = TlsAcceptor::from(server.tls.clone());
    let mut stopped = std::pin::pin!(server.stopping().stopped());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => break,
        };
        match accepted {
            Ok((stream, address)) => {
                let (server, acceptor, alive) = (server.clone(), acceptor.clone(), alive.clone());
                tokio::spawn(connection(server, acceptor, stream, address, alive));
            }
            Err(error) => pause(&error).await,
        }
    }
    drop((listener, alive));
    // Nobody sends on this channel: it only closes.
    let _ = tokio::time::timeout(server.deps.config.drain, ended.recv()).await;
}

/// Out of files or memory: connections that end will make room.
async fn pause(error: &io::Error) {
    tracing::warn!("accepting a connection: {error}");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn connection(
    server: Arc<Server>,
    acceptor: TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
    alive: Alive,
) {
    let _ = stream.set_nodelay(true);
    let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    let limit = server.deps.config.handshake_timeout;
    let Ok(Some(tls)) = tokio::time::timeout(limit, handshake(&acceptor, stream)).await else {
        return;
    };
    let peer = Arc::new(peer(&server, &tls, address));
    let h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(tls);
    let ended = if h2 { http2(server, peer, io).await } else { http1(server, peer, io).await };
    if let Err(error) = ended {
        tracing::debug!("connection of {address}: {error}");
    }
    drop(alive);
}

/// `None` when the client speaks no TLS; one that speaks HTTP is told so, as Go's server does.
async fn handshake(acceptor: &TlsAcceptor, mut stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    const PLAIN: &[u8] =
        b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    let mut first = [0; 1];
    match stream.peek(&mut first).await {
        Ok(1) if first[0].is_ascii_uppercase() => {
            let _ = stream.write_all(PLAIN).await;
            None
        }
        _ => acceptor.accept(stream).await.ok(),
    }
}

/// The only proxy we know (`--requestheader-allowed-names`).
const PROXY: &str = "front-proxy-client";

/// Who the client certificate names; verified once per connection.
fn peer(server: &Server, tls: &TlsStream<TcpStream>, address: SocketAddr) -> Peer {
    let Some(chain) = tls.get_ref().1.peer_certificates() else {
        return Peer { address, certificate: Ok(None), speaks_for_others: false };
    };
    let named = auth::identity_of_certificate(&chain[0]);
    let pki = &server.deps.pki;
    let speaks_for_others =
        named.as_ref().is_some_and(|who| who.name == PROXY) && pki.proxies().verify(chain).is_ok();
    let verified = pki.clients().verify(chain).map_err(|e| e.to_string());
    Peer { address, certificate: verified.map(|()| named), speaks_for_others }
}

async fn http2(
    server: Arc<Server>,
    peer: Arc<Peer>,
    io: TokioIo<TlsStream<TcpStream>>,
) -> hyper::Result<()> {
    let stop = server.stopping();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (server, peer) = (server.clone(), peer.clone());
        async move { Ok::<_, Infallible>(exchange(server, peer, request).await) }
    });
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEADERS);
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    tokio::select! {
        ended = &mut connection => return ended,
        () = stop.stopped() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

async fn http1(
    server: Arc<Server>,
    peer: Arc<Peer>,
    io: TokioIo<TlsStream<TcpStream>>,
) -> hyper::Result<()> {
    let stop = server.stopping();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (server, peer) = (server.clone(), peer.clone());
        async move { Ok::<_, Infallible>(exchange(server, peer, request).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(90));
    let connection = builder.serve_connection(io, service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = &mut connection => return ended,
        () = stop.stopped() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
