//! Which certificate a TLS client gets, by the name it asks for.

use rustls::crypto::ring::sign::any_supported_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::Table;

/// A chain with its key, ready to serve.
#[derive(Debug, Clone)]
pub struct Certificate(Arc<CertifiedKey>);

#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("tls.crt holds no certificate that can be read: {0}")]
    Chain(String),
    #[error("tls.key holds no private key that can be read: {0}")]
    Key(String),
    #[error("tls.key does not belong to tls.crt: {0}")]
    Mismatch(rustls::Error),
}

impl Certificate {
    /// From the two entries of a Secret of type `kubernetes.io/tls`.
    ///
    /// # Errors
    /// When either is no PEM, or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|e| CertificateError::Chain(e.to_string()))?;
        if chain.is_empty() {
            return Err(CertificateError::Chain("it is empty".into()));
        }
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|e| CertificateError::Key(e.to_string()))?;
        let key = any_supported_type(&key).map_err(|e| CertificateError::Key(e.to_string()))?;
        let pair = CertifiedKey::new(chain, key);
        match pair.keys_match() {
            // Some kinds of keys cannot be compared.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
                Ok(Self(Arc::new(pair)))
            }
            Err(error) => Err(CertificateError::Mismatch(error)),
        }
    }
}

/// Certificates by host name: exact names and `*.` names.
#[derive(Debug, Clone, Default)]
pub struct Certificates(BTreeMap<String, Certificate>);

impl Certificates {
    /// Of two for the same name the first one stays.
    pub fn insert(&mut self, host: &str, certificate: Certificate) {
        self.0.entry(host.to_ascii_lowercase()).or_insert(certificate);
    }

    fn find(&self, name: &str) -> Option<&Certificate> {
        let name = name.to_ascii_lowercase();
        let wildcard = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        self.0
            .get(&name)
            .or_else(|| self.0.get(&wildcard?))
            // An entry without hosts is for whoever asks.
            .or_else(|| self.0.get(""))
    }
}

/// Answers TLS handshakes from the table of the moment.
#[derive(Debug)]
pub(crate) struct Resolver(pub(crate) Arc<Table>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or_default();
        match self.0.certificates.load().find(name) {
            Some(Certificate(pair)) => Some(pair.clone()),
            None => fallback(),
        }
    }
}

/// A self-signed certificate for names that nobody brought one for, as other ingress controllers present.
fn fallback() -> Option<Arc<CertifiedKey>> {
    static FALLBACK: OnceLock<Option<Arc<CertifiedKey>>> = OnceLock::new();
    let made = FALLBACK.get_or_init(|| {
        let own = rcgen::generate_simple_self_signed(["ingress.local".to_string()]).ok()?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let key = any_supported_type(&key).ok()?;
        Some(Arc::new(CertifiedKey::new(vec![own.cert.der().clone()], key)))
    });
    made.clone()
}
