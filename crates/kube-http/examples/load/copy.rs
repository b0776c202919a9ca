//! The raw cost of moving bytes: a TLS server in a thread writes them, this thread reads them.

use crate::{Args, Result, percentiles};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

/// `--bytes` copied `--rounds` times.
pub async fn copy(args: &Args) -> Result<Value> {
    let (bytes, rounds) = (args.number("bytes")?, args.number("rounds")?);
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["k".into()])?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(signing_key.serialize_der())?;
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)?;
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone())?;
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let serving = std::thread::spawn(move || serve(&listener, server, bytes, rounds));
    let mut took = Vec::new();
    let session = rustls::ClientConnection::new(Arc::new(client), ServerName::try_from("k")?)?;
    let mut tls = rustls::StreamOwned::new(session, TcpStream::connect(address)?);
    let mut piece = vec![0; 1 << 16];
    for _ in 0..=rounds {
        let began = Instant::now();
        tls.write_all(b"?")?;
        let mut read = 0;
        while read < bytes {
            read += tls.read(&mut piece)?;
        }
        took.push(began.elapsed());
    }
    serving.join().map_err(|_| "the serving thread panicked")?.map_err(|e| e.to_string())?;
    took.remove(0);
    Ok(json!({ "bytes": bytes, "us": percentiles(took) }))
}

fn serve(
    listener: &TcpListener,
    config: ServerConfig,
    bytes: usize,
    rounds: usize,
) -> std::io::Result<()> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let session = rustls::ServerConnection::new(Arc::new(config)).map_err(std::io::Error::other)?;
    let mut tls = rustls::StreamOwned::new(session, stream);
    let all = vec![b'x'; bytes];
    for _ in 0..=rounds {
        let mut asked = [0];
        tls.read_exact(&mut asked)?;
        // Pieces of the size that the API server hands to TLS.
        all.chunks(1 << 16).try_for_each(|piece| tls.write_all(piece))?;
        tls.flush()?;
    }
    Ok(())
}
