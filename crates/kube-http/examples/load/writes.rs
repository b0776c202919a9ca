//! Creating objects, each acknowledged before the next of the same client.

use crate::connection::{Connection, Target, request};
use crate::{Args, Result, objects, percentiles};
use serde_json::{Value, json};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";

/// `--clients` connections create ConfigMaps for `--seconds`.
pub async fn creates(args: &Args) -> Result<Value> {
    let target = Target::of(args.text("kubeconfig")?)?;
    let (clients, bytes, span) = (args.number("clients")?, args.number("bytes")?, args.span()?);
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(target.connect().await?);
    }
    let run = std::process::id();
    let (began, end) = (Instant::now(), Instant::now() + span);
    let tasks: Vec<_> = connections
        .into_iter()
        .enumerate()
        .map(|(client, mut connection)| {
            tokio::task::spawn_local(async move {
                let (mut took, mut body) = (Vec::new(), Vec::new());
                while Instant::now() < end {
                    let name = format!("load-{run}-{clients}-{client}-{}", took.len());
                    let wanted = request(
                        "POST",
                        MAPS,
                        "application/json",
                        &objects::config_map(&name, bytes),
                    );
                    took.push(
                        create(&mut connection, &wanted, &mut body)
                            .await
                            .map_err(|e| e.to_string())?,
                    );
                }
                Ok::<_, String>(took)
            })
        })
        .collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await??);
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(json!({ "done": took.len(), "seconds": seconds, "us": percentiles(took) }))
}

async fn create(
    connection: &mut Connection,
    wanted: &[u8],
    body: &mut Vec<u8>,
) -> Result<Duration> {
    let began = Instant::now();
    match connection.ask(wanted, body).await? {
        201 => Ok(began.elapsed()),
        code => Err(format!("create answered {code}: {}", String::from_utf8_lossy(body)).into()),
    }
}

/// Creates pods `--from` (0 when absent) to `--pods`, 64 at a time.
pub async fn fill(args: &Args) -> Result<Value> {
    let target = Target::of(args.text("kubeconfig")?)?;
    let (from, to) = (args.number("from").unwrap_or(0), args.number("pods")?);
    let (next, began) = (Rc::new(Cell::new(from)), Instant::now());
    let mut tasks = Vec::new();
    for _ in 0..64 {
        let (mut connection, next) = (target.connect().await?, next.clone());
        tasks.push(tokio::task::spawn_local(async move {
            let mut body = Vec::new();
            while next.get() < to {
                let number = next.replace(next.get() + 1);
                let wanted = request("POST", PODS, "application/json", &objects::pod(number));
                create(&mut connection, &wanted, &mut body).await.map_err(|e| e.to_string())?;
            }
            Ok::<_, String>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(json!({ "done": to - from, "seconds": began.elapsed().as_secs_f64() }))
}
