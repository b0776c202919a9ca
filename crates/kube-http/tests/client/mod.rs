//! A small HTTP client with or without a client certificate.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pki::{Issued, Pki};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// One HTTP/2 connection.
pub struct Client {
    sender: hyper::client::conn::http2::SendRequest<Full<Bytes>>,
    shown: Vec<u8>,
}

/// A finished answer.
pub struct Answer {
    pub code: u16,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().expect("text"))
    }
}

impl Client {
    pub async fn connect(address: SocketAddr, pki: &Pki, identity: Option<&Issued>) -> Self {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(pki.ca().as_bytes()).expect("PEM");
        roots.add(ca).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(issued) => {
                let chain =
                    CertificateDer::from_pem_slice(issued.certificate.as_bytes()).expect("PEM");
                let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("PEM");
                builder.with_client_auth_cert(vec![chain], key).expect("a pair")
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(address).await.expect("connected");
        let name = ServerName::try_from("kubernetes.default.svc").expect("a name");
        let tls = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS");
        let chain = tls.get_ref().1.peer_certificates().expect("servers show one");
        let shown = chain[0].to_vec();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls))
                .await
                .expect("HTTP/2");
        tokio::spawn(connection);
        Self { sender, shown }
    }

    /// What the server showed, DER.
    pub fn server_certificate(&self) -> &[u8] {
        &self.shown
    }

    pub async fn send(
        &mut self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Response<Incoming> {
        let mut request = Request::builder().method(method).uri(format!("https://k{uri}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        self.sender.send_request(request).await.expect("an answer")
    }

    pub async fn ask(
        &mut self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let response = self.send(method, uri, headers, body).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer { code: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub async fn get(&mut self, uri: &str) -> Answer {
        self.ask("GET", uri, &[], Vec::new()).await
    }
}
