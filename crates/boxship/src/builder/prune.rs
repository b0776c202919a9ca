//! `docker builder prune` and the rows of `docker system df -v`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use build::{Builder, PruneMounts, PruneOptions};
use docker_http::{Query, Refusal};
use serde_json::{Value, json};

/// `POST /build/prune`; moby `daemon/server/router/build/build_routes.go`.
pub async fn prune(builder: Arc<Builder>, query: Query) -> Result<Value, Refusal> {
    let options = options(&query)?;
    let pruned = tokio::task::spawn_blocking(move || builder.prune(&options)).await;
    let pruned = pruned.map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
    Ok(json!({ "CachesDeleted": pruned.keys, "SpaceReclaimed": pruned.bytes }))
}

fn options(query: &Query) -> Result<PruneOptions, Refusal> {
    let filters = query.filters()?;
    filters.only(&["until", "unused-for", "id", "type"])?;
    for key in ["min-free-space", "max-used-space"] {
        if !matches!(query.get(key), "" | "0") {
            let text = format!("{key} is not supported yet; use keep-storage (reserved-space)");
            return Err(Refusal::bad_request(text));
        }
    }
    let age = filters.get("until").chain(filters.get("unused-for")).next().map(age).transpose()?;
    let keep = query.number("reserved-space")?.or(query.number("keep-storage")?).unwrap_or(0);
    let list = |key: &str| filters.get(key).map(|v| v.to_string()).collect();
    Ok(PruneOptions {
        until: SystemTime::now() - age.unwrap_or_default(),
        keep: u64::try_from(keep).unwrap_or(0),
        mounts: if query.flag("all") { PruneMounts::Yes } else { PruneMounts::No },
        kinds: list("type"),
        ids: list("id"),
    })
}

fn failed(e: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(http::StatusCode::INTERNAL_SERVER_ERROR, e.to_string())
}

/// Go's durations as far as `until` needs them: `24h`, `90m`, `30s`.
fn age(text: &str) -> Result<Duration, Refusal> {
    let bad = || Refusal::bad_request(format!("invalid until filter: {text}"));
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let number: u64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(bad()),
    };
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

/// One row of `BuildCache`.
pub fn row(row: &build::CacheRow) -> Value {
    json!({
        "ID": row.key,
        "Type": row.kind.name(),
        "Description": row.description,
        "InUse": false,
        "Shared": false,
        "Size": row.size,
        "CreatedAt": row.created,
        "LastUsedAt": Value::Null,
        "UsageCount": 1,
    })
}
