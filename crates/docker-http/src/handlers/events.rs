//! `GET /events`

use bytes::Bytes;
use engine::Stamp;
use engine::events::{Event, matches};
use engine::filter::Filters;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::Handled;
use crate::call::Call;
use crate::refusal::Refusal;
use crate::reply;

const FILTERS: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
    "builder",
];

pub async fn events(call: Call) -> Handled {
    let stamp = |key: &str| match call.query.get(key) {
        "" => Ok(None),
        text => Stamp::parse_query(text).map(Some).ok_or_else(|| {
            Refusal::bad_request(format!("invalid value for \"{key}\": \"{text}\""))
        }),
    };
    let (since, until) = (stamp("since")?, stamp("until")?);
    let filters = call.query.filters()?;
    filters.only(FILTERS).map_err(Refusal::from)?;
    let (past, live) = call.face.engine.events.subscribe(since);
    let (tx, reply) = reply::stream("application/json");
    tokio::spawn(async move {
        let mut live = live;
        for event in past.iter().filter(|e| until.is_none_or(|u| e.at <= u)) {
            if matches(&filters, event) && tx.send(line(event)).await.is_err() {
                return;
            }
        }
        let left = until.map(|u| u.0 - Stamp::now().0);
        if left.is_some_and(|left| left <= 0) {
            return;
        }
        let end = std::time::Duration::from_nanos(left.map_or(0, i64::unsigned_abs));
        tokio::select! {
            () = forward(&mut live, &filters, &tx) => {}
            () = tx.closed() => {}
            () = tokio::time::sleep(end), if until.is_some() => {}
        }
    });
    Ok(reply)
}

async fn forward(
    live: &mut tokio::sync::broadcast::Receiver<Event>,
    filters: &Filters,
    tx: &tokio::sync::mpsc::Sender<Bytes>,
) {
    loop {
        match live.recv().await {
            Ok(event) if matches(filters, &event) => {
                if tx.send(line(&event)).await.is_err() {
                    return;
                }
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

fn line(event: &Event) -> Bytes {
    format!("{}\n", render(event)).into()
}

/// With the legacy fields that only containers and images have.
fn render(event: &Event) -> Value {
    let mut out = json!({
        "Type": event.kind,
        "Action": event.action,
        "Actor": { "ID": event.id, "Attributes": event.attributes },
        "scope": "local",
        "time": event.at.secs(),
        "timeNano": event.at.0,
    });
    if matches!(event.kind, "container" | "image") {
        out["status"] = json!(event.action);
        out["id"] = json!(event.id);
    }
    if let Some(image) = event.attributes.get("image").filter(|_| event.kind == "container") {
        out["from"] = json!(image);
    }
    out
}
