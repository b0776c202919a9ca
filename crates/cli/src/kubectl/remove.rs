//! `delete`.

use super::kinds::Kinds;
use super::select::{self, Wanted};
use super::{Cluster, DryRun, cluster, dry_run, text};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use meta::{GoDuration, Value};
use remote::{Error, Kube, escape};
use serde_json::json;
use std::time::Duration;

pub async fn delete(call: &Call) -> Result<u8, Failure> {
    let cluster = cluster(call)?;
    let kinds = Kinds::load(&cluster.kube).await?;
    let wanted = select::wanted(call, &cluster, &kinds, &call.args).await?;
    let selects = call.get("selector").is_some() || call.get("field-selector").is_some();
    if wanted.is_empty() {
        return Err(Failure::plain(
            "error: You must provide one or more resources by argument or filename.",
        ));
    }
    if wanted.iter().any(|one| one.names.is_empty()) && !selects && !call.has("all") {
        return Err(Failure::plain("error: resource(s) were provided, but no name was specified"));
    }
    let mut work =
        Work { call, cluster, options: options(call)?, dry: dry_run(call)?, gone: Vec::new() };
    let mut code = 0;
    for one in &wanted {
        if let Err(failure) = work.one(one).await {
            failure.tell(call.voice);
            code = 1;
        }
    }
    if call.get("wait") != Some("false") && work.dry == DryRun::None && !is_forced(call) {
        work.wait().await?;
    }
    Ok(code)
}

fn is_forced(call: &Call) -> bool {
    call.has("force") || call.get("grace-period") == Some("0")
}

/// `DeleteOptions`
fn options(call: &Call) -> Result<Value, Failure> {
    let cascade = match call.get("cascade") {
        None | Some("background" | "true") => "Background",
        Some("foreground") => "Foreground",
        Some("orphan" | "false") => "Orphan",
        Some(other) => {
            let why = "it is background, foreground or orphan";
            return Err(call.bad_value("cascade", other, why));
        }
    };
    let mut out = json!({ "propagationPolicy": cascade });
    let seconds = match call.number::<i64>("grace-period")? {
        Some(seconds) => Some(seconds).filter(|seconds| *seconds >= 0),
        None if call.has("now") => Some(1),
        None if call.has("force") => Some(0),
        None => None,
    };
    if let Some(seconds) = seconds {
        out["gracePeriodSeconds"] = seconds.into();
    }
    Ok(out)
}

struct Work<'a> {
    call: &'a Call,
    cluster: Cluster,
    options: Value,
    dry: DryRun,
    /// Paths and uids of what was told to go.
    gone: Vec<(String, String)>,
}

impl Work<'_> {
    async fn one(&mut self, one: &Wanted) -> Result<(), Failure> {
        let everywhere = self.call.has("all-namespaces");
        let own = one.namespace.clone().unwrap_or_else(|| self.cluster.namespace.clone());
        let namespace = Some(own.as_str()).filter(|_| !everywhere);
        if !one.names.is_empty() {
            for name in &one.names {
                let path = one.kind.path(namespace, Some(name));
                self.remove(one, name, &own, path).await?;
            }
            return Ok(());
        }
        let path = format!("{}?{}", one.kind.path(namespace, None), select::query(self.call));
        let list = self.cluster.kube.get(&path).await;
        let list = list.map_err(|e| Failure::kube(format!("list {}", one.kind.qualified()), &e))?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        if items.is_empty() {
            out::line("No resources found");
        }
        for item in items {
            let (name, space) = (text(&item, "/metadata/name"), text(&item, "/metadata/namespace"));
            let path = one.kind.path(Some(space), Some(name));
            self.remove(one, name, space, path).await?;
        }
        Ok(())
    }

    async fn remove(
        &mut self,
        one: &Wanted,
        name: &str,
        namespace: &str,
        path: String,
    ) -> Result<(), Failure> {
        let what = format!("delete {}/{name}", one.kind.word());
        if self.dry != DryRun::Client {
            let query = format!("{path}?{}", self.dry.query());
            let done = self
                .cluster
                .kube
                .delete(query.trim_end_matches(['?', '&']), Some(&self.options))
                .await;
            match done {
                Ok(answer) => self.gone.push((path, uid(&answer))),
                Err(e) if e.is_not_found() && self.call.has("ignore-not-found") => return Ok(()),
                Err(e) => return Err(Failure::kube(what, &e)),
            }
        }
        if self.call.get("output") == Some("name") {
            out::line(format!("{}/{name}", one.kind.word()));
            return Ok(());
        }
        let forced = if is_forced(self.call) { "force deleted" } else { "deleted" };
        let place = if one.kind.namespaced {
            format!(" from {namespace} namespace")
        } else {
            String::new()
        };
        out::line(format!("{} \"{name}\" {forced}{place}{}", one.kind.word(), self.dry.suffix()));
        Ok(())
    }

    async fn wait(&self) -> Result<(), Failure> {
        let limit =
            self.call.get("timeout").map(|text| limit(self.call, text)).transpose()?.flatten();
        let waiting = async {
            for (path, uid) in &self.gone {
                let done = gone(&self.cluster.kube, path, Some(uid)).await;
                done.map_err(|e| Failure::kube(format!("wait until {path} is gone"), &e))?;
            }
            Ok(())
        };
        match limit {
            None => waiting.await,
            Some(limit) => tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| {
                Err(Failure::plain("error: timed out waiting for the condition"))
            }),
        }
    }
}

fn uid(answer: &Value) -> String {
    let uid = text(answer, "/metadata/uid");
    if uid.is_empty() { text(answer, "/details/uid").to_owned() } else { uid.to_owned() }
}

/// `--timeout`; 0 is for ever.
///
/// # Errors
/// When it is no duration.
pub fn limit(call: &Call, text: &str) -> Result<Option<Duration>, Failure> {
    let duration = GoDuration::parse(text).map_err(|why| call.bad_value("timeout", text, &why))?;
    Ok(u64::try_from(duration.0).ok().filter(|n| *n > 0).map(Duration::from_nanos))
}

/// Waits until an object is gone, or has another uid.
///
/// # Errors
/// When the server cannot be asked.
pub async fn gone(kube: &Kube, path: &str, uid: Option<&str>) -> Result<(), Error> {
    let (collection, name) = path.rsplit_once('/').unwrap_or((path, ""));
    loop {
        let seen = match kube.get(path).await {
            Ok(seen) => seen,
            Err(e) if e.is_not_found() => return Ok(()),
            Err(e) => return Err(e),
        };
        let is_other =
            uid.is_some_and(|uid| !uid.is_empty() && text(&seen, "/metadata/uid") != uid);
        if is_other {
            return Ok(());
        }
        let query = format!(
            "{collection}?watch=true&fieldSelector={}&resourceVersion={}",
            escape(&format!("metadata.name={name}")),
            text(&seen, "/metadata/resourceVersion"),
        );
        let mut watch = match kube.watch(&query, "application/json").await {
            Ok(watch) => watch,
            Err(e) if e.code() == Some(410) => continue,
            Err(e) => return Err(e),
        };
        while let Some(event) = watch.next().await? {
            if event.kind == "DELETED" {
                return Ok(());
            }
        }
    }
}
