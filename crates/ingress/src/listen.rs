//! Connections: accept, TLS when it is the port for it, HTTP/1.1 or HTTP/2, and an orderly end.

use crate::Table;
use crate::certificates::Resolver;
use crate::forward::Forwarder;
use crate::headers::Came;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A client that has not finished its headers or its handshake by then is let go.
const HELLO: Duration = Duration::from_secs(15);

/// The two ports of the proxy, bound but not yet served.
#[derive(Debug)]
pub struct Sockets {
    http: TcpListener,
    https: TcpListener,
}

impl Sockets {
    /// Binds two free ports of an address of this machine.
    ///
    /// # Errors
    /// When the address is not this machine's, or no port is free.
    pub async fn bind(address: IpAddr) -> io::Result<Self> {
        let free = SocketAddr::new(address, 0);
        Ok(Self { http: TcpListener::bind(free).await?, https: TcpListener::bind(free).await? })
    }

    /// The ports for HTTP and HTTPS.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn ports(&self) -> io::Result<(u16, u16)> {
        Ok((self.http.local_addr()?.port(), self.https.local_addr()?.port()))
    }
}

/// Serves until dropped; what runs then ends with it.
///
/// # Errors
/// When TLS cannot be set up.
pub async fn serve(sockets: Sockets, table: Arc<Table>) -> Result<Infallible, rustls::Error> {
    let forwarder = Arc::new(Forwarder::new(table.clone()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Resolver(table)));
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let plain = accept(sockets.http, |stream, from| {
        connection(stream, Came { from, scheme: "http" }, forwarder.clone())
    });
    let secure = accept(sockets.https, |stream, from| {
        secured(acceptor.clone(), stream, from, forwarder.clone())
    });
    let (never, _) = tokio::join!(plain, secure);
    Ok(never)
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream, IpAddr) -> F) -> Infallible
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut open = tokio::task::JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, from)) => {
                // Answers leave at once; where that cannot be set, they leave later.
                let _ = stream.set_nodelay(true);
                open.spawn(serve(stream, from.ip()));
            }
            Err(error) => {
                tracing::warn!("accepting a connection: {error}");
                // Out of files or memory: connections that end will make room.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn secured(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    from: IpAddr,
    forwarder: Arc<Forwarder>,
) {
    match tokio::time::timeout(HELLO, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, Came { from, scheme: "https" }, forwarder).await,
        Ok(Err(error)) => tracing::debug!(%error, %from, "TLS handshake"),
        Err(_) => tracing::debug!(%from, "TLS handshake takes too long"),
    }
}

async fn connection<S>(stream: S, came: Came, forwarder: Arc<Forwarder>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let forwarder = forwarder.clone();
        async move { Ok::<_, Infallible>(forwarder.answer(request, came).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HELLO);
    builder.http2().timer(TokioTimer::new());
    let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection");
    }
}
