//! `HEAD`, `GET` and `PUT /containers/{id}/archive`

use base64::Engine as _;
use engine::{PathStat, PutOptions};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::Handled;
use super::transfer::{BodyReader, tar_answer};
use crate::body::Reply;
use crate::call::Call;
use crate::refusal::Refusal;
use crate::reply;

const STAT: &str = "X-Docker-Container-Path-Stat";

fn path_of(call: &Call) -> Result<String, Refusal> {
    match call.query.get("path") {
        "" => Err(Refusal::bad_request("bad parameter: path cannot be empty")),
        path => Ok(path.to_owned()),
    }
}

async fn stat(call: &Call, path: &str) -> Result<PathStat, Refusal> {
    let (engine, id) = (call.face.engine.clone(), call.param(0).to_owned());
    let path = path.to_owned();
    let done = tokio::task::spawn_blocking(move || engine.archive_stat(&id, &path)).await;
    Ok(done.map_err(|e| worker(&e))??)
}

fn worker(e: &tokio::task::JoinError) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("a worker thread failed: {e}"))
}

/// Go's `os.FileMode`: permission bits, and its own bits for the kind.
fn go_mode(mode: u32) -> u32 {
    let kind = match mode & 0o170_000 {
        0o040_000 => 1 << 31,
        0o120_000 => 1 << 27,
        0o060_000 => 1 << 26,
        0o020_000 => (1 << 26) | (1 << 21),
        0o010_000 => 1 << 25,
        0o140_000 => 1 << 24,
        _ => 0,
    };
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let bits = special.iter().filter(|(unix, _)| mode & unix != 0).map(|(_, go)| go);
    (mode & 0o777) | kind | bits.sum::<u32>()
}

fn with_stat(mut reply: Reply, stat: &PathStat) -> Result<Reply, Refusal> {
    let text = json!({
        "name": stat.name,
        "size": stat.size,
        "mode": go_mode(stat.mode),
        "mtime": stat.modified.rfc3339_nano(),
        "linkTarget": stat.link_target,
    });
    let encoded = base64::engine::general_purpose::STANDARD.encode(text.to_string());
    let value = HeaderValue::from_str(&encoded)
        .map_err(|e| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    reply.headers_mut().insert(STAT, value);
    Ok(reply)
}

pub async fn head(call: Call) -> Handled {
    let path = path_of(&call)?;
    let stat = stat(&call, &path).await?;
    with_stat(reply::empty(StatusCode::OK), &stat)
}

pub async fn get(call: Call) -> Handled {
    let path = path_of(&call)?;
    let stat = stat(&call, &path).await?;
    let (engine, id) = (call.face.engine.clone(), call.param(0).to_owned());
    with_stat(tar_answer(move |out| engine.archive_get(&id, &path, out)), &stat)
}

pub async fn put(call: Call) -> Handled {
    let path = path_of(&call)?;
    let options = PutOptions { keep_kinds: call.query.flag("noOverwriteDirNonDir") };
    let (engine, id) = (call.face.engine.clone(), call.param(0).to_owned());
    let mut tar = BodyReader::new(call.body);
    let work = move || engine.archive_put(&id, &path, &mut tar, options);
    tokio::task::spawn_blocking(work).await.map_err(|e| worker(&e))??;
    Ok(reply::empty(StatusCode::OK))
}

#[cfg(test)]
mod tests {
    #[test]
    fn modes() {
        assert_eq!(super::go_mode(0o100_644), 0o644);
        assert_eq!(super::go_mode(0o041_777), (1 << 31) | (1 << 20) | 0o777);
        assert_eq!(super::go_mode(0o120_777), (1 << 27) | 0o777);
    }
}
