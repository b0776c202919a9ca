//! The image out of the last tree.

use image::NewImage;
use oci::History;

use crate::Built;
use crate::error::{Doing, Result};
use crate::execute::{Made, Session, now};
use crate::remote_cache;

/// Registers the image and its names. Times are those of the steps, so that a build from the
/// cache gives the same image again; SOURCE_DATE_EPOCH overrides them.
pub fn image(session: &Session, made: &[Made]) -> Result<Built> {
    let (graph, request) = (&session.graph, &session.request);
    let root = &made[graph.root];
    let epoch = crate::epoch::of(request)?.map(rfc3339).transpose()?;
    let mut config = graph.config.clone();
    let base_created = config.created.clone();
    let mut last = base_created.clone();
    for row in &graph.history {
        let node = row.node.map(|n| &made[n]);
        if let Some(node) = node {
            last.clone_from(&node.created);
        }
        config.history.push(History {
            created: epoch.clone().unwrap_or_else(|| last.clone()),
            author: config.author.clone(),
            created_by: row.created_by.clone(),
            comment: "buildkit.dockerfile.v0".to_owned(),
            empty_layer: !node.is_some_and(|n| n.own_layer),
        });
    }
    let newest = if last.is_empty() { now() } else { last };
    config.created = epoch.unwrap_or(newest);
    if request.cache_inline {
        remote_cache::write(&mut config, &remote_cache::rows(made, &root.layers))?;
    }
    let cache = match request.cache_export {
        true => Some(remote_cache::export(session, made)?),
        false => None,
    };
    let new = NewImage {
        config,
        layers: root.layers.clone(),
        parent: graph.parent.clone(),
        names: request.names.clone(),
    };
    let id = session.builder.engine.images.create_image(new)?;
    Ok(Built { id, names: request.names.clone(), cache })
}

fn rfc3339(seconds: i64) -> Result<String> {
    let invalid = || format!("invalid SOURCE_DATE_EPOCH: {seconds}");
    Ok(jiff::Timestamp::from_second(seconds).doing(invalid)?.to_string())
}
