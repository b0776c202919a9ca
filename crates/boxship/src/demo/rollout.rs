//! Rolling updates while a load generator counts: forward to the second model, and back.

use super::cluster::Cluster;
use super::deploy::{DEPLOYMENT, PODS, address, prediction, rolled_out, rows};
use super::load::{Load, Tally};
use super::show::{Outcome, Progress};
use crate::failure::Failure;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Workers of each sort: with kept connections, and with a new one for each request.
const PAIRS: usize = 4;
/// Load before and after, to see both sides.
const MARGIN: Duration = Duration::from_millis(300);
const REVISION: &str = "deployment.kubernetes.io/revision";

pub async fn forward(cluster: &Cluster, say: Progress) -> Result<Outcome, Failure> {
    let template = json!({ "spec": { "containers": [{ "name": "iris", "image": "iris:v2" }] } });
    let body = json!({ "spec": { "template": template } });
    let change = Change { kind: "application/strategic-merge-patch+json", body, model: "v2" };
    under_load(cluster, change, &say).await
}

/// As `kubectl rollout undo`: the template of the revision before the current one.
pub async fn back(cluster: &Cluster, say: Progress) -> Result<Outcome, Failure> {
    let sets =
        cluster.get("/apis/apps/v1/namespaces/default/replicasets?labelSelector=app=iris").await?;
    let revision = |set: &Value| -> u64 {
        let text = set["metadata"]["annotations"][REVISION].as_str().unwrap_or_default();
        text.parse().unwrap_or_default()
    };
    let mut sets: Vec<&Value> = sets["items"].as_array().into_iter().flatten().collect();
    sets.sort_by_key(|set| std::cmp::Reverse(revision(set)));
    let before =
        sets.get(1).ok_or_else(|| Failure::new("roll back", "there is no earlier revision"))?;
    let mut template = before["spec"]["template"].clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove("pod-template-hash");
    }
    let body = json!([{ "op": "replace", "path": "/spec/template", "value": template }]);
    let change = Change { kind: "application/json-patch+json", body, model: "v1" };
    under_load(cluster, change, &say).await
}

/// A patch of the Deployment, and the model that answers afterwards.
struct Change {
    kind: &'static str,
    body: Value,
    model: &'static str,
}

async fn under_load(cluster: &Cluster, change: Change, say: &Progress) -> Result<Outcome, Failure> {
    let what = format!("roll out model {} under load", change.model);
    let old = pod_names(cluster).await?;
    let load = Load::start(&prediction(address(cluster).await?, &rows()[..3]), PAIRS);
    tokio::time::sleep(MARGIN).await;
    let patched = cluster.kube.patch(DEPLOYMENT, change.kind, &change.body).await;
    patched.map_err(|e| Failure::new(&what, e))?;
    rolled_out(cluster, 5, say).await?;
    gone(cluster, old, say).await?;
    tokio::time::sleep(MARGIN).await;
    let tally = load.stop().await;
    let models: Vec<String> = tally.models.iter().map(|(m, n)| format!("{n} by {m}")).collect();
    if !tally.models.contains_key(change.model) {
        return Err(Failure::new(what, format!("{} never answered", change.model)));
    }
    let counted = without_failures(&what, tally)?;
    Ok(Outcome::Done(format!("{counted}; {}", models.join(", "))))
}

/// Counts, unless a request failed: that is a failure of the product.
pub fn without_failures(what: &str, tally: Tally) -> Result<String, Failure> {
    if tally.failed() > 0 {
        let why = format!(
            "{} of {} requests failed: {:?}",
            tally.failed(),
            tally.good + tally.failed(),
            tally.failures
        );
        return Err(Failure::new(what, why));
    }
    let ms = |part| tally.quantile(part).as_secs_f64() * 1000.0;
    let Tally { good, connections, .. } = tally;
    let (p50, p99) = (ms(500), ms(990));
    Ok(format!(
        "{good} requests over {connections} connections, 0 failed, p50 {p50:.1} ms, p99 {p99:.1} ms"
    ))
}

pub async fn pod_names(cluster: &Cluster) -> Result<BTreeSet<String>, Failure> {
    let list = cluster.get(PODS).await?;
    let pods = list["items"].as_array().into_iter().flatten();
    Ok(pods.filter_map(|p| Some(p["metadata"]["name"].as_str()?.to_string())).collect())
}

/// Waits until none of `old` is left.
pub async fn gone(
    cluster: &Cluster,
    mut old: BTreeSet<String>,
    say: &Progress,
) -> Result<(), Failure> {
    let now = pod_names(cluster).await?;
    old.retain(|name| now.contains(name));
    if old.is_empty() {
        return Ok(());
    }
    let left = |kind: &str, pod: &Value| {
        if kind == "DELETED" {
            old.remove(pod["metadata"]["name"].as_str().unwrap_or_default());
        }
        say.say(format!("{} old pods are still answering what they have", old.len()));
        old.is_empty().then_some(())
    };
    cluster.until(PODS, "the end of the old pods", left).await
}
