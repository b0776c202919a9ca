//! Looking at containers and changing what is not their process.

use engine::filter::Filters;
use engine::{ListOptions, RemoveOptions, Stamp};
use http::StatusCode;
use serde_json::json;

use super::Handled;
use crate::call::Call;
use crate::refusal::Refusal;
use crate::{reply, view};

pub async fn list(call: Call) -> Handled {
    let limit = call.query.number("limit")?.filter(|n| *n > 0);
    let options = ListOptions {
        all: call.query.flag("all"),
        limit: limit.and_then(|n| usize::try_from(n).ok()),
        size: call.query.flag("size"),
        filters: call.query.filters()?,
    };
    let found = call.face.engine.list(options).await?;
    let now = Stamp::now();
    let rows: Vec<_> =
        found.iter().map(|c| view::container::row(&call.face.engine, c, now)).collect();
    Ok(reply::ok(&rows))
}

pub async fn inspect(call: Call) -> Handled {
    let engine = &call.face.engine;
    let found = match call.query.flag("size") {
        true => engine.inspect_sized(call.param(0)).await?,
        false => engine::ContainerView {
            record: engine.inspect(call.param(0))?,
            size_rw: None,
            size_root: None,
        },
    };
    Ok(reply::ok(&view::container::inspect(engine, &found, call.version)))
}

pub async fn remove(call: Call) -> Handled {
    if call.query.flag("link") {
        return Err(Refusal::bad_request("legacy links are not supported by this engine"));
    }
    let options = RemoveOptions { force: call.query.flag("force"), volumes: call.query.flag("v") };
    call.face.engine.remove(call.param(0), options).await?;
    Ok(reply::no_content())
}

pub async fn rename(call: Call) -> Handled {
    call.face.engine.rename(call.param(0), call.query.get("name")).await?;
    Ok(reply::no_content())
}

pub async fn update(call: Call) -> Handled {
    let id = call.param(0).to_owned();
    let (face, _, changes) = call.json::<engine::config::HostConfig>().await?;
    let warnings = face.engine.update(&id, changes).await?;
    let warnings = if warnings.is_empty() { json!(null) } else { json!(warnings) };
    Ok(reply::ok(&json!({ "Warnings": warnings })))
}

pub async fn top(call: Call) -> Handled {
    let top = call.face.engine.top(call.param(0), call.query.get("ps_args")).await?;
    Ok(reply::ok(&json!({ "Titles": top.titles, "Processes": top.processes })))
}

pub async fn changes(call: Call) -> Handled {
    let changes = call.face.engine.changes(call.param(0)).await?;
    let rows: Vec<_> = changes
        .iter()
        .map(|c| json!({ "Path": c.path.to_string_lossy(), "Kind": c.kind as u8 }))
        .collect();
    match rows.is_empty() {
        true => Ok(reply::ok(&json!(null))),
        false => Ok(reply::ok(&rows)),
    }
}

/// Removes what has stopped.
pub async fn prune(call: Call) -> Handled {
    let filters = call.query.filters()?;
    filters.only(&["label", "label!", "until"]).map_err(Refusal::from)?;
    let engine = &call.face.engine;
    let until = engine::until(&filters)?;
    let stopped = ["created", "exited", "dead"];
    let wanted = stopped.iter().fold(Filters::default(), |f, s| f.with("status", s));
    let options = ListOptions { all: true, limit: None, size: true, filters: wanted };
    let (mut deleted, mut bytes) = (Vec::new(), 0);
    for found in engine.list(options).await? {
        let record = &found.record;
        let young = until.is_some_and(|until| record.created > until);
        if young || !filters.prune_labels(|k| record.config.label(k)) {
            continue;
        }
        if engine.remove(&record.id, RemoveOptions::default()).await.is_ok() {
            bytes += found.size_rw.unwrap_or(0);
            deleted.push(record.id.clone());
        }
    }
    let deleted = if deleted.is_empty() { json!(null) } else { json!(deleted) };
    Ok(reply::json(
        StatusCode::OK,
        &json!({ "ContainersDeleted": deleted, "SpaceReclaimed": bytes }),
    ))
}
