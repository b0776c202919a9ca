//! `POST /build` in front of the builder: the request's words in, classic JSON lines out.

mod request;

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use build::{BuildError, BuildRequest, Builder, Classic, Context, Event, PruneMounts};
use docker_http::{BuildCall, BuildFuture, Gate, Query, RawRead, RawWrite, Refusal};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Serves the Docker API's builds.
pub struct DockerBuilder(pub Arc<Builder>);

impl docker_http::Builder for DockerBuilder {
    fn build(&self, call: BuildCall) -> BuildFuture<Result<(), Refusal>> {
        let builder = self.0.clone();
        Box::pin(async move {
            let request = request::read(&call.query, &call.headers)?;
            let quiet = call.query.flag("q");
            // The answer begins at once; a client that leaves drops the build with everything.
            tokio::spawn(async move {
                let answer = call.answer.clone();
                tokio::select! {
                    () = serve(builder, request, call.context, call.answer, quiet) => {}
                    () = answer.closed() => {}
                }
            });
            Ok(())
        })
    }

    fn prune(&self, query: Query) -> BuildFuture<Result<Value, Refusal>> {
        let builder = self.0.clone();
        Box::pin(async move {
            let filters = query.filters()?;
            filters.only(&["until", "id", "type", "inuse", "private", "shared", "description"])?;
            let age = filters.get("until").next().map(age).transpose()?;
            let until = SystemTime::now() - age.unwrap_or_default();
            let mounts = if query.flag("all") { PruneMounts::Yes } else { PruneMounts::No };
            let pruned = tokio::task::spawn_blocking(move || builder.prune(until, mounts)).await;
            let pruned = pruned.map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
            Ok(json!({ "CachesDeleted": pruned.keys, "SpaceReclaimed": pruned.bytes }))
        })
    }

    fn cache(&self) -> BuildFuture<Vec<Value>> {
        let rows = self.0.cache_rows();
        Box::pin(async move { rows.into_iter().map(|r| row(&r)).collect() })
    }

    fn gate(
        &self,
        _gate: Gate,
        _headers: http::HeaderMap,
        _io: (RawRead, RawWrite),
    ) -> BuildFuture<()> {
        // Closing tells buildx that BuildKit's own protocol is not spoken here yet.
        Box::pin(async {})
    }
}

fn failed(e: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(http::StatusCode::INTERNAL_SERVER_ERROR, e.to_string())
}

/// Go's durations as far as `until` needs them: `24h`, `90m`, `30s`.
fn age(text: &str) -> Result<Duration, Refusal> {
    let bad = || Refusal::bad_request(format!("invalid until filter: {text}"));
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let number: u64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(bad()),
    };
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

fn row(row: &build::CacheRow) -> Value {
    json!({
        "ID": row.key,
        "Type": "regular",
        "Description": row.description,
        "InUse": false,
        "Shared": false,
        "Size": row.size,
        "CreatedAt": row.created,
        "LastUsedAt": Value::Null,
        "UsageCount": 1,
    })
}

type Answer = mpsc::Sender<bytes::Bytes>;

async fn say(answer: &Answer, line: Value) {
    // A client that left is noticed elsewhere.
    let _ = answer.send(format!("{line}\r\n").into()).await;
}

async fn serve(
    builder: Arc<Builder>,
    request: BuildRequest,
    body: mpsc::Receiver<std::io::Result<bytes::Bytes>>,
    answer: Answer,
    quiet: bool,
) {
    let (events, mut heard) = mpsc::unbounded_channel();
    let work = async move {
        let (dir, name) = (builder.work_dir().to_owned(), request.dockerfile.clone());
        let tar = Box::new(Body { chunks: body, rest: bytes::Bytes::new() });
        let unpack = tokio::task::spawn_blocking(move || Context::unpack(tar, &dir, &name));
        let context = unpack.await.map_err(|e| BuildError::new(e.to_string()))??;
        builder.build(request, context, events).await
    };
    let lines = async {
        let mut classic = Classic::default();
        while let Some(event) = heard.recv().await {
            if let Event::Image(id) = &event {
                say(&answer, json!({ "aux": { "ID": id.as_str() } })).await;
            }
            if quiet {
                continue;
            }
            for line in classic.feed(&event) {
                say(&answer, json!({ "stream": line })).await;
            }
        }
    };
    let (built, ()) = tokio::join!(work, lines);
    match built {
        Ok(built) if quiet => say(&answer, json!({ "stream": format!("{}\n", built.id) })).await,
        Ok(_) => {}
        Err(e) => {
            let mut detail = json!({ "message": e.message });
            if let Some(code) = e.code {
                detail["code"] = code.into();
            }
            say(&answer, json!({ "errorDetail": detail, "error": e.message })).await;
        }
    }
}

/// The request's body for code that blocks.
struct Body {
    chunks: mpsc::Receiver<std::io::Result<bytes::Bytes>>,
    rest: bytes::Bytes,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.rest.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.rest = chunk?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}
