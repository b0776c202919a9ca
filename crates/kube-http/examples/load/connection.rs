//! A keep-alive HTTP/1.1 connection over TLS, by hand.

use crate::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where the server is and who we are there.
#[derive(Clone)]
pub struct Target {
    pub address: String,
    connector: TlsConnector,
}

impl Target {
    /// From the first cluster and user of a kubeconfig with everything inside.
    pub fn of(kubeconfig: &str) -> Result<Self> {
        let text = std::fs::read_to_string(kubeconfig)?;
        let config: serde_json::Value = serde_saphyr::from_str(&text)?;
        let (cluster, user) = (&config["clusters"][0]["cluster"], &config["users"][0]["user"]);
        let pem = |value: &serde_json::Value| -> Result<Vec<u8>> {
            Ok(STANDARD.decode(value.as_str().ok_or("the kubeconfig lacks a certificate")?)?)
        };
        let mut roots = RootCertStore::empty();
        let authority = pem(&cluster["certificate-authority-data"])?;
        roots.add(CertificateDer::from_pem_slice(&authority)?)?;
        let chain = CertificateDer::from_pem_slice(&pem(&user["client-certificate-data"])?)?;
        let key = PrivateKeyDer::from_pem_slice(&pem(&user["client-key-data"])?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![chain], key)?;
        let server = cluster["server"].as_str().unwrap_or_default();
        let address = server.trim_start_matches("https://").to_string();
        Ok(Self { address, connector: TlsConnector::from(Arc::new(config)) })
    }

    pub async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("kubernetes.default.svc")?;
        let tls = self.connector.connect(name, stream).await?;
        Ok(Connection { tls, input: vec![0; 1 << 16], from: 0, to: 0 })
    }
}

pub struct Connection {
    tls: TlsStream<TcpStream>,
    input: Vec<u8>,
    /// Unread input.
    from: usize,
    to: usize,
}

/// The bytes of a request.
pub fn request(method: &str, path: &str, accept: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: k\r\nUser-Agent: load\r\nAccept: {accept}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

impl Connection {
    /// Sends a request and reads the whole answer: its code, and its body in `body`.
    pub async fn ask(&mut self, request: &[u8], body: &mut Vec<u8>) -> Result<u16> {
        self.tls.write_all(request).await?;
        self.tls.flush().await?;
        body.clear();
        let (code, length) = self.head().await?;
        match length {
            Some(length) => self.take(length, body).await?,
            None => while self.chunk(body).await? {},
        }
        Ok(code)
    }

    /// Sends a request and reads the head of the answer only.
    pub async fn begin(&mut self, request: &[u8]) -> Result<u16> {
        self.tls.write_all(request).await?;
        self.tls.flush().await?;
        Ok(self.head().await?.0)
    }

    /// Whatever comes next, chunk sizes included; empty at the end.
    pub async fn raw(&mut self) -> Result<&[u8]> {
        if self.from == self.to {
            self.fill().await?;
        }
        let from = std::mem::replace(&mut self.from, self.to);
        Ok(&self.input[from..self.to])
    }

    async fn fill(&mut self) -> Result<usize> {
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
        }
        if self.to == self.input.len() {
            self.input.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        let read = self.tls.read(&mut self.input[self.to..]).await?;
        self.to += read;
        Ok(read)
    }

    /// The next line, without its end.
    async fn line(&mut self) -> Result<String> {
        loop {
            let unread = &self.input[self.from..self.to];
            if let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&unread[..end]).trim_end().to_string();
                self.from += end + 1;
                return Ok(line);
            }
            if self.fill().await? == 0 {
                return Err("the server hung up".into());
            }
        }
    }

    /// Code and, unless the body comes in chunks, its length.
    async fn head(&mut self) -> Result<(u16, Option<usize>)> {
        let status = self.line().await?;
        let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut length = Some(0);
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok((code.ok_or("no HTTP answer")?, length));
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                length = None;
            }
        }
    }

    async fn take(&mut self, mut length: usize, body: &mut Vec<u8>) -> Result<()> {
        while length > 0 {
            if self.from == self.to && self.fill().await? == 0 {
                return Err("the server hung up".into());
            }
            let part = length.min(self.to - self.from);
            body.extend_from_slice(&self.input[self.from..self.from + part]);
            self.from += part;
            length -= part;
        }
        Ok(())
    }

    /// Whether there was one more chunk.
    async fn chunk(&mut self, body: &mut Vec<u8>) -> Result<bool> {
        let size = usize::from_str_radix(self.line().await?.trim(), 16)?;
        self.take(size, body).await?;
        self.line().await?;
        Ok(size > 0)
    }
}
