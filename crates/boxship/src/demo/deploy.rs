//! The Deployment and its Service: from manifests to predictions through the load balancer's address.

use super::cluster::Cluster;
use super::image::DATA;
use super::load::{Shot, ask_once};
use super::show::{Outcome, Progress};
use crate::failure::Failure;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
pub const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/iris";
pub const PODS: &str = "/api/v1/namespaces/default/pods?labelSelector=app=iris";
const SERVICES: &str = "/api/v1/namespaces/default/services";

static MANIFESTS: [(&str, &str); 2] = [
    (DEPLOYMENTS, include_str!("../../../../examples/iris/manifests/deployment.yaml")),
    (SERVICES, include_str!("../../../../examples/iris/manifests/service.yaml")),
];

pub async fn deploy(cluster: &Cluster, say: Progress) -> Result<Outcome, Failure> {
    let began = Instant::now();
    for (collection, manifest) in MANIFESTS {
        cluster.apply(collection, manifest).await?;
    }
    let address = address(cluster).await?;
    say.say(format!("the Service has {address}"));
    rolled_out(cluster, 3, &say).await?;
    let ready = began.elapsed().as_millis();
    let shot = prediction(address, &rows()[..1]);
    let mut asked = ask_once(&shot).await;
    while asked.is_err() && began.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        asked = ask_once(&shot).await;
    }
    let first = began.elapsed().as_millis();
    asked.map_err(|e| Failure::new(format!("predict through http://{address}"), e))?;
    Ok(Outcome::Done(format!("all ready in {ready} ms, http://{address} answers after {first} ms")))
}

/// Where the Service answers from this machine.
pub async fn address(cluster: &Cluster) -> Result<SocketAddr, Failure> {
    let path = format!("{SERVICES}?fieldSelector=metadata.name=iris");
    let ip = |_: &str, service: &Value| -> Option<IpAddr> {
        service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str()?.parse().ok()
    };
    let ip = cluster.until(&path, "the address of Service iris", ip).await?;
    Ok(SocketAddr::new(ip, 80))
}

/// Waits until the Deployment runs `count` pods of its newest template and no others.
pub async fn rolled_out(cluster: &Cluster, count: u64, say: &Progress) -> Result<(), Failure> {
    let path = format!("{DEPLOYMENTS}?fieldSelector=metadata.name=iris");
    let waited_for = format!("{count} ready pods of Deployment iris");
    let done = |_: &str, deployment: &Value| {
        let status = &deployment["status"];
        let number = |key: &str| status[key].as_u64().unwrap_or_default();
        let (updated, available) = (number("updatedReplicas"), number("availableReplicas"));
        say.say(format!("{updated} updated, {available} available of {count}"));
        let seen =
            deployment["metadata"]["generation"].as_u64() <= Some(number("observedGeneration"));
        let settled = [updated, available, number("replicas")] == [count; 3];
        (seen && settled).then_some(())
    };
    cluster.until(&path, &waited_for, done).await
}

/// A measured plant and the name of its species.
type Row = ([f64; 4], String);

/// The rows of the data.
pub fn rows() -> Vec<Row> {
    let mut lines = DATA.lines();
    let species: Vec<&str> = lines.next().unwrap_or_default().split(',').skip(2).collect();
    let row = |line: &str| -> Option<Row> {
        let cells: Vec<f64> = line.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
        let [a, b, c, d, class] = cells[..] else { return None };
        let name = species.iter().enumerate().find(|(i, _)| *i as f64 == class)?.1;
        Some(([a, b, c, d], (*name).to_string()))
    };
    lines.filter_map(row).collect()
}

/// A request to predict rows.
pub fn prediction(to: SocketAddr, rows: &[Row]) -> Shot {
    let rows: Vec<_> = rows.iter().map(|(features, _)| features).collect();
    let body = Bytes::from(json!({ "rows": rows }).to_string());
    let pause = Duration::from_millis(5);
    Shot { to, method: Method::POST, path: "/predict", body, pause }
}

pub async fn predict(cluster: &Cluster) -> Result<Outcome, Failure> {
    let address = address(cluster).await?;
    let what = || format!("predict through http://{address}");
    let rows = rows();
    let (mut right, mut pods) = (0, BTreeSet::new());
    for batch in rows.chunks(10) {
        let said = ask_once(&prediction(address, batch)).await;
        let said = said.map_err(|e| Failure::new(what(), e))?;
        pods.insert(said["pod"].as_str().unwrap_or_default().to_string());
        let matches = |(i, (_, species)): &(usize, &Row)| {
            said["predictions"][*i]["species"].as_str() == Some(species.as_str())
        };
        right += batch.iter().enumerate().filter(matches).count();
    }
    let (all, pods) = (rows.len(), pods.len());
    if all != 150 || right * 100 < all * 94 {
        return Err(Failure::new(what(), format!("only {right} of {all} answers are right")));
    }
    Ok(Outcome::Done(format!("{right} of {all} right, answered by {pods} pods")))
}

pub async fn scale(cluster: &Cluster, say: Progress) -> Result<Outcome, Failure> {
    let body = json!({ "spec": { "replicas": 5 } });
    cluster.patch(&format!("{DEPLOYMENT}/scale"), &body).await?;
    rolled_out(cluster, 5, &say).await?;
    Ok(Outcome::Done("5 of 5 ready".into()))
}
