//! TLS in front of the API on TCP, with docker's files and their meaning: the server's certificate
//! and key, and with a CA only clients that hold a certificate of it (`--tlsverify`).

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::Face;
use crate::server::{breathe, connection};

/// Files in PEM; dockerd's `--tlscert`, `--tlskey`, `--tlscacert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Whose clients may come in; `None`: everybody who reaches the address.
    pub client_ca: Option<PathBuf>,
}

impl TlsFiles {
    /// Reads the files.
    pub fn load(&self) -> io::Result<Arc<ServerConfig>> {
        let bad = |path: &Path, e: &dyn std::fmt::Display| {
            io::Error::other(format!("{}: {e}", path.display()))
        };
        let certs = certificates(&self.cert)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|e| bad(&self.key, &e))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for cert in certificates(path)? {
                    roots.add(cert).map_err(|e| bad(path, &e))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(|e| bad(path, &e))?)
            }
        };
        let mut config = builder.with_single_cert(certs, key).map_err(|e| bad(&self.cert, &e))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let bad = |e: &dyn std::fmt::Display| io::Error::other(format!("{}: {e}", path.display()));
    let all = CertificateDer::pem_file_iter(path).map_err(|e| bad(&e))?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(|e| bad(&e))?;
    if all.is_empty() { Err(bad(&"no certificate in it")) } else { Ok(all) }
}

/// Serves over TLS until `stop` ends; connections that are open then are cut.
pub async fn serve_tls(
    face: Arc<Face>,
    listener: TcpListener,
    config: Arc<ServerConfig>,
    stop: impl Future<Output = ()>,
) {
    let acceptor = TlsAcceptor::from(config);
    let mut tasks = tokio::task::JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tasks.spawn(secured(face.clone(), acceptor.clone(), stream))),
                Err(e) => breathe(&e).await,
            },
        }
    }
}

async fn secured(face: Arc<Face>, acceptor: TlsAcceptor, stream: TcpStream) {
    // A handshake that fails is the client's affair; it has been told why.
    if let Ok(stream) = acceptor.accept(stream).await {
        connection(face, stream).await;
    }
}
