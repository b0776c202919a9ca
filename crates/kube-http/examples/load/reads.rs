//! Lists, and the first answer of a server that is starting.

use crate::connection::{Target, request};
use crate::{Args, Result, percentiles};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Lists `--path` `--rounds` times on one connection; with a `--limit`, page by page.
pub async fn list(args: &Args) -> Result<Value> {
    let target = Target::of(args.text("kubeconfig")?)?;
    let (path, limit) = (args.text("path")?, args.number("limit")?);
    let accept = match args.text("accept")? {
        "protobuf" => "application/vnd.kubernetes.protobuf",
        _ => "application/json",
    };
    let mut connection = target.connect().await?;
    let (mut took, mut bytes, mut pages, mut body) = (Vec::new(), 0, 0, Vec::new());
    // The first round does not count.
    for _ in 0..=args.number("rounds")? {
        (bytes, pages) = (0, 0);
        let (began, mut token) = (Instant::now(), String::new());
        loop {
            let wanted = request("GET", &page(path, limit, &token), accept, b"");
            let code = connection.ask(&wanted, &mut body).await?;
            if code != 200 {
                return Err(
                    format!("list answered {code}: {}", String::from_utf8_lossy(&body)).into()
                );
            }
            bytes += body.len();
            pages += 1;
            token = if limit == 0 { String::new() } else { continued(&body) };
            if token.is_empty() {
                break;
            }
        }
        took.push(began.elapsed());
    }
    took.remove(0);
    Ok(json!({ "bytes": bytes, "pages": pages, "us": percentiles(took) }))
}

fn page(path: &str, limit: usize, token: &str) -> String {
    match (limit, token) {
        (0, _) => path.to_string(),
        (limit, "") => format!("{path}?limit={limit}"),
        (limit, token) => format!("{path}?limit={limit}&continue={token}"),
    }
}

/// The continue token of a list: URL-safe base64 in both formats, found by how it begins (`{"rv":`).
fn continued(body: &[u8]) -> String {
    const BEGINS: &[u8] = b"eyJydiI6";
    let ends = [&body[..body.len().min(4096)], &body[body.len().saturating_sub(4096)..]];
    for part in ends {
        if let Some(at) = part.windows(BEGINS.len()).position(|window| window == BEGINS) {
            let is_token = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            return part[at..].iter().take_while(is_token).map(|byte| char::from(*byte)).collect();
        }
    }
    String::new()
}

/// Asks until a ConfigMap list is answered with 200; the caller knows when it started the server.
pub async fn first(args: &Args) -> Result<Value> {
    let (path, began) = (args.text("kubeconfig")?, Instant::now());
    let mut body = Vec::new();
    loop {
        if began.elapsed() > Duration::from_secs(30) {
            return Err("nothing answered within 30 s".into());
        }
        let Ok(target) = Target::of(path) else {
            pause().await;
            continue;
        };
        let Ok(mut connection) = target.connect().await else {
            pause().await;
            continue;
        };
        let wanted =
            request("GET", "/api/v1/namespaces/default/configmaps", "application/json", b"");
        if connection.ask(&wanted, &mut body).await? == 200 {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
            return Ok(json!({ "at": since.as_secs_f64() }));
        }
        pause().await;
    }
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
