//! `cordon`, `uncordon`, `drain`, `taint`.

use super::apply::{managed, patch};
use super::remove::{gone, limit};
use super::select::{self, Found};
use super::{Cluster, dry_run, text};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use meta::Value;
use remote::{Error, escape};
use serde_json::json;
use std::time::Duration;

fn nodes(call: &Call) -> Vec<String> {
    let mut words = vec!["nodes".to_owned()];
    words.extend(call.args.iter().map(|name| name.trim_start_matches("node/").to_owned()));
    words
}

/// Patches `spec.unschedulable` where it differs.
async fn mark(cluster: &Cluster, one: &Found, call: &Call, off: bool) -> Result<(), Failure> {
    let dry = dry_run(call)?;
    let said = if off { "cordoned" } else { "uncordoned" };
    if one.object["spec"]["unschedulable"].as_bool().unwrap_or(false) == off {
        out::line(format!("node/{} already {said}", one.name()));
        return Ok(());
    }
    let value = if off { Value::from(true) } else { Value::Null };
    let body = json!({ "spec": { "unschedulable": value } });
    if dry != super::DryRun::Client {
        let path = managed(&one.path(), "kubectl-cordon", dry);
        let done = patch(cluster, &path, "application/merge-patch+json", &body).await;
        done.map_err(|e| Failure::kube(format!("change {}", one.word()), &e))?;
    }
    out::line(format!("node/{} {said}{}", one.name(), dry.suffix()));
    Ok(())
}

pub async fn cordon(call: &Call) -> Result<u8, Failure> {
    let (cluster, _, found) = select::fetched(call, &nodes(call)).await?;
    for one in &found {
        mark(&cluster, one, call, call.command.name == "cordon").await?;
    }
    Ok(0)
}

pub async fn drain(call: &Call) -> Result<u8, Failure> {
    let (cluster, _, found) = select::fetched(call, &nodes(call)).await?;
    for one in &found {
        mark(&cluster, one, call, true).await?;
        let pods = on_node(call, &cluster, one.name()).await?;
        let limit = call.get("timeout").map(|text| limit(call, text)).transpose()?.flatten();
        let evicting = evict_all(call, &cluster, &pods);
        match limit {
            None => evicting.await?,
            Some(limit) => tokio::time::timeout(limit, evicting).await.unwrap_or_else(|_| {
                Err(Failure::plain("error: drain did not complete within the timeout"))
            })?,
        }
        out::line(format!("node/{} drained{}", one.name(), dry_run(call)?.suffix()));
    }
    Ok(0)
}

/// The pods a drain has to move; errors for those it may not, all at once (kubectl `pkg/drain/filters.go`).
async fn on_node(call: &Call, cluster: &Cluster, node: &str) -> Result<Vec<Value>, Failure> {
    let field = escape(&format!("spec.nodeName={node}"));
    let selector = call.get("pod-selector").map(|s| format!("&labelSelector={}", escape(s)));
    let path = format!("/api/v1/pods?fieldSelector={field}{}", selector.unwrap_or_default());
    let list = cluster.kube.get(&path).await.map_err(|e| Failure::kube("list pods", &e))?;
    let (mut out, mut refused, mut ignored) = (Vec::new(), Vec::new(), Vec::new());
    for pod in list["items"].as_array().into_iter().flatten() {
        let name = format!("{}/{}", text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        let owners = pod["metadata"]["ownerReferences"].as_array();
        let owner = owners.into_iter().flatten().find(|owner| owner["controller"] == true);
        let ended = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
        let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        let has_local = volumes.into_iter().any(|volume| volume.get("emptyDir").is_some());
        if pod["metadata"]["annotations"].get("kubernetes.io/config.mirror").is_some() {
            continue;
        }
        if owner.is_some_and(|owner| owner["kind"] == "DaemonSet") && !ended {
            match call.has("ignore-daemonsets") {
                true => ignored.push(name),
                false => refused
                    .push(("DaemonSet-managed Pods (use --ignore-daemonsets to ignore)", name)),
            }
        } else if has_local && !ended && !call.has("delete-emptydir-data") {
            refused
                .push(("Pods with local storage (use --delete-emptydir-data to override)", name));
        } else if owner.is_none() && !ended && !call.has("force") {
            refused.push(("Pods that declare no controller (use --force to override)", name));
        } else {
            out.push(pod.clone());
        }
    }
    if !ignored.is_empty() {
        let list = ignored.join(", ");
        out::write_err(format!("Warning: ignoring DaemonSet-managed Pods: {list}\n").as_bytes());
    }
    if refused.is_empty() {
        return Ok(out);
    }
    refused.sort();
    let reasons: Vec<String> =
        refused.iter().map(|(why, pod)| format!("cannot delete {why}: {pod}")).collect();
    Err(Failure::plain(format!(
        "error: unable to drain node \"{node}\" due to error: [{}]",
        reasons.join(", ")
    )))
}

async fn evict_all(call: &Call, cluster: &Cluster, pods: &[Value]) -> Result<(), Failure> {
    let dry = dry_run(call)?;
    for pod in pods {
        let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        out::line(format!("evicting pod {namespace}/{name}{}", dry.suffix()));
        if dry == super::DryRun::None {
            evict(call, cluster, namespace, name).await?;
        }
    }
    if dry != super::DryRun::None {
        return Ok(());
    }
    for pod in pods {
        let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let done = gone(&cluster.kube, &path, Some(text(pod, "/metadata/uid"))).await;
        done.map_err(|e| Failure::kube(format!("wait for pod {name}"), &e))?;
        out::line(format!("pod/{name} evicted"));
    }
    Ok(())
}

/// Asks again while a disruption budget says no.
async fn evict(call: &Call, cluster: &Cluster, namespace: &str, name: &str) -> Result<(), Failure> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
    let mut body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": { "name": name, "namespace": namespace },
    });
    if let Some(seconds) = call.number::<i64>("grace-period")?.filter(|seconds| *seconds >= 0) {
        body["deleteOptions"] = json!({ "gracePeriodSeconds": seconds });
    }
    loop {
        match cluster.kube.post(&path, &body).await {
            Ok(_) => return Ok(()),
            Err(e) if e.is_not_found() => return Ok(()),
            Err(e) if e.code() == Some(429) => {
                out::write_err(refusal(namespace, name, &e).as_bytes());
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            Err(e) => return Err(Failure::kube(format!("evict pod {name}"), &e)),
        }
    }
}

fn refusal(namespace: &str, name: &str, error: &Error) -> String {
    format!(
        "error when evicting pods/\"{name}\" -n \"{namespace}\" (will retry after 5s): {error}\n"
    )
}

pub async fn taint(call: &Call) -> Result<u8, Failure> {
    let is_change =
        |word: &&String| word.contains(':') || word.contains('=') || word.ends_with('-');
    let changes: Vec<&String> = call.args.iter().skip(1).filter(is_change).collect();
    let words: Vec<String> =
        call.args.iter().filter(|word| !changes.contains(word)).cloned().collect();
    if changes.is_empty() {
        return Err(Failure::plain("error: at least one taint update is required"));
    }
    let (cluster, _, found) = select::fetched(call, &words).await?;
    for one in &found {
        let mut taints = one.object["spec"]["taints"].as_array().cloned().unwrap_or_default();
        let mut removed = false;
        for change in &changes {
            removed |= tainted(&mut taints, change, call)?;
        }
        let body = json!({ "spec": { "taints": taints } });
        let path = managed(&one.path(), "kubectl-taint", dry_run(call)?);
        let done = patch(&cluster, &path, "application/merge-patch+json", &body).await;
        done.map_err(|e| Failure::kube(format!("taint {}", one.word()), &e))?;
        let said = if removed { "untainted" } else { "tainted" };
        out::line(format!("node/{} {said}", one.name()));
    }
    Ok(0)
}

/// `key=value:Effect` adds, `key:Effect-` and `key-` remove; whether it removed.
fn tainted(taints: &mut Vec<Value>, change: &str, call: &Call) -> Result<bool, Failure> {
    if let Some(gone) = change.strip_suffix('-') {
        let (key, effect) = gone.split_once(':').map_or((gone, None), |(k, e)| (k, Some(e)));
        let key = key.split('=').next().unwrap_or(key);
        let before = taints.len();
        taints.retain(|t| t["key"] != key || effect.is_some_and(|effect| t["effect"] != effect));
        return match taints.len() < before {
            true => Ok(true),
            false => Err(Failure::plain(format!("error: taint \"{gone}\" not found"))),
        };
    }
    let bad =
        || Failure::plain(format!("error: invalid taint spec: {change}, it is KEY[=VALUE]:EFFECT"));
    let (pair, effect) = change.rsplit_once(':').ok_or_else(bad)?;
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let at = taints.iter().position(|t| t["key"] == key && t["effect"] == effect);
    let mut taint = json!({ "key": key, "effect": effect });
    if !value.is_empty() {
        taint["value"] = value.into();
    }
    match at {
        Some(at) if call.has("overwrite") => taints[at] = taint,
        Some(_) => {
            return Err(Failure::plain(format!(
                "error: node already has {key} taint(s) with same effect(s) and --overwrite is false"
            )));
        }
        None => taints.push(taint),
    }
    Ok(false)
}
