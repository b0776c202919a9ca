//! One build from its body to its last line.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use build::{BuildError, BuildRequest, Builder, Built, Classic, Context, Event, Named, Plain, Raw};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::output;
use super::request::{Order, Progress};

pub type Answer = mpsc::Sender<bytes::Bytes>;
type Chunks = mpsc::Receiver<std::io::Result<bytes::Bytes>>;

pub async fn say(answer: &Answer, line: Value) {
    // A client that left is noticed elsewhere.
    let _ = answer.send(format!("{line}\r\n").into()).await;
}

pub async fn serve(builder: Arc<Builder>, order: Order, body: Chunks, answer: Answer) {
    let quiet = order.progress == Progress::Quiet;
    let (events, heard) = mpsc::unbounded_channel();
    let lines = tell(order.progress, heard, &answer);
    let (built, ()) = tokio::join!(build(builder, order, body, events, &answer), lines);
    match built {
        Ok(Some(built)) if quiet => {
            say(&answer, json!({ "stream": format!("{}\n", built.id) })).await;
        }
        Ok(_) => {}
        Err(e) => {
            if let Some(image) = &e.tree {
                say(&answer, json!({ "aux": { "boxship.failed": { "image": image } } })).await;
            }
            let mut detail = json!({ "message": e.message });
            if let Some(code) = e.code {
                detail["code"] = code.into();
            }
            say(&answer, json!({ "errorDetail": detail, "error": e.message })).await;
        }
    }
}

/// Turns events into lines until the build has ended.
async fn tell(progress: Progress, mut heard: mpsc::UnboundedReceiver<Event>, answer: &Answer) {
    let (mut classic, mut plain, mut raw) = (Classic::default(), Plain::default(), Raw::default());
    while let Some(event) = heard.recv().await {
        if let Event::Image(id) = &event {
            say(answer, json!({ "aux": { "ID": id.as_str() } })).await;
        }
        let lines = match progress {
            Progress::Quiet => Vec::new(),
            Progress::Classic => classic.feed(&event),
            Progress::Plain => plain.feed(&event),
            Progress::RawJson => {
                for status in raw.feed(&event) {
                    say(answer, json!({ "aux": { "boxship.status": status } })).await;
                }
                Vec::new()
            }
        };
        for line in lines {
            say(answer, json!({ "stream": line })).await;
        }
    }
}

/// What must live as long as the build does.
#[derive(Default)]
struct Brought {
    contexts: Vec<Context>,
}

async fn build(
    builder: Arc<Builder>,
    mut order: Order,
    body: Chunks,
    events: mpsc::UnboundedSender<Event>,
    answer: &Answer,
) -> Result<Option<Built>, BuildError> {
    let mut brought = Brought::default();
    let context = context(&builder, &mut order, body, &mut brought).await?;
    named_contexts(&builder, &mut order, &mut brought).await?;
    if order.check {
        builder.check(&order.request, context, &events).await?;
        return Ok(None);
    }
    let built = builder.build(order.request.clone(), context, events).await?;
    output::give(&builder, &order, &built, answer).await?;
    Ok(Some(built))
}

/// The posted tar, or what `remote` means; reserved files go into the request.
async fn context(
    builder: &Arc<Builder>,
    order: &mut Order,
    body: Chunks,
    brought: &mut Brought,
) -> Result<Context, BuildError> {
    let posted = match (&order.remote, order.reserved) {
        (Some(_), false) => None,
        _ => Some(unpack(builder, &order.request, body).await?),
    };
    let (mut context, mut posted) = match &order.remote {
        Some(remote) => (builder.remote_context(remote, &order.request).await?, posted),
        None => match posted {
            Some(context) => (context, None),
            None => return Err(BuildError::new("no build context was sent")),
        },
    };
    if order.reserved {
        let folder = posted.as_mut().unwrap_or(&mut context).take_reserved()?;
        if let Some(folder) = folder {
            let builder = builder.clone();
            let mut taken = order.clone();
            let work = move || reserved(&builder, &mut taken, &folder).map(|()| taken);
            *order = blocking(work).await?;
        }
    }
    brought.contexts.extend(posted);
    Ok(context)
}

async fn unpack(
    builder: &Builder,
    request: &BuildRequest,
    chunks: Chunks,
) -> Result<Context, BuildError> {
    let (dir, name) = (builder.work_dir().to_owned(), request.dockerfile.clone());
    let tar = Box::new(Body { chunks, rest: bytes::Bytes::new() });
    blocking(move || Context::unpack(tar, &dir, &name)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BuildError> + Send + 'static,
) -> Result<T, BuildError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| BuildError::new(e.to_string()))?
}

/// Secrets, named contexts and archives of caches that the tar brought.
fn reserved(builder: &Builder, order: &mut Order, folder: &Path) -> Result<(), BuildError> {
    let reading = |e: std::io::Error| BuildError::new(format!("reading the request's files: {e}"));
    for (name, path) in files(&folder.join("secrets")).map_err(reading)? {
        order.request.secrets.insert(name, std::fs::read(path).map_err(reading)?);
    }
    for (name, path) in files(&folder.join("contexts")).map_err(reading)? {
        order.request.contexts.insert(name, Named::Folder(path));
    }
    let archives = files(&folder.join("cache")).map_err(reading)?;
    for from in order.cache_from.iter().filter(|f| f.kind == "local") {
        let name = from.attr("src");
        let missing = || BuildError::new(format!("no archive cache/{name} was sent"));
        let path = archives.get(name).ok_or_else(missing)?;
        let mut file = std::fs::File::open(path).map_err(reading)?;
        order.request.cache_from.extend(builder.load(&mut file)?);
    }
    Ok(())
}

/// What a folder holds, by name; nothing when it is not there.
fn files(folder: &Path) -> std::io::Result<BTreeMap<String, std::path::PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(e) => return Err(e),
    };
    let mut out = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        out.insert(entry.file_name().to_string_lossy().into_owned(), entry.path());
    }
    Ok(out)
}

/// `--build-context` of images, repositories and URLs.
async fn named_contexts(
    builder: &Arc<Builder>,
    order: &mut Order,
    brought: &mut Brought,
) -> Result<(), BuildError> {
    for (name, place) in std::mem::take(&mut order.contexts) {
        let named = match place.strip_prefix("docker-image://") {
            Some(image) => Named::Image(image.to_owned()),
            None => {
                let context = builder.remote_context(&place, &order.request).await?;
                let named = Named::Folder(context.root().to_owned());
                brought.contexts.push(context);
                named
            }
        };
        order.request.contexts.insert(name, named);
    }
    let of_registry = order.cache_from.iter().filter(|f| f.kind == "registry");
    order.request.cache_from.extend(of_registry.map(|f| f.attr("ref").to_owned()));
    Ok(())
}

/// The request's body for code that blocks.
struct Body {
    chunks: Chunks,
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
