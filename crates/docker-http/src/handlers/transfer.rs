//! Whatever moves tars and layers: pull, push, import, load, save, export.

use std::io::{Read, Write};
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use engine::{Engine, ImportRequest};
use image::{Credentials, PullRequest, PushRequest, Reporter};
use oci::{Platform, Reference};
use serde_json::json;
use tokio::sync::mpsc;

use super::{Handled, images};
use crate::body::{self, feed};
use crate::call::Call;
use crate::refusal::Refusal;
use crate::{changes, reply};

/// A blocking reader over a request body.
pub(super) struct BodyReader {
    chunks: mpsc::Receiver<std::io::Result<Bytes>>,
    rest: Bytes,
}

impl BodyReader {
    pub fn new(body: hyper::body::Incoming) -> Self {
        Self { chunks: body::chunks(body), rest: Bytes::new() }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        while self.rest.is_empty() {
            match self.chunks.blocking_recv() {
                None => return Ok(0),
                Some(chunk) => self.rest = chunk?,
            }
        }
        let count = buf.len().min(self.rest.len());
        buf[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

/// A blocking writer into an answer's body.
pub(super) struct BodyWriter(pub mpsc::Sender<Bytes>);

impl Write for BodyWriter {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let gone = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Bytes::copy_from_slice(buf)).map_err(gone)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A tar written by a worker thread; an error breaks the answer off.
pub(super) fn tar_answer<F>(work: F) -> body::Reply
where
    F: FnOnce(&mut dyn Write) -> Result<(), engine::EngineError> + Send + 'static,
{
    let (tx, body) = feed();
    tokio::task::spawn_blocking(move || {
        let mut out = std::io::BufWriter::with_capacity(64 << 10, BodyWriter(tx));
        if let Err(e) = work(&mut out).and_then(|()| Ok(out.flush()?)) {
            eprintln!("docker-http: writing a tar: {e}");
        }
    });
    let mut reply = http::Response::new(body);
    let kind = http::HeaderValue::from_static("application/x-tar");
    reply.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    reply
}

fn error_line(message: &str) -> Bytes {
    let line = json!({ "errorDetail": { "message": message }, "error": message });
    format!("{line}\r\n").into()
}

/// Base64 (either alphabet) of Docker's AuthConfig; empty and `{}` are anonymous.
pub(super) fn credentials(call: &Call) -> Result<Option<Credentials>, Refusal> {
    let text = call.header("X-Registry-Auth").trim_end_matches('=');
    if text.is_empty() {
        return Ok(None);
    }
    let standard = text.replace('-', "+").replace('_', "/");
    let bad = |e: String| Refusal::bad_request(format!("invalid X-Registry-Auth header: {e}"));
    let bytes = base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(standard)
        .map_err(|e| bad(e.to_string()))?;
    let given: Credentials = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
    Ok((given != Credentials::default()).then_some(given))
}

/// `POST /images/create`: a pull, or an import from the body.
pub async fn create(call: Call) -> Handled {
    if !call.query.get("fromImage").is_empty() {
        return pull(call).await;
    }
    import(call).await
}

async fn pull(call: Call) -> Handled {
    let auth = credentials(&call)?;
    let query = &call.query;
    let bad = |e: oci::ReferenceError| Refusal::bad_request(e.to_string());
    let mut reference = Reference::parse(query.get("fromImage")).map_err(bad)?;
    let tag = query.get("tag");
    if !tag.is_empty() {
        reference = match tag.parse::<oci::Digest>() {
            Ok(digest) => reference.with_digest(digest),
            Err(_) => reference.with_tag(tag).map_err(bad)?,
        };
    }
    let reference = reference.or_latest();
    let platform = match query.get("platform") {
        "" => None,
        text => Some(Platform::parse(text).map_err(Refusal::bad_request)?),
    };
    let engine = call.face.engine.clone();
    let (reporter, lines) = Reporter::channel();
    let request = PullRequest { reference, platform, auth, reporter };
    let work = async move { engine.image_pull(request).await };
    Ok(progress(work, lines))
}

/// Runs a transfer and streams its progress. An error before the first line is an HTTP status
/// for the caller's exit code, as dockerd's; here it is known only later, so it goes in-band.
fn progress<F>(work: F, mut lines: mpsc::UnboundedReceiver<image::Progress>) -> body::Reply
where
    F: Future<Output = engine::Result<()>> + Send + 'static,
{
    let (tx, reply) = reply::stream("application/json");
    tokio::spawn(async move {
        let forward = async {
            while let Some(line) = lines.recv().await {
                if tx.send(format!("{}\r\n", line.to_json()).into()).await.is_err() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        let result = tokio::select! {
            result = work => result,
            () = tx.closed() => return,
            () = forward => return,
        };
        // What was reported before the end is still to be told.
        while let Ok(line) = lines.try_recv() {
            let _ = tx.send(format!("{}\r\n", line.to_json()).into()).await;
        }
        if let Err(e) = result {
            let _ = tx.send(error_line(&e.message)).await;
        }
    });
    reply
}

async fn import(call: Call) -> Handled {
    let query = &call.query;
    let source = query.get("fromSrc");
    if source != "-" {
        return Err(Refusal::bad_request(format!(
            "importing from \"{source}\" is not supported; send the archive in the body"
        )));
    }
    let mut config = oci::Config::default();
    for change in query.all("changes") {
        changes::apply(&mut config, change).map_err(Refusal::bad_request)?;
    }
    let platform = match query.get("platform") {
        "" => None,
        text => Some(Platform::parse(text).map_err(Refusal::bad_request)?),
    };
    let comment = match query.get("message") {
        "" => "Imported from -".to_owned(),
        text => text.to_owned(),
    };
    let name = images::name_of(query.get("repo"), query.get("tag"))?;
    let request = ImportRequest { name, comment, platform, config };
    let engine = call.face.engine.clone();
    let tar = Box::new(BodyReader::new(call.body));
    let id = engine.image_import(tar, request).await?;
    let (tx, reply) = reply::stream("application/json");
    let line = json!({ "status": id.as_str() });
    // The channel holds more than one message.
    let _ = tx.try_send(format!("{line}\r\n").into());
    Ok(reply)
}

/// `POST /images/{name}/push`
pub async fn push(call: Call) -> Handled {
    let auth = credentials(&call)?;
    let bad = |e: oci::ReferenceError| Refusal::bad_request(e.to_string());
    let mut reference = Reference::parse(call.param(0)).map_err(bad)?;
    let tag = call.query.get("tag");
    if !tag.is_empty() {
        reference = reference.with_tag(tag).map_err(bad)?;
    }
    let reference = reference.or_latest();
    let engine = call.face.engine.clone();
    let (reporter, lines) = Reporter::channel();
    let request = PushRequest { reference, auth, reporter };
    let work = async move { engine.image_push(request).await };
    Ok(progress(work, lines))
}

pub async fn load(call: Call) -> Handled {
    let engine = call.face.engine.clone();
    let (reporter, lines) = match call.query.flag_or("quiet", true) {
        true => (Reporter::none(), None),
        false => {
            let (reporter, lines) = Reporter::channel();
            (reporter, Some(lines))
        }
    };
    let tar = Box::new(BodyReader::new(call.body));
    let (tx, reply) = reply::stream("application/json");
    let answer = tx.clone();
    let work = tokio::spawn(async move {
        match engine.image_load(tar, reporter).await {
            Ok(loaded) => {
                for image in loaded {
                    let _ = answer.send(loaded_line(&image)).await;
                }
            }
            Err(e) => drop(answer.send(error_line(&e.message)).await),
        }
    });
    if let Some(mut lines) = lines {
        tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                let _ = tx.send(format!("{}\r\n", line.to_json()).into()).await;
            }
        });
    }
    drop(work);
    Ok(reply)
}

fn loaded_line(image: &image::Loaded) -> Bytes {
    let text = match image.names.as_slice() {
        [] => format!("Loaded image ID: {}\n", image.id),
        names => names.iter().map(|n| format!("Loaded image: {}\n", n.familiar())).collect(),
    };
    format!("{}\r\n", json!({ "stream": text })).into()
}

pub async fn save(call: Call) -> Handled {
    let mut names: Vec<String> = call.params.clone();
    names.extend(call.query.all("names").map(str::to_owned));
    let engine: Arc<Engine> = call.face.engine.clone();
    for name in &names {
        engine.image(name)?;
    }
    if names.is_empty() {
        return Err(Refusal::bad_request("no images to save"));
    }
    Ok(tar_answer(move |out| engine.image_save(&names, out)))
}

pub async fn export(call: Call) -> Handled {
    let engine = call.face.engine.clone();
    let id = call.param(0).to_owned();
    engine.inspect(&id)?;
    Ok(tar_answer(move |out| engine.export(&id, out)))
}
