//! `wait`: until a condition, a field or the end (kubectl `pkg/cmd/wait`).

use super::jsonpath::Template;
use super::remove::{gone, limit};
use super::select::{self, Found};
use super::{Cluster, text};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use meta::Value;
use remote::escape;
use std::time::Duration;

enum Until {
    Gone,
    Created,
    Condition { kind: String, status: String },
    Field(Template, Option<String>),
}

fn until(call: &Call) -> Result<Until, Failure> {
    let wanted = call.get("for").unwrap_or_default();
    let bad = |why: &str| Failure::plain(format!("error: {why}: \"{wanted}\""));
    if wanted.eq_ignore_ascii_case("delete") {
        return Ok(Until::Gone);
    }
    if wanted.eq_ignore_ascii_case("create") {
        return Ok(Until::Created);
    }
    if let Some(rest) = wanted.strip_prefix("condition=") {
        let (kind, status) = rest.split_once('=').unwrap_or((rest, "true"));
        return Ok(Until::Condition { kind: kind.to_lowercase(), status: status.to_lowercase() });
    }
    if let Some(rest) = wanted.strip_prefix("jsonpath=") {
        let end = rest.rfind('}').map_or(0, |at| at + 1);
        let (path, value) = rest.split_at(end);
        let template = Template::parse(path.trim_matches('\'')).map_err(|why| bad(&why))?;
        let value = value.trim_start_matches('\'').strip_prefix('=');
        return Ok(Until::Field(template, value.map(|v| v.trim_matches(['\'', '"']).to_owned())));
    }
    Err(bad("unrecognized condition")
        .hint("--for=condition=NAME, --for=delete, --for=create or --for=jsonpath='{.a}'=b"))
}

impl Until {
    fn is_met(&self, object: &Value) -> bool {
        match self {
            Self::Gone => false,
            Self::Created => true,
            Self::Condition { kind, status } => {
                let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
                let mut fits = conditions.filter(|c| text(c, "/type").to_lowercase() == *kind);
                let observed = object["status"]["observedGeneration"].as_i64();
                let old = observed
                    .is_some_and(|o| o < object["metadata"]["generation"].as_i64().unwrap_or(0));
                !old && fits.any(|c| text(c, "/status").to_lowercase() == *status)
            }
            Self::Field(template, value) => {
                let found = template.find(object);
                match value {
                    None => !found.is_empty(),
                    Some(value) => found.iter().any(|f| super::jsonpath::shown(f) == *value),
                }
            }
        }
    }
}

pub async fn wait(call: &Call) -> Result<u8, Failure> {
    let until = until(call)?;
    let time = call.get("timeout").unwrap_or("30s");
    let time = limit(call, time)?.unwrap_or(Duration::from_secs(7 * 86_400));
    let waiting = all(call, &until);
    match tokio::time::timeout(time, waiting).await {
        Ok(done) => done,
        Err(_) => {
            let on = call.args.join(" ");
            Err(Failure::plain(format!("error: timed out waiting for the condition on {on}")))
        }
    }
}

async fn all(call: &Call, until: &Until) -> Result<u8, Failure> {
    let (cluster, _, found) = match until {
        Until::Created => created(call).await?,
        Until::Gone => match select::fetched(call, &call.args).await {
            Err(failure) if failure.plain.as_deref().is_some_and(|p| p.contains("(NotFound)")) => {
                return Ok(0);
            }
            other => other?,
        },
        _ => select::fetched(call, &call.args).await?,
    };
    if found.is_empty() {
        if matches!(until, Until::Gone) {
            return Ok(0);
        }
        return Err(Failure::plain("error: no matching resources found"));
    }
    for one in &found {
        wait_for(&cluster, one, until).await?;
        out::line(format!("{} condition met", one.word()));
    }
    Ok(0)
}

/// Asks again until everything named is there.
async fn created(call: &Call) -> Result<(Cluster, super::kinds::Kinds, Vec<Found>), Failure> {
    loop {
        match select::fetched(call, &call.args).await {
            Ok(found) if !found.2.is_empty() => return Ok(found),
            Err(failure) if !failure.plain.as_deref().is_some_and(|p| p.contains("(NotFound)")) => {
                return Err(failure);
            }
            _ => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}

async fn wait_for(cluster: &Cluster, one: &Found, until: &Until) -> Result<(), Failure> {
    let failed = |e: remote::Error| Failure::kube(format!("wait for {}", one.word()), &e);
    if matches!(until, Until::Gone) {
        let uid = text(&one.object, "/metadata/uid");
        return gone(&cluster.kube, &one.path(), Some(uid)).await.map_err(failed);
    }
    let mut object = one.object.clone();
    loop {
        if until.is_met(&object) {
            return Ok(());
        }
        let path = format!(
            "{}?watch=true&fieldSelector={}&resourceVersion={}",
            one.kind.path(one.namespace(), None),
            escape(&format!("metadata.name={}", one.name())),
            text(&object, "/metadata/resourceVersion"),
        );
        let mut watch = cluster.kube.watch(&path, "application/json").await.map_err(failed)?;
        while let Some(event) = watch.next().await.map_err(failed)? {
            if event.kind != "DELETED" && until.is_met(&event.object) {
                return Ok(());
            }
        }
        object = cluster.kube.get(&one.path()).await.map_err(failed)?;
    }
}
