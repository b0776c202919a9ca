//! Swarm and plugins: the answers of an engine that is not in a swarm and has no plugins.

use http::StatusCode;
use serde_json::json;

use super::Handled;
use crate::call::Call;
use crate::refusal::Refusal;
use crate::reply;

/// moby `daemon/cluster/errors.go`
pub fn not_a_manager() -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to \
         connect this node to swarm and try again.",
    )
}

pub async fn refused(_: Call) -> Handled {
    Err(not_a_manager())
}

/// Joining a swarm is refused for good, not until somebody initialises one.
pub async fn unsupported(_: Call) -> Handled {
    Err(Refusal::new(
        StatusCode::NOT_IMPLEMENTED,
        "swarm mode is not supported by this engine; use its Kubernetes API instead",
    ))
}

pub async fn leave(_: Call) -> Handled {
    Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "This node is not part of a swarm"))
}

pub async fn plugins(call: Call) -> Handled {
    call.query.filters()?;
    Ok(reply::ok(&json!([])))
}

pub async fn no_plugin(call: Call) -> Handled {
    Err(Refusal::not_found(format!("plugin \"{}\" not found", call.param(0))))
}

pub async fn no_plugin_install(_: Call) -> Handled {
    Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "plugins are not supported by this engine"))
}
