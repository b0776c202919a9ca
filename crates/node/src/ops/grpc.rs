//! gRPC health checks (pkg/probe/grpc/grpc.go; grpc.health.v1.Health/Check), as much of gRPC as one call needs.

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// `HealthCheckResponse` is two bytes.
const ANSWER_MAX: usize = 4 << 10;

/// Asks for the health of `service` (may be empty).
pub(crate) async fn check(host: &str, port: u16, service: &str) -> Result<(), String> {
    let failed = |e: &dyn std::fmt::Display| {
        format!("timeout: failed to connect service \"{host}:{port}\": {e}")
    };
    let stream = TcpStream::connect((host, port)).await.map_err(|e| failed(&e))?;
    let shake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = shake.map_err(|e| failed(&e))?;
    let driver = tokio::spawn(connection);
    let request = http::Request::post(format!("http://{host}:{port}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "kube-probe/1.35")
        .body(Full::new(question(service)))
        .map_err(|e| failed(&e))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|e| failed(&e))?;
        let refused = response.headers().get("grpc-status").cloned();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(|e| failed(&e))?;
        let status =
            refused.or_else(|| body.trailers().and_then(|t| t.get("grpc-status")).cloned());
        Ok((status.and_then(|s| s.to_str().ok().map(str::to_string)), body.to_bytes()))
    };
    let answer: Result<(Option<String>, Bytes), String> = answer.await;
    driver.abort();
    let (status, bytes) = answer?;
    match status.as_deref().unwrap_or("0") {
        "0" => serving(&bytes),
        code => Err(format!("error: health rpc probe failed with code {code}")),
    }
}

/// `HealthCheckRequest { string service = 1; }` in a gRPC frame.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        let mut len = service.len();
        while len > 127 {
            message.put_u8((len & 0x7f) as u8 | 0x80);
            len >>= 7;
        }
        message.put_u8(len as u8);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(0));
    frame.put(message);
    frame.freeze()
}

/// `HealthCheckResponse { ServingStatus status = 1; }`, where SERVING is 1.
fn serving(frame: &[u8]) -> Result<(), String> {
    match frame.get(5..) {
        Some([0x08, 1, ..]) => Ok(()),
        Some([0x08, status, ..]) => {
            Err(format!("service unhealthy (responded with {:?})", name(*status)))
        }
        _ => Err("service unhealthy (responded with \"UNKNOWN\")".into()),
    }
}

fn name(status: u8) -> &'static str {
    match status {
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        assert_eq!(&question("")[..], &[0, 0, 0, 0, 0]);
        assert_eq!(&question("ab")[..], &[0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert!(serving(&[0, 0, 0, 0, 2, 8, 1]).is_ok());
        assert!(serving(&[0, 0, 0, 0, 2, 8, 2]).unwrap_err().contains("NOT_SERVING"));
        assert!(serving(&[]).is_err());
    }
}
