//! The TLS side of the server: the current certificate, looked up at every handshake.

use crate::ca::Issued;
use crate::clients::ClientCertificates;
use arc_swap::ArcSwap;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// Holds the serving certificate; swapping it needs no restart.
#[derive(Debug)]
pub struct Serving(ArcSwap<CertifiedKey>);

impl Serving {
    pub fn new(issued: &Issued) -> Result<Self, Error> {
        Ok(Self(ArcSwap::from_pointee(certified(issued)?)))
    }

    pub fn swap(&self, issued: &Issued) -> Result<(), Error> {
        self.0.store(Arc::new(certified(issued)?));
        Ok(())
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn certified(issued: &Issued) -> Result<CertifiedKey, Error> {
    let text = |e: rustls_pki_types::pem::Error| Error::General(e.to_string());
    let chain = CertificateDer::pem_slice_iter(issued.certificate.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(text)?;
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).map_err(text)?;
    Ok(CertifiedKey::new(chain, any_supported_type(&key)?))
}

/// HTTP/2 and HTTP/1.1, TLS 1.2 and 1.3, client certificates optional. No session resumption: clients of the
/// API hold few, long connections, and tickets would cost memory for each.
pub fn server_config(
    serving: Arc<Serving>,
    clients: &ClientCertificates,
) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients.lenient())
        .with_cert_resolver(serving);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
