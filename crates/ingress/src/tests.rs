//! The proxy on loopback, with clients and backends as they are in the wild: bare sockets.

use crate::{Certificate, Certificates, Sockets, Table, serve};
use netplan::ingress::{Backend, BackendProtocol, IngressInput, IngressRule, PathRule, routes};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn proxy(table: &Arc<Table>) -> (u16, u16) {
    let sockets = Sockets::bind(LOOPBACK).await.unwrap();
    let ports = sockets.ports().unwrap();
    tokio::spawn(serve(sockets, table.clone()));
    ports
}

fn point(table: &Table, endpoints: Vec<SocketAddr>) {
    let backend = Backend {
        name: "d/s:80".into(),
        protocol: BackendProtocol::Http1,
        endpoints: Ok(endpoints),
    };
    let rule = IngressRule {
        host: "app.test".into(),
        path: PathRule::Prefix("/".into()),
        backend: Arc::new(backend),
    };
    let input = IngressInput { rules: vec![rule], ..Default::default() };
    table.routes.store(Arc::new(routes(&input)));
}

/// Answers every connection with `reply`, and gives what each one asked.
async fn backend(reply: &'static str) -> (SocketAddr, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (send, asked) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let send = send.clone();
            tokio::spawn(async move {
                let head = head(&mut stream).await;
                send.send(head).await.unwrap();
                stream.write_all(reply.as_bytes()).await.unwrap();
                // An upgraded connection echoes.
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    (address, asked)
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

async fn ask(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect((LOOPBACK, port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

const GET: &str = "GET /x?y=1 HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-For: 6.6.6.6\r\nKeep-Alive: 5\r\nConnection: close, x-mine\r\nX-Mine: 1\r\n\r\n";
const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

#[tokio::test]
async fn a_request_reaches_its_backend_and_says_where_it_came_from() {
    let table = Arc::new(Table::default());
    let (port, _) = proxy(&table).await;
    let (address, mut asked) = backend(HELLO).await;
    point(&table, vec![address]);
    let answer = ask(port, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer}");
    let head = asked.recv().await.unwrap().to_ascii_lowercase();
    assert!(head.starts_with("get /x?y=1 http/1.1\r\n"), "{head}");
    for line in ["host: app.test", "x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http"] {
        assert!(head.contains(&format!("{line}\r\n")), "{line} in {head}");
    }
    assert!(!head.contains("keep-alive") && !head.contains("x-mine"), "{head}");
}

#[tokio::test]
async fn a_dead_endpoint_is_passed_over_and_no_endpoint_is_503() {
    let table = Arc::new(Table::default());
    let (port, _) = proxy(&table).await;
    let (address, _asked) = backend(HELLO).await;
    let closed = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let dead = closed.local_addr().unwrap();
    drop(closed);
    point(&table, vec![dead, address]);
    for _ in 0..4 {
        assert!(ask(port, GET).await.ends_with("hello"));
    }
    let post =
        "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody";
    for _ in 0..2 {
        assert!(ask(port, post).await.ends_with("hello"));
    }
    point(&table, vec![dead]);
    assert!(ask(port, GET).await.starts_with("HTTP/1.1 502"));
    point(&table, Vec::new());
    assert!(ask(port, GET).await.starts_with("HTTP/1.1 503"));
    let other = GET.replace("app.test", "other.test");
    assert!(ask(port, &other).await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn an_upgrade_becomes_a_pipe() {
    let table = Arc::new(Table::default());
    let (port, _) = proxy(&table).await;
    let switch =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let (address, mut asked) = backend(switch).await;
    point(&table, vec![address]);
    let mut stream = TcpStream::connect((LOOPBACK, port)).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 101"));
    assert!(asked.recv().await.unwrap().to_ascii_lowercase().contains("upgrade: websocket"));
    stream.write_all(b"ping").await.unwrap();
    let mut echoed = [0; 4];
    stream.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"ping");
}

/// The name in the certificate that a TLS client asking for `host` is shown.
async fn shown(port: u16, host: &str) -> Vec<u8> {
    use rustls_pki_types::ServerName;
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .dangerous()
    .with_custom_certificate_verifier(Arc::new(Anyone))
    .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect((LOOPBACK, port)).await.unwrap();
    let name = ServerName::try_from(host.to_string()).unwrap();
    let stream = connector.connect(name, stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn certificates_are_chosen_by_name_and_swapped_live() {
    let table = Arc::new(Table::default());
    let (_, port) = proxy(&table).await;
    let fallback = shown(port, "app.test").await;
    let make = |host: &str| {
        let own = rcgen::generate_simple_self_signed([host.to_string()]).unwrap();
        let (chain, key) = (own.cert.pem(), own.signing_key.serialize_pem());
        (Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap(), own.cert.der().to_vec())
    };
    let (exact, exact_der) = make("app.test");
    let (wild, wild_der) = make("*.test");
    let mut certificates = Certificates::default();
    certificates.insert("app.test", exact);
    certificates.insert("*.test", wild);
    table.certificates.store(Arc::new(certificates));
    assert_eq!(shown(port, "app.test").await, exact_der);
    assert_eq!(shown(port, "other.test").await, wild_der);
    assert_eq!(shown(port, "elsewhere.org").await, fallback);
}

#[test]
fn broken_pairs_are_named() {
    let one = rcgen::generate_simple_self_signed(["a".to_string()]).unwrap();
    let two = rcgen::generate_simple_self_signed(["b".to_string()]).unwrap();
    let said = |chain: &str, key: &str| {
        Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err().to_string()
    };
    assert!(said("", &one.signing_key.serialize_pem()).contains("tls.crt"));
    assert!(said(&one.cert.pem(), "junk").contains("tls.key"));
    assert!(said(&one.cert.pem(), &two.signing_key.serialize_pem()).contains("does not belong"));
}

/// These tests look at what is shown, not at who vouches for it.
#[derive(Debug)]
struct Anyone;

impl rustls::client::danger::ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &[rustls_pki_types::CertificateDer<'_>],
        _: &rustls_pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls_pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
