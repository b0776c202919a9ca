//! etcd's own puts: gRPC over plain HTTP/2, one connection a client.

use crate::{Args, Result, percentiles};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::time::Instant;
use tokio::net::TcpStream;

/// `--clients` connections put values of `--bytes` under fresh keys for `--seconds`.
pub async fn puts(args: &Args) -> Result<Value> {
    let (address, span) = (args.text("etcd")?.to_string(), args.span()?);
    let (clients, bytes) = (args.number("clients")?, args.number("bytes")?);
    let mut connections = Vec::new();
    for _ in 0..clients {
        let stream = TcpStream::connect(&address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        connections.push(sender);
    }
    let (began, end) = (Instant::now(), Instant::now() + span);
    let tasks: Vec<_> = connections
        .into_iter()
        .enumerate()
        .map(|(client, mut sender)| {
            let uri = format!("http://{address}/etcdserverpb.KV/Put");
            tokio::task::spawn_local(async move {
                let mut took = Vec::new();
                while Instant::now() < end {
                    let key = format!("/registry/load/{clients}-{client}-{}", took.len());
                    let began = Instant::now();
                    put(&mut sender, &uri, &key, bytes).await.map_err(|e| e.to_string())?;
                    took.push(began.elapsed());
                }
                Ok::<_, String>(took)
            })
        })
        .collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await??);
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(json!({ "done": took.len(), "seconds": seconds, "us": percentiles(took) }))
}

async fn put(
    sender: &mut SendRequest<Full<Bytes>>,
    uri: &str,
    key: &str,
    bytes: usize,
) -> Result<()> {
    let request = Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(message(key, bytes).into()))?;
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    let early = answer.headers().get("grpc-status").cloned();
    let body = answer.into_body().collect().await?;
    let late = body.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned();
    match early.or(late) {
        Some(status) if status == "0" => Ok(()),
        status => Err(format!("put answered {status:?}").into()),
    }
}

/// `PutRequest { key = 1, value = 2 }` in gRPC's frame.
fn message(key: &str, bytes: usize) -> Vec<u8> {
    let mut put = Vec::with_capacity(bytes + key.len() + 16);
    let mut field = |tag: u8, data: &[u8]| {
        put.push(tag);
        let mut length = data.len();
        while length >= 0x80 {
            put.push(length as u8 | 0x80);
            length >>= 7;
        }
        put.push(length as u8);
        put.extend_from_slice(data);
    };
    field(0x0a, key.as_bytes());
    field(0x12, &vec![b'x'; bytes]);
    let length = u32::try_from(put.len()).expect("values are small").to_be_bytes();
    [&[0], length.as_slice(), &put].concat()
}
