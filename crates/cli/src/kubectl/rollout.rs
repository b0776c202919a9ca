//! `rollout`: status, history, undo, restart, pause, resume (kubectl `pkg/polymorphichelpers`).

use super::apply::{managed, patch};
use super::kinds::Kinds;
use super::remove::limit;
use super::select::{self, Found};
use super::{Cluster, DryRun, text};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use meta::{Map, Value};
use remote::escape;
use serde_json::json;

const REVISION: &str = "deployment.kubernetes.io/revision";
const CAUSE: &str = "kubernetes.io/change-cause";
const HASH: &str = "pod-template-hash";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

fn number(value: &Value, path: &str) -> i64 {
    value.pointer(path).and_then(Value::as_i64).unwrap_or_default()
}

/// What `rollout status` says of an object, and whether it is done; an error when it will not be.
pub fn status(kind: &str, object: &Value) -> Result<(String, bool), String> {
    let name = text(object, "/metadata/name");
    if number(object, "/status/observedGeneration") < number(object, "/metadata/generation") {
        return Ok((
            format!("Waiting for {} spec update to be observed...", kind_word(kind)),
            false,
        ));
    }
    let wanted = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let status = |key: &str| number(object, &format!("/status/{key}"));
    match kind {
        "Deployment" => deployment(object, name, wanted),
        "DaemonSet" => {
            let (updated, all) =
                (status("updatedNumberScheduled"), status("desiredNumberScheduled"));
            let waiting = |what: String| {
                Ok((
                    format!("Waiting for daemon set \"{name}\" rollout to finish: {what}..."),
                    false,
                ))
            };
            if updated < all {
                return waiting(format!("{updated} out of {all} new pods have been updated"));
            }
            if status("numberAvailable") < all {
                return waiting(format!(
                    "{} of {all} updated pods are available",
                    status("numberAvailable")
                ));
            }
            Ok((format!("daemon set \"{name}\" successfully rolled out"), true))
        }
        "StatefulSet" => {
            if status("readyReplicas") < wanted {
                return Ok((
                    format!("Waiting for {} pods to be ready...", wanted - status("readyReplicas")),
                    false,
                ));
            }
            if text(object, "/status/updateRevision") != text(object, "/status/currentRevision") {
                let updated = status("updatedReplicas");
                return Ok((
                    format!(
                        "waiting for statefulset rolling update to complete {updated} pods at revision {}...",
                        text(object, "/status/updateRevision")
                    ),
                    false,
                ));
            }
            let (current, revision) =
                (status("currentReplicas"), text(object, "/status/currentRevision"));
            Ok((
                format!(
                    "statefulset rolling update complete {current} pods at revision {revision}..."
                ),
                true,
            ))
        }
        other => Err(format!("no status viewer has been implemented for {other}")),
    }
}

fn kind_word(kind: &str) -> &str {
    match kind {
        "Deployment" => "deployment",
        "DaemonSet" => "daemon set",
        _ => "statefulset",
    }
}

fn deployment(object: &Value, name: &str, wanted: i64) -> Result<(String, bool), String> {
    let status = |key: &str| number(object, &format!("/status/{key}"));
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let late = |c: &&Value| c["type"] == "Progressing" && c["reason"] == "ProgressDeadlineExceeded";
    if conditions.into_iter().flatten().any(|c| late(&c)) {
        return Err(format!("deployment \"{name}\" exceeded its progress deadline"));
    }
    let waiting = |what: String| {
        Ok((format!("Waiting for deployment \"{name}\" rollout to finish: {what}..."), false))
    };
    let (updated, all) = (status("updatedReplicas"), status("replicas"));
    if updated < wanted {
        return waiting(format!("{updated} out of {wanted} new replicas have been updated"));
    }
    if all > updated {
        return waiting(format!("{} old replicas are pending termination", all - updated));
    }
    if status("availableReplicas") < updated {
        return waiting(format!(
            "{} of {updated} updated replicas are available",
            status("availableReplicas")
        ));
    }
    Ok((format!("deployment \"{name}\" successfully rolled out"), true))
}

pub async fn status_command(call: &Call) -> Result<u8, Failure> {
    let (cluster, _, found) = select::fetched(call, &call.args).await?;
    let limit = call.get("timeout").map(|text| limit(call, text)).transpose()?.flatten();
    for one in &found {
        let following = follow(call, &cluster, one);
        match limit {
            None => following.await?,
            Some(limit) => tokio::time::timeout(limit, following).await.unwrap_or_else(|_| {
                Err(Failure::plain("error: timed out waiting for the condition"))
            })?,
        }
    }
    Ok(0)
}

async fn follow(call: &Call, cluster: &Cluster, one: &Found) -> Result<(), Failure> {
    let failed = |e: remote::Error| Failure::kube(format!("follow {}", one.word()), &e);
    let tell = |object: &Value, last: &mut String| -> Result<bool, Failure> {
        let (line, done) = status(&one.kind.kind, object)
            .map_err(|why| Failure::plain(format!("error: {why}")))?;
        if *last != line {
            out::line(&line);
            *last = line;
        }
        Ok(done)
    };
    let mut last = String::new();
    let mut object = one.object.clone();
    loop {
        if tell(&object, &mut last)? || call.get("watch") == Some("false") {
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
            if event.kind == "DELETED" {
                return Err(Failure::plain("error: object has been deleted"));
            }
            if tell(&event.object, &mut last)? {
                return Ok(());
            }
        }
        object = cluster.kube.get(&one.path()).await.map_err(failed)?;
    }
}

/// The templates an object had, by revision: (number, template's owner).
async fn revisions(cluster: &Cluster, one: &Found) -> Result<Vec<(i64, Value)>, Failure> {
    let kinds = Kinds::load(&cluster.kube).await?;
    let (list_kind, is_deployment) = match one.kind.kind.as_str() {
        "Deployment" => ("replicasets.apps", true),
        "DaemonSet" | "StatefulSet" => ("controllerrevisions.apps", false),
        other => {
            return Err(Failure::plain(format!(
                "error: no history viewer has been implemented for \"{other}\""
            )));
        }
    };
    let path = kinds.required(list_kind)?.path(one.namespace(), None);
    let list = cluster.kube.get(&path).await;
    let list = list.map_err(|e| Failure::kube(format!("list {list_kind}"), &e))?;
    let uid = text(&one.object, "/metadata/uid");
    let owned = |item: &&Value| {
        let owners = item["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        owners.into_iter().any(|owner| owner["uid"] == uid)
    };
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let mut out: Vec<(i64, Value)> = items
        .iter()
        .filter(owned)
        .map(|item| {
            let noted =
                item["metadata"]["annotations"][REVISION].as_str().and_then(|r| r.parse().ok());
            let revision =
                if is_deployment { noted.unwrap_or(0) } else { number(item, "/revision") };
            (revision, item.clone())
        })
        .filter(|(revision, _)| *revision > 0)
        .collect();
    out.sort_by_key(|(revision, _)| *revision);
    Ok(out)
}

fn template(item: &Value) -> Value {
    let template = item.pointer("/spec/template").or_else(|| item.pointer("/data/spec/template"));
    let mut template = template.cloned().unwrap_or_default();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH);
    }
    template
}

pub async fn history(call: &Call) -> Result<u8, Failure> {
    let (cluster, _, found) = select::fetched(call, &call.args).await?;
    let wanted = call.number::<i64>("revision")?.filter(|revision| *revision > 0);
    for one in &found {
        let revisions = revisions(&cluster, one).await?;
        if let Some(wanted) = wanted {
            let item = revisions.iter().find(|(revision, _)| *revision == wanted);
            let missing =
                || Failure::plain(format!("error: unable to find the specified revision {wanted}"));
            let (_, item) = item.ok_or_else(missing)?;
            out::line(format!("{} with revision #{wanted}", one.word()));
            out::write(super::describe::pod_template(&template(item)).as_bytes());
            continue;
        }
        // kubectl prints a space behind it.
        out::line(format!("{} ", one.word()));
        let cause = |item: &Value| {
            let cause = item["metadata"]["annotations"][CAUSE].as_str().unwrap_or("<none>");
            cause.to_owned()
        };
        let mut rows = vec![vec!["REVISION".to_owned(), "CHANGE-CAUSE".to_owned()]];
        rows.extend(
            revisions.iter().map(|(revision, item)| vec![revision.to_string(), cause(item)]),
        );
        out::line(out::columns(&rows, 0, 2, false));
    }
    Ok(0)
}

pub async fn undo(call: &Call) -> Result<u8, Failure> {
    let (cluster, _, found) = select::fetched(call, &call.args).await?;
    let dry = super::dry_run(call)?;
    let wanted = call.number::<i64>("to-revision")?.unwrap_or(0);
    for one in &found {
        if one.object["spec"]["paused"] == true {
            let name = one.name();
            return Err(Failure::plain(format!(
                "error: you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume deployment/{name}' and try again"
            )));
        }
        let revisions = revisions(&cluster, one).await?;
        let found = match wanted {
            0 => revisions.len().checked_sub(2).and_then(|at| revisions.get(at)),
            wanted => revisions.iter().find(|(revision, _)| *revision == wanted),
        };
        let missing = || match wanted {
            0 => Failure::plain(format!("error: no rollout history found for {}", one.word())),
            wanted => Failure::plain(format!(
                "error: unable to find specified revision {wanted} in history"
            )),
        };
        let (_, item) = found.ok_or_else(missing)?;
        let target = template(item);
        if one.object["spec"]["template"] == target {
            let revision = found.map(|(revision, _)| *revision).unwrap_or_default();
            out::line(format!(
                "{} skipped rollback (current template already matches revision {revision})",
                one.word()
            ));
            continue;
        }
        if dry != DryRun::Client {
            let body = json!([{ "op": "replace", "path": "/spec/template", "value": target }]);
            let path = managed(&one.path(), "kubectl-rollout", dry);
            let done = patch(&cluster, &path, "application/json-patch+json", &body).await;
            done.map_err(|e| Failure::kube(format!("roll back {}", one.word()), &e))?;
        }
        out::line(format!("{} rolled back{}", one.word(), dry.suffix()));
    }
    Ok(0)
}

/// Patches each object and says the word.
async fn each(
    call: &Call,
    said: &str,
    check: impl Fn(&Found) -> Result<(), String>,
    body: impl Fn() -> Value,
) -> Result<u8, Failure> {
    let (cluster, _, found) = select::fetched(call, &call.args).await?;
    let mut code = 0;
    for one in &found {
        if let Err(why) = check(one) {
            Failure::plain(format!("error: {why}")).tell(call.voice);
            code = 1;
            continue;
        }
        let path = managed(&one.path(), "kubectl-rollout", DryRun::None);
        let done = patch(&cluster, &path, STRATEGIC, &body()).await;
        done.map_err(|e| Failure::kube(format!("change {}", one.word()), &e))?;
        out::line(format!("{} {said}", one.word()));
    }
    Ok(code)
}

pub async fn restart(call: &Call) -> Result<u8, Failure> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let check = |one: &Found| match one.object["spec"]["paused"] == true {
        true => Err(format!(
            "can't restart paused deployment (run rollout resume first): {}",
            one.name()
        )),
        false => Ok(()),
    };
    each(call, "restarted", check, || {
        let mut marks = Map::new();
        marks.insert("kubectl.kubernetes.io/restartedAt".into(), now.clone().into());
        json!({ "spec": { "template": { "metadata": { "annotations": marks } } } })
    })
    .await
}

fn is_deployment(one: &Found, verb: &str) -> Result<(), String> {
    match one.kind.kind.as_str() {
        "Deployment" => Ok(()),
        _ => Err(format!("{verb} is not supported for {}", one.word())),
    }
}

pub async fn pause(call: &Call) -> Result<u8, Failure> {
    let check = |one: &Found| {
        is_deployment(one, "pausing")?;
        match one.object["spec"]["paused"] == true {
            true => Err(format!("{} is already paused", one.word())),
            false => Ok(()),
        }
    };
    each(call, "paused", check, || json!({ "spec": { "paused": true } })).await
}

pub async fn resume(call: &Call) -> Result<u8, Failure> {
    let check = |one: &Found| {
        is_deployment(one, "resuming")?;
        match one.object["spec"]["paused"] == true {
            true => Ok(()),
            false => Err(format!("{} is not paused", one.word())),
        }
    };
    each(call, "resumed", check, || json!({ "spec": { "paused": null } })).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_status_says() {
        let object = |status: Value| {
            json!({
                "metadata": { "name": "web", "generation": 2 }, "spec": { "replicas": 3 }, "status": status,
            })
        };
        let line = |value: Value| status("Deployment", &object(value)).unwrap();
        assert_eq!(
            line(json!({ "observedGeneration": 1 })),
            ("Waiting for deployment spec update to be observed...".to_owned(), false)
        );
        assert_eq!(
            line(json!({ "observedGeneration": 2, "updatedReplicas": 1 })).0,
            "Waiting for deployment \"web\" rollout to finish: 1 out of 3 new replicas have been updated..."
        );
        assert_eq!(
            line(
                json!({ "observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 3 })
            ),
            ("deployment \"web\" successfully rolled out".to_owned(), true)
        );
    }
}
