//! Paths the face answers by itself: health, metrics, and the documents that publish the token keys.

use crate::answer::{self, Coding, Response};
use crate::exchange::Head;
use crate::server::Server;
use api::{Method, Reply};
use meta::Problem;
use std::sync::Arc;

/// Anybody may read these (`--authorization-always-allow-paths`).
const OPEN: [&str; 3] = ["/healthz", "/livez", "/readyz"];

/// A path with its answer.
struct Row {
    path: &'static str,
    answer: fn(&Server) -> Result<Reply, Problem>,
}

const ROWS: &[Row] = &[
    Row { path: "/metrics", answer: metrics },
    Row { path: "/.well-known/openid-configuration", answer: discovery },
    Row { path: "/openid/v1/jwks", answer: jwks },
];

/// `None` when the path is none of these.
pub async fn answer(server: &Arc<Server>, head: &Head) -> Option<Response> {
    if !matches!(head.method, Method::Get | Method::Head) {
        return None;
    }
    let health = server.deps.health.answer(&head.path, &head.query);
    let row = ROWS.iter().find(|row| row.path == head.path);
    if health.is_none() && row.is_none() {
        return None;
    }
    if !OPEN.contains(&head.path.as_str())
        && let Err(problem) = admit(server, head)
    {
        return Some(answer::problem(&problem));
    }
    if let Some((code, text)) = health {
        return Some(answer::text(code, &text));
    }
    let row = row?;
    let theirs = server.clone();
    // These may wait for the signing key of a new cluster.
    let made = tokio::task::spawn_blocking(move || (row.answer)(&theirs)).await;
    Some(match made {
        Ok(Ok(reply)) => answer::reply(reply, Coding::Plain),
        Ok(Err(problem)) => answer::problem(&problem),
        Err(error) => answer::problem(&Problem::internal(error)),
    })
}

fn admit(server: &Server, head: &Head) -> Result<(), Problem> {
    let verb = head.method.as_str().to_lowercase();
    server.deps.gate.admit_path(&head.identity, &verb, &head.path, &server.deps.store.view())
}

fn metrics(server: &Server) -> Result<Reply, Problem> {
    let text = server.metrics.render([server.reads.now(), server.writes.now()]);
    Ok(Reply::new(200, "text/plain; version=0.0.4; charset=utf-8", text.into_bytes()))
}

fn discovery(server: &Server) -> Result<Reply, Problem> {
    let reply = Reply::json(200, &server.deps.gate.discovery()?);
    Ok(reply.header("cache-control", "public, max-age=3600"))
}

fn jwks(server: &Server) -> Result<Reply, Problem> {
    let mut reply = Reply::json(200, &server.deps.gate.jwks()?);
    reply.content_type = "application/jwk-set+json".into();
    Ok(reply.header("cache-control", "public, max-age=3600"))
}
