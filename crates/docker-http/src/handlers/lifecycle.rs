//! Start, stop, kill, restart, pause, wait, resize.

use engine::{StopOptions, WaitCondition};
use http::StatusCode;
use serde_json::json;

use super::Handled;
use crate::call::Call;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::reply;

pub async fn start(call: Call) -> Handled {
    if call.query.has("checkpoint") && !call.query.get("checkpoint").is_empty() {
        return Err(Refusal::bad_request("checkpoint is only supported in experimental mode"));
    }
    call.face.engine.start(call.param(0)).await?;
    Ok(reply::no_content())
}

fn stop_options(query: &Query) -> Result<StopOptions, Refusal> {
    let signal = query.get("signal");
    Ok(StopOptions {
        signal: (!signal.is_empty()).then(|| signal.to_owned()),
        timeout: query.number("t")?,
    })
}

pub async fn stop(call: Call) -> Handled {
    let options = stop_options(&call.query)?;
    call.face.engine.stop(call.param(0), &options).await?;
    Ok(reply::no_content())
}

pub async fn restart(call: Call) -> Handled {
    let options = stop_options(&call.query)?;
    call.face.engine.restart(call.param(0), &options).await?;
    Ok(reply::no_content())
}

pub async fn kill(call: Call) -> Handled {
    call.face.engine.kill(call.param(0), call.query.get("signal")).await?;
    Ok(reply::no_content())
}

pub async fn pause(call: Call) -> Handled {
    call.face.engine.pause(call.param(0)).await?;
    Ok(reply::no_content())
}

pub async fn unpause(call: Call) -> Handled {
    call.face.engine.unpause(call.param(0)).await?;
    Ok(reply::no_content())
}

/// The head goes out at once: the CLI sends the start only when it has seen it.
pub async fn wait(call: Call) -> Handled {
    let condition = match call.query.get("condition") {
        "" | "not-running" => WaitCondition::NotRunning,
        "next-exit" => WaitCondition::NextExit,
        "removed" => WaitCondition::Removed,
        other => {
            return Err(Refusal::bad_request(format!("invalid condition: \"{other}\"")));
        }
    };
    let waiting = call.face.engine.wait(call.param(0), condition)?;
    let (tx, reply) = reply::stream("application/json");
    tokio::spawn(async move {
        let (code, error) = tokio::select! {
            ended = waiting => ended,
            () = tx.closed() => return,
        };
        let mut answer = json!({ "StatusCode": code });
        if !error.is_empty() {
            answer["Error"] = json!({ "Message": error });
        }
        // The client may have gone meanwhile.
        let _ = tx.send(format!("{answer}\n").into()).await;
    });
    Ok(reply)
}

/// Rows and columns of a resize request.
pub(super) fn size(query: &Query) -> Result<(u16, u16), Refusal> {
    let of = |key: &str| -> Result<u16, Refusal> {
        let bad = || Refusal::bad_request(format!("invalid resize {key}: {}", query.get(key)));
        query.get(key).parse().map_err(|_| bad())
    };
    Ok((of("h")?, of("w")?))
}

pub async fn resize(call: Call) -> Handled {
    let (rows, cols) = size(&call.query)?;
    call.face.engine.resize(call.param(0), rows, cols).await?;
    Ok(reply::empty(StatusCode::OK))
}
