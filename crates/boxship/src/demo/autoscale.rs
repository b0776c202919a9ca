//! Horizontal autoscaling by measured processor time: up under load, down without.

use super::cluster::Cluster;
use super::deploy::{DEPLOYMENTS, address};
use super::load::{Load, Shot};
use super::show::{Outcome, Progress};
use crate::failure::Failure;
use bytes::Bytes;
use http::Method;
use serde_json::Value;
use std::time::{Duration, Instant};

const AUTOSCALERS: &str = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
const AUTOSCALER: &str = include_str!("../../../../examples/iris/manifests/autoscaler.yaml");
const METRICS: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods";
/// `minReplicas` of the manifest.
const FEWEST: u64 = 3;
/// Replicas before it came.
const BEFORE: u64 = 5;

pub async fn autoscale(cluster: &Cluster, say: Progress) -> Result<Outcome, Failure> {
    match cluster.kube.get(METRICS).await {
        Err(e) if e.is_not_found() => {
            return Ok(Outcome::Skipped("metrics.k8s.io is not served by this build".into()));
        }
        other => other.map(drop).map_err(|e| Failure::new(format!("GET {METRICS}"), e))?,
    }
    let burn = Shot {
        to: address(cluster).await?,
        method: Method::GET,
        path: "/burn?ms=50",
        body: Bytes::new(),
        pause: Duration::from_millis(10),
    };
    let load = Load::start(&burn, 2);
    let began = Instant::now();
    cluster.apply(AUTOSCALERS, AUTOSCALER).await?;
    let most = replicas(cluster, &say, |n| n > BEFORE).await?;
    let up = began.elapsed().as_secs_f64();
    drop(load.stop().await);
    let began = Instant::now();
    let fewest = replicas(cluster, &say, |n| n <= FEWEST).await?;
    let down = began.elapsed().as_secs_f64();
    cluster.delete(&format!("{AUTOSCALERS}/iris")).await?;
    Ok(Outcome::Done(format!(
        "{BEFORE} to {most} after {up:.1} s of load, to {fewest} {down:.1} s after it"
    )))
}

/// Waits until the Deployment is asked to have as many replicas as `enough` says.
async fn replicas(
    cluster: &Cluster,
    say: &Progress,
    enough: impl Fn(u64) -> bool,
) -> Result<u64, Failure> {
    let path = format!("{DEPLOYMENTS}?fieldSelector=metadata.name=iris");
    let found = |_: &str, deployment: &Value| {
        let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or_default();
        say.say(format!("{wanted} replicas"));
        enough(wanted).then_some(wanted)
    };
    cluster.until(&path, "the autoscaler to scale Deployment iris", found).await
}
