//! Builds: handed to the builder, or refused while there is none.

use http::StatusCode;

use super::Handled;
use crate::body;
use crate::builder::{BuildCall, Builder, Gate};
use crate::call::{Call, switching, take_over};
use crate::refusal::Refusal;
use crate::reply;

fn builder(call: &Call) -> Result<std::sync::Arc<dyn Builder>, Refusal> {
    call.face.builder.clone().ok_or_else(|| {
        Refusal::new(StatusCode::NOT_IMPLEMENTED, "this engine was started without a builder")
    })
}

pub async fn build(call: Call) -> Handled {
    let builder = builder(&call)?;
    let (answer, reply) = reply::stream("application/json");
    let context = body::chunks(call.body);
    let build = BuildCall { query: call.query, headers: call.headers, context, answer };
    builder.build(build).await?;
    Ok(reply)
}

pub async fn prune(call: Call) -> Handled {
    let Some(builder) = call.face.builder.clone() else {
        // Without a builder there is no cache, and nothing to prune is no error.
        return Ok(reply::ok(&serde_json::json!({ "CachesDeleted": null, "SpaceReclaimed": 0 })));
    };
    Ok(reply::ok(&builder.prune(call.query).await?))
}

pub async fn session(call: Call) -> Handled {
    gate(call, Gate::Session)
}

pub async fn grpc(call: Call) -> Handled {
    gate(call, Gate::Grpc)
}

fn gate(call: Call, gate: Gate) -> Handled {
    let builder = builder(&call)?;
    if !call.wants_upgrade() {
        return Err(Refusal::bad_request("no upgrade proto in request"));
    }
    let (upgrade, headers) = (call.upgrade, call.headers);
    let protocol = headers.get(http::header::UPGRADE).cloned();
    tokio::spawn(async move {
        if let Ok(io) = take_over(upgrade).await {
            builder.gate(gate, headers, io).await;
        }
    });
    let mut reply = switching("application/vnd.docker.raw-stream");
    if let Some(protocol) = protocol {
        reply.headers_mut().insert(http::header::UPGRADE, protocol);
    }
    Ok(reply)
}
