//! What becomes of a built image besides its place in the store: files for the caller, pushes.

use std::io::Write;
use std::sync::Arc;

use base64::Engine as _;
use build::{BuildError, Builder, Built, Exporter};
use oci::{Digest, Reference};
use serde_json::json;

use super::request::Order;
use super::serve::{Answer, say};
use super::words::Typed;

type Result<T> = std::result::Result<T, BuildError>;

/// Serves all outputs and caches of a request in their order.
pub async fn give(
    builder: &Arc<Builder>,
    order: &Order,
    built: &Built,
    answer: &Answer,
) -> Result<()> {
    let mut stays = order.outputs.is_empty() || !order.request.names.is_empty();
    for (n, output) in order.outputs.iter().enumerate() {
        match output.kind.as_str() {
            "local" | "tar" => stream(builder, &built.id, Exporter::Tree, n, answer).await?,
            "oci" | "docker" => stream(builder, &built.id, Exporter::Archive, n, answer).await?,
            _ => {
                stays = true;
                push(builder, order, output, built).await?;
            }
        }
    }
    if let Some(cache) = &built.cache {
        for (n, to) in order.cache_to.iter().enumerate() {
            cache_to(builder, order, (to, cache), order.outputs.len() + n, answer).await?;
        }
        builder.drop_image(cache)?;
    }
    if !stays {
        builder.drop_image(&built.id)?;
    }
    Ok(())
}

async fn push(builder: &Builder, order: &Order, output: &Typed, built: &Built) -> Result<()> {
    let wanted = output.kind == "registry" || output.attr("push") == "true";
    if wanted && built.names.is_empty() {
        return Err(BuildError::new("tag is needed when pushing to registry"));
    }
    for name in built.names.iter().filter(|_| wanted) {
        builder.push(name, &order.request).await?;
    }
    Ok(())
}

async fn cache_to(
    builder: &Arc<Builder>,
    order: &Order,
    (to, cache): (&Typed, &Digest),
    n: usize,
    answer: &Answer,
) -> Result<()> {
    match to.kind.as_str() {
        "registry" => {
            let name = Reference::parse_tagged(to.attr("ref"))
                .map_err(|e| BuildError::new(format!("--cache-to ref: {e}")))?;
            builder.push_as(cache, &name, &order.request).await
        }
        "local" => stream(builder, cache, Exporter::Archive, n, answer).await,
        // The image itself carries it.
        _ => Ok(()),
    }
}

/// One file as lines of the answer.
async fn stream(
    builder: &Arc<Builder>,
    image: &Digest,
    exporter: Exporter,
    n: usize,
    answer: &Answer,
) -> Result<()> {
    let (builder, image) = (builder.clone(), image.clone());
    let lines = Lines { answer: answer.clone(), n };
    let work = tokio::task::spawn_blocking(move || {
        let mut out = std::io::BufWriter::with_capacity(256 << 10, lines);
        builder.export(&image, exporter, &mut out)?;
        out.flush().map_err(|e| BuildError::new(format!("sending the output: {e}")))
    });
    work.await.map_err(|e| BuildError::new(e.to_string()))??;
    say(answer, json!({ "aux": { "boxship.output": { "n": n, "end": true } } })).await;
    Ok(())
}

struct Lines {
    answer: Answer,
    n: usize,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let data = base64::engine::general_purpose::STANDARD.encode(bytes);
        let line = json!({ "aux": { "boxship.output": { "n": self.n, "data": data } } });
        let gone = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        self.answer.blocking_send(format!("{line}\r\n").into()).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
