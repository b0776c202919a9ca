//! `POST /containers/create`

use std::collections::BTreeMap;

use engine::CreateRequest;
use engine::config::{Config, EndpointSettings, HostConfig};
use serde::{Deserialize, Serialize};

use super::Handled;
use crate::call::Call;
use crate::refusal::Refusal;
use crate::reply;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Body {
    #[serde(flatten)]
    config: Config,
    host_config: HostConfig,
    networking_config: NetworkingConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkingConfig {
    endpoints_config: BTreeMap<String, EndpointSettings>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
    warnings: Vec<String>,
}

pub async fn create(call: Call) -> Handled {
    let version = call.version;
    let (face, query, body) = call.json::<Body>().await?;
    let mut host = body.host_config;
    if version < crate::ApiVersion(1, 44) && host.pids_limit == Some(0) {
        host.pids_limit = None;
    }
    if body.config.image.is_empty() {
        return Err(Refusal::bad_request("config cannot be empty in order to create a container"));
    }
    let request = CreateRequest {
        name: query.has("name").then(|| query.get("name").to_owned()),
        platform: query.get("platform").to_owned(),
        config: body.config,
        host,
        endpoints: body.networking_config.endpoints_config,
    };
    let (id, warnings) = face.engine.create(request).await?;
    Ok(reply::created(&Created { id, warnings }))
}
