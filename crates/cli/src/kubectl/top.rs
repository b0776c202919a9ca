//! `top`: what metrics.k8s.io knows.

use super::{Cluster, cluster, text};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use meta::{Quantity, Value};
use remote::escape;

const ROOT: &str = "/apis/metrics.k8s.io/v1beta1";

async fn metrics(cluster: &Cluster, path: &str) -> Result<Vec<Value>, Failure> {
    let answer = cluster.kube.get(path).await.map_err(|e| {
        let failure = Failure::kube("ask for metrics", &e);
        match e.is_not_found() {
            true => Failure { plain: Some("error: Metrics API not available".into()), ..failure },
            false => failure,
        }
    })?;
    match answer.get("items").and_then(Value::as_array) {
        Some(items) => Ok(items.clone()),
        None => Ok(vec![answer]),
    }
}

/// Thousandths of a CPU, and bytes.
fn usage(value: &Value) -> (i64, i64) {
    let quantity = |key: &str| text(value, key).parse::<Quantity>().ok();
    let cpu = quantity("/usage/cpu").map_or(0, |q| q.milli_value());
    (cpu, quantity("/usage/memory").map_or(0, |q| q.value()))
}

/// CPU and memory to sort by, and the cells.
type Row = (i64, i64, Vec<String>);

fn row(mut head: Vec<String>, (cpu, memory): (i64, i64)) -> Row {
    head.push(format!("{cpu}m"));
    head.push(format!("{}Mi", memory / (1 << 20)));
    (cpu, memory, head)
}

fn print(call: &Call, headings: &[&str], mut rows: Vec<Row>) {
    match call.get("sort-by") {
        Some("cpu") => rows.sort_by_key(|(cpu, _, _)| -cpu),
        Some("memory") => rows.sort_by_key(|(_, memory, _)| -memory),
        _ => rows.sort_by(|a, b| a.2.cmp(&b.2)),
    }
    let mut lines: Vec<Vec<String>> = Vec::new();
    if !call.has("no-headers") {
        lines.push(headings.iter().map(|h| (*h).to_owned()).collect());
    }
    lines.extend(rows.into_iter().map(|(_, _, row)| row));
    out::write(out::columns(&lines, 6, 3, true).as_bytes());
}

fn selected(call: &Call) -> String {
    call.get("selector").map(|s| format!("?labelSelector={}", escape(s))).unwrap_or_default()
}

pub async fn pods(call: &Call) -> Result<u8, Failure> {
    let cluster = cluster(call)?;
    let everywhere = call.has("all-namespaces");
    let base = match everywhere {
        true => format!("{ROOT}/pods"),
        false => format!("{ROOT}/namespaces/{}/pods", cluster.namespace),
    };
    let path = match call.args.first() {
        Some(name) => format!("{base}/{}", escape(name)),
        None => format!("{base}{}", selected(call)),
    };
    let items = metrics(&cluster, &path).await?;
    if items.is_empty() {
        let message = match everywhere {
            true => "No resources found\n".to_owned(),
            false => format!("No resources found in {} namespace.\n", cluster.namespace),
        };
        out::write_err(message.as_bytes());
        return Ok(0);
    }
    let mut rows = Vec::new();
    for pod in &items {
        let mut head = Vec::new();
        if everywhere {
            head.push(text(pod, "/metadata/namespace").to_owned());
        }
        head.push(text(pod, "/metadata/name").to_owned());
        let containers: Vec<&Value> = pod["containers"].as_array().into_iter().flatten().collect();
        if call.has("containers") {
            for container in containers {
                let mut head = head.clone();
                head.push(text(container, "/name").to_owned());
                rows.push(row(head, usage(container)));
            }
        } else {
            let sum =
                containers.iter().map(|c| usage(c)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
            rows.push(row(head, sum));
        }
    }
    let mut headings = Vec::new();
    if everywhere {
        headings.push("NAMESPACE");
    }
    headings.extend(if call.has("containers") { vec!["POD", "NAME"] } else { vec!["NAME"] });
    headings.extend(["CPU(cores)", "MEMORY(bytes)"]);
    print(call, &headings, rows);
    Ok(0)
}

pub async fn nodes(call: &Call) -> Result<u8, Failure> {
    let cluster = cluster(call)?;
    let path = match call.args.first() {
        Some(name) => format!("{ROOT}/nodes/{}", escape(name)),
        None => format!("{ROOT}/nodes{}", selected(call)),
    };
    let items = metrics(&cluster, &path).await?;
    let known =
        cluster.kube.get("/api/v1/nodes").await.map_err(|e| Failure::kube("list nodes", &e))?;
    let mut rows = Vec::new();
    for one in &items {
        let name = text(one, "/metadata/name");
        let mut nodes = known["items"].as_array().into_iter().flatten();
        let node =
            nodes.find(|node| text(node, "/metadata/name") == name).cloned().unwrap_or_default();
        let room =
            |key: &str| text(&node, &format!("/status/allocatable/{key}")).parse::<Quantity>().ok();
        let (cpu, memory) = usage(one);
        let percent = |used: i64, all: i64| {
            if all > 0 { format!("{}%", used * 100 / all) } else { "<unknown>".into() }
        };
        let cpus = percent(cpu, room("cpu").map_or(0, |q| q.milli_value()));
        let bytes = percent(memory, room("memory").map_or(0, |q| q.value()));
        let cells = vec![
            name.to_owned(),
            format!("{cpu}m"),
            cpus,
            format!("{}Mi", memory / (1 << 20)),
            bytes,
        ];
        rows.push((cpu, memory, cells));
    }
    print(call, &["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"], rows);
    Ok(0)
}
