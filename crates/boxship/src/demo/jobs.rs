//! Work that ends: a Job that scores all rows through the Service, and a CronJob that checks the model every minute.

use super::cluster::Cluster;
use super::show::{Outcome, Progress};
use crate::failure::Failure;
use serde_json::Value;

const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const CRONJOBS: &str = "/apis/batch/v1/namespaces/default/cronjobs";
const JOB: &str = include_str!("../../../../examples/iris/manifests/job.yaml");
const CRONJOB: &str = include_str!("../../../../examples/iris/manifests/cronjob.yaml");

pub async fn job(cluster: &Cluster, say: Progress) -> Result<Outcome, Failure> {
    cluster.apply(JOBS, JOB).await?;
    let name = completed(cluster, "iris-score", &say).await?;
    said(cluster, &name).await
}

pub async fn schedule(cluster: &Cluster) -> Result<Outcome, Failure> {
    cluster.apply(CRONJOBS, CRONJOB).await?;
    Ok(Outcome::Done("it is due at the next full minute; meanwhile:".into()))
}

/// A CronJob's first run is up to a minute away.
pub async fn scheduled(cluster: &Cluster, say: Progress) -> Result<Outcome, Failure> {
    say.say("waiting for the full minute");
    let name = completed(cluster, "iris-evaluate", &say).await?;
    let outcome = said(cluster, &name).await?;
    cluster.delete(&format!("{CRONJOBS}/iris-evaluate")).await?;
    Ok(outcome)
}

/// Waits for a completed Job whose name begins so.
async fn completed(cluster: &Cluster, prefix: &str, say: &Progress) -> Result<String, Failure> {
    let done = |_: &str, job: &Value| {
        let name = job["metadata"]["name"].as_str().filter(|name| name.starts_with(prefix))?;
        let status = &job["status"];
        say.say(format!("{name}: {} active", status["active"].as_u64().unwrap_or_default()));
        let conditions = status["conditions"].as_array().into_iter().flatten();
        conditions.filter(|c| c["status"] == "True").find_map(|c| match c["type"].as_str() {
            Some("Complete") => Some(Ok(name.to_string())),
            Some("Failed") => {
                let why = c["message"].as_str().unwrap_or("it failed");
                Some(Err(Failure::new(format!("run the Job {name}"), why)))
            }
            _ => None,
        })
    };
    cluster.until(JOBS, &format!("a Job {prefix} to complete"), done).await?
}

/// What the Job's pod wrote.
async fn said(cluster: &Cluster, job: &str) -> Result<Outcome, Failure> {
    let path = format!("/api/v1/namespaces/default/pods?labelSelector=job-name={job}");
    let list = cluster.get(&path).await?;
    let pod = list["items"][0]["metadata"]["name"].as_str().unwrap_or_default();
    let log = cluster.log(pod).await?;
    Ok(Outcome::Done(format!("{job}: {log}")))
}
