//! What the cluster does by itself when something is lost.

use super::cluster::Cluster;
use super::deploy::{PODS, address, prediction, rolled_out, rows};
use super::load::Load;
use super::rollout::{gone, pod_names, without_failures};
use super::show::{Outcome, Progress};
use crate::failure::Failure;
use http::Method;
use serde_json::Value;
use std::time::Instant;

fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or_default()
}

fn restarts(pod: &Value) -> u64 {
    pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default()
}

pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

async fn some_pod(cluster: &Cluster) -> Result<Value, Failure> {
    let list = cluster.get(PODS).await?;
    let pods = list["items"].as_array().into_iter().flatten();
    let chosen = pods
        .filter(|p| is_ready(p) && p["metadata"]["deletionTimestamp"].is_null())
        .min_by_key(|p| name(p));
    chosen.cloned().ok_or_else(|| Failure::new("choose a pod of Deployment iris", "none is ready"))
}

/// Deletes a pod as `kubectl delete pod` does; its place is taken, and no request notices.
pub async fn pod(cluster: &Cluster, say: Progress) -> Result<Outcome, Failure> {
    let lost = some_pod(cluster).await?;
    let lost = name(&lost);
    let before = pod_names(cluster).await?;
    let load = Load::start(&prediction(address(cluster).await?, &rows()[..3]), 2);
    let began = Instant::now();
    cluster.delete(&format!("/api/v1/namespaces/default/pods/{lost}")).await?;
    say.say(format!("{lost} is going"));
    let new = |_: &str, pod: &Value| (is_ready(pod) && !before.contains(name(pod))).then_some(());
    cluster.until(PODS, &format!("the successor of pod {lost}"), new).await?;
    let took = began.elapsed().as_millis();
    gone(cluster, [lost.to_string()].into(), &say).await?;
    rolled_out(cluster, 5, &say).await?;
    let counted = without_failures("lose a pod", load.stop().await)?;
    Ok(Outcome::Done(format!("replaced in {took} ms; {counted}")))
}

/// Kills a container behind Kubernetes' back, with `docker kill`.
pub async fn container(cluster: &Cluster, say: Progress) -> Result<Outcome, Failure> {
    let pod = some_pod(cluster).await?;
    let (name, before) = (name(&pod), restarts(&pod));
    let id = pod["status"]["containerStatuses"][0]["containerID"].as_str().unwrap_or_default();
    let id = id.rsplit('/').next().unwrap_or_default();
    let began = Instant::now();
    cluster.docker(Method::POST, &format!("/containers/{id}/kill")).await?;
    say.say(format!("the container of {name} is killed"));
    let path = format!("/api/v1/namespaces/default/pods?fieldSelector=metadata.name={name}");
    let back = |_: &str, pod: &Value| (restarts(pod) > before && is_ready(pod)).then_some(());
    cluster.until(&path, &format!("the restarted container of pod {name}"), back).await?;
    rolled_out(cluster, 5, &say).await?;
    Ok(Outcome::Done(format!("started again and ready in {} ms", began.elapsed().as_millis())))
}
