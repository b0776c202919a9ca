//! The cache as images: `--cache-to` inline and elsewhere, `--cache-from`.
//!
//! Rows stand in the image's config beside what OCI defines; each names one of the image's layers.
//! Keys say everything that went into a step, so they mean the same on every machine.

use std::collections::BTreeMap;

use image::{Image, ImageStore, Layer, NewImage, PullRequest, Reporter};
use oci::{Digest, ImageConfig, Reference};
use serde::{Deserialize, Serialize};

use crate::BuildRequest;
use crate::cache::Row;
use crate::error::{BuildError, Doing, Result};
use crate::execute::{Made, Session};

/// The config's field.
const FIELD: &str = "boxship.cache.v0";
/// More than any build has; keeps hostile images small.
const ROWS_MAX: usize = 100_000;

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exported {
    key: String,
    /// Place among the image's layers; `None`: the step changed nothing.
    layer: Option<usize>,
    created: String,
    description: String,
}

/// The steps whose layers are among `layers`.
pub fn rows(made: &[Made], layers: &[Layer]) -> Vec<Exported> {
    let row = |m: &Made| {
        let layer = match (&m.own_layer, m.layers.last()) {
            (true, Some(own)) => Some(layers.iter().position(|l| l.key == own.key)?),
            _ => None,
        };
        let (key, created, description) = (m.key.clone(), m.created.clone(), String::new());
        m.is_step.then_some(Exported { key, layer, created, description })
    };
    made.iter().filter_map(row).collect()
}

pub fn write(config: &mut ImageConfig, rows: &[Exported]) -> Result<()> {
    let value = serde_json::to_value(rows).doing(|| "writing cache rows".to_owned())?;
    config.extra.insert(FIELD.to_owned(), value);
    Ok(())
}

/// One image of all layers that the build made or used.
pub fn export(session: &Session, made: &[Made]) -> Result<Digest> {
    let mut layers: Vec<Layer> = Vec::new();
    for layer in made.iter().filter(|m| m.own_layer).filter_map(|m| m.layers.last()) {
        if !layers.iter().any(|l| l.key == layer.key) {
            layers.push(layer.clone());
        }
    }
    let mut config = ImageConfig {
        // Always the same for the same rows: pushing it again sends nothing.
        created: "1970-01-01T00:00:00Z".to_owned(),
        ..ImageConfig::default()
    };
    write(&mut config, &rows(made, &layers))?;
    let new = NewImage { config, layers, parent: None, names: Vec::new() };
    Ok(session.builder.engine.images.create_image(new)?)
}

/// What the named images know; those that cannot be had are told and left out, as BuildKit does.
pub async fn import(
    images: &ImageStore,
    request: &BuildRequest,
    warn: &(dyn Fn(String) + Sync),
) -> BTreeMap<String, Row> {
    let mut out = BTreeMap::new();
    for name in &request.cache_from {
        match one(images, name, request).await {
            Ok(rows) => out.extend(rows),
            Err(e) => warn(format!("importing the cache of {name}: {e}")),
        }
    }
    out
}

async fn one(
    images: &ImageStore,
    name: &str,
    request: &BuildRequest,
) -> Result<Vec<(String, Row)>> {
    let here = images.resolve(name).ok();
    let id = match here {
        Some(id) => id,
        None => {
            let reference =
                Reference::parse_tagged(name).doing(|| format!("invalid reference {name}"))?;
            let pull = PullRequest {
                auth: request.auths.lookup(reference.domain(), reference.path())?,
                reference,
                platform: Some(request.platform.clone()),
                reporter: Reporter::none(),
            };
            images.pull(pull).await?.id
        }
    };
    read(&images.get(&id)?)
}

fn read(image: &Image) -> Result<Vec<(String, Row)>> {
    let Some(value) = image.config.extra.get(FIELD) else { return Ok(Vec::new()) };
    let rows: Vec<Exported> =
        serde_json::from_value(value.clone()).doing(|| "reading cache rows".to_owned())?;
    let plain = |r: &Exported| r.key.len() == 64 && r.key.bytes().all(|b| b.is_ascii_hexdigit());
    if rows.len() > ROWS_MAX || !rows.iter().all(plain) {
        return Err(BuildError::new("its cache rows are not valid"));
    }
    let row = |r: Exported| {
        let layer = match r.layer {
            Some(at) => Some(image.layers.get(at)?.clone()),
            None => None,
        };
        Some((r.key, Row { layer, created: r.created, description: r.description }))
    };
    Ok(rows.into_iter().filter_map(row).collect())
}
