//! Networks.

use std::collections::BTreeMap;

use engine::config::{Dict, EndpointSettings};
use engine::networks::{Ipam, NetworkSpec};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::Handled;
use crate::call::Call;
use crate::refusal::Refusal;
use crate::{reply, view};

pub async fn list(call: Call) -> Handled {
    let found = call.face.engine.network_list(&call.query.filters()?)?;
    let rows: Vec<_> = found.iter().map(|n| view::network::network(n, &[])).collect();
    Ok(reply::ok(&rows))
}

pub async fn inspect(call: Call) -> Handled {
    match call.query.get("scope") {
        "" | "local" => {}
        _ => return Err(Refusal::not_found(format!("network {} not found", call.param(0)))),
    }
    let network = call.face.engine.network(call.param(0))?;
    Ok(reply::ok(&view::network::network(&network, &network.members())))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct CreateBody {
    name: String,
    driver: String,
    scope: String,
    internal: bool,
    attachable: bool,
    ingress: bool,
    config_only: bool,
    #[serde(rename = "EnableIPv4")]
    enable_ipv4: Option<bool>,
    #[serde(rename = "EnableIPv6")]
    enable_ipv6: bool,
    #[serde(rename = "IPAM")]
    ipam: Ipam,
    options: Dict<String>,
    labels: Dict<String>,
}

pub async fn create(call: Call) -> Handled {
    let (face, _, body) = call.json::<CreateBody>().await?;
    if body.ingress || body.config_only || body.scope == "swarm" || body.driver == "overlay" {
        return Err(super::swarm::not_a_manager());
    }
    let spec = NetworkSpec {
        name: body.name,
        driver: body.driver,
        enable_ipv4: body.enable_ipv4,
        enable_ipv6: body.enable_ipv6,
        internal: body.internal,
        attachable: body.attachable,
        ipam: body.ipam,
        options: body.options.unwrap_or_else(BTreeMap::new),
        labels: body.labels.unwrap_or_else(BTreeMap::new),
    };
    let id = face.engine.network_create(spec).await?;
    Ok(reply::created(&json!({ "Id": id, "Warning": "" })))
}

pub async fn remove(call: Call) -> Handled {
    call.face.engine.network_remove(call.param(0)).await?;
    Ok(reply::no_content())
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ConnectBody {
    container: String,
    endpoint_config: EndpointSettings,
}

pub async fn connect(call: Call) -> Handled {
    let id = call.param(0).to_owned();
    let (face, _, body) = call.json::<ConnectBody>().await?;
    face.engine.network_connect(&id, &body.container, body.endpoint_config).await?;
    Ok(reply::empty(StatusCode::OK))
}

pub async fn disconnect(call: Call) -> Handled {
    let id = call.param(0).to_owned();
    let (face, _, body) = call.json::<ConnectBody>().await?;
    face.engine.network_disconnect(&id, &body.container).await?;
    Ok(reply::empty(StatusCode::OK))
}

pub async fn prune(call: Call) -> Handled {
    let gone = call.face.engine.network_prune(&call.query.filters()?).await?;
    let gone = if gone.is_empty() { json!(null) } else { json!(gone) };
    Ok(reply::ok(&json!({ "NetworksDeleted": gone })))
}
