//! Volumes.

use engine::config::Dict;
use engine::volumes::Volume;
use serde::Deserialize;
use serde_json::json;

use super::Handled;
use crate::call::Call;
use crate::refusal::Refusal;
use crate::{reply, view};

pub async fn list(call: Call) -> Handled {
    let found = call.face.engine.volume_list(&call.query.filters()?)?;
    let rows: Vec<_> = found.iter().map(view::network::volume).collect();
    Ok(reply::ok(&json!({ "Volumes": rows, "Warnings": null })))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Body {
    name: String,
    driver: String,
    driver_opts: Dict<String>,
    labels: Dict<String>,
}

pub async fn create(call: Call) -> Handled {
    let (face, _, body) = call.json::<Body>().await?;
    if !matches!(body.driver.as_str(), "" | "local" | "default") {
        return Err(Refusal::not_found(format!(
            "create {}: error looking up volume plugin {}: plugin \"{}\" not found",
            body.name, body.driver, body.driver
        )));
    }
    let wanted = Volume {
        name: body.name,
        labels: body.labels,
        options: body.driver_opts.filter(|o| !o.is_empty()),
        ..Volume::default()
    };
    let volume = face.engine.volume_create(wanted).await?;
    Ok(reply::created(&view::network::volume(&volume)))
}

pub async fn inspect(call: Call) -> Handled {
    let volume = call.face.engine.volume(call.param(0))?;
    Ok(reply::ok(&view::network::volume(&volume)))
}

pub async fn remove(call: Call) -> Handled {
    call.face.engine.volume_remove(call.param(0), call.query.flag("force")).await?;
    Ok(reply::no_content())
}

pub async fn prune(call: Call) -> Handled {
    let mut filters = call.query.filters()?;
    if call.version < crate::ApiVersion(1, 42) && !filters.has("all") {
        // Before 1.42 named volumes were pruned as well.
        filters = filters.with("all", "true");
    }
    let freed = call.face.engine.volume_prune(&filters).await?;
    Ok(reply::ok(&json!({ "VolumesDeleted": freed.names, "SpaceReclaimed": freed.bytes })))
}
