//! Whom to trust: the host's bundle (`SSL_CERT_FILE` honoured), CAs from the configuration, and
//! docker's `/etc/docker/certs.d/<registry>/*.crt`.

use super::RegistryConfig;
use crate::error::Doing as _;
use crate::{Error, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

pub(super) fn client_config(domain: &str, config: &RegistryConfig) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::internal(format!("TLS: {e}")))?;
    let mut tls = if config.insecure {
        let verifier = Arc::new(Anyone(provider));
        builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
    } else {
        builder.with_root_certificates(roots(domain, config)?).with_no_client_auth()
    };
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(tls))
}

/// The host's bundle, parsed once for everybody who uses it at the same time: a hundred pulls share one copy.
/// Nobody's, it goes, so a bundle that changed is seen by the next pull.
fn of_host() -> Arc<RootCertStore> {
    static SHARED: Mutex<Weak<RootCertStore>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(roots) = shared.upgrade() {
        return roots;
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let roots = Arc::new(roots);
    *shared = Arc::downgrade(&roots);
    roots
}

fn roots(domain: &str, config: &RegistryConfig) -> Result<Arc<RootCertStore>> {
    let own = docker_certs(domain);
    let shared = of_host();
    if config.ca.is_empty() && own.is_empty() {
        return Ok(shared);
    }
    let mut roots = (*shared).clone();
    for file in config.ca.iter().chain(&own) {
        let pem = std::fs::read(file).at("cannot read the CA", file)?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let bad = |e: String| Error::invalid(format!("CA {}: {e}", file.display()));
            let certificate = certificate.map_err(|e| bad(e.to_string()))?;
            roots.add(certificate).map_err(|e| bad(e.to_string()))?;
        }
    }
    Ok(Arc::new(roots))
}

fn docker_certs(domain: &str) -> Vec<PathBuf> {
    let folder = Path::new("/etc/docker/certs.d").join(domain);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|e| e.path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "crt"));
    files.sort();
    files
}

/// For registries the user called insecure.
#[derive(Debug)]
struct Anyone(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
