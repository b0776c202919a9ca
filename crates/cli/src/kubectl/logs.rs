//! `logs`: of a pod, of an owner's pods, of everything with a label.

use super::kinds::Kinds;
use super::select;
use super::{Cluster, cluster, text};
use crate::failure::Failure;
use crate::out;
use crate::parse::Call;
use http::Method;
use meta::{GoDuration, Value};
use remote::{Lines, escape};

/// The pods an argument means: itself, or those its selector selects; ready ones first.
///
/// # Errors
/// When there are none.
pub async fn pods(cluster: &Cluster, kinds: &Kinds, word: &str) -> Result<Vec<Value>, Failure> {
    let wanted = match word.contains('/') {
        true => select::slashed(kinds, word)?,
        false => select::slashed(kinds, &format!("pods/{word}"))?,
    };
    let path = wanted.kind.path(Some(&cluster.namespace), wanted.names.first().map(String::as_str));
    let object = cluster.kube.get(&path).await;
    let object = object.map_err(|e| Failure::kube(format!("get {word}"), &e))?;
    if wanted.kind.kind == "Pod" {
        return Ok(vec![object]);
    }
    let labels =
        object.pointer("/spec/selector/matchLabels").or_else(|| object.pointer("/spec/selector"));
    let labels = labels.and_then(Value::as_object).cloned().unwrap_or_default();
    let selector: Vec<String> =
        labels.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    let pods = selected(cluster, &selector.join(",")).await?;
    if selector.is_empty() || pods.is_empty() {
        return Err(Failure::plain(format!("error: no pods found for {word}")));
    }
    Ok(pods)
}

/// The pods with these labels; ready ones first, then the oldest.
pub async fn selected(cluster: &Cluster, selector: &str) -> Result<Vec<Value>, Failure> {
    let path =
        format!("/api/v1/namespaces/{}/pods?labelSelector={}", cluster.namespace, escape(selector));
    let list = cluster.kube.get(&path).await.map_err(|e| Failure::kube("list pods", &e))?;
    let mut items = list["items"].as_array().cloned().unwrap_or_default();
    let ready = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
    };
    items.sort_by_key(|pod| (!ready(pod), text(pod, "/metadata/creationTimestamp").to_owned()));
    Ok(items)
}

/// The container meant when none is named.
pub fn default_container(pod: &Value) -> &str {
    let named = pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].as_str();
    named.unwrap_or_else(|| text(pod, "/spec/containers/0/name"))
}

pub async fn logs(call: &Call) -> Result<u8, Failure> {
    let cluster = cluster(call)?;
    let kinds = Kinds::load(&cluster.kube).await?;
    let by_label = call.get("selector");
    let pods = match (by_label, call.args.first()) {
        (Some(selector), None) => selected(&cluster, selector).await?,
        (None, Some(word)) => {
            let mut pods = pods(&cluster, &kinds, word).await?;
            if pods.len() > 1 && !call.has("all-pods") {
                let name = text(&pods[0], "/metadata/name").to_owned();
                out::write_err(format!("Found {} pods, using pod/{name}\n", pods.len()).as_bytes());
                pods.truncate(1);
            }
            pods
        }
        _ => {
            return Err(Failure::plain(
                "error: expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command",
            ));
        }
    };
    if pods.is_empty() {
        out::write_err(
            format!("No resources found in {} namespace.\n", cluster.namespace).as_bytes(),
        );
        return Ok(0);
    }
    let mut sources = Vec::new();
    for pod in &pods {
        for container in containers(call, pod)? {
            sources.push((text(pod, "/metadata/name").to_owned(), container));
        }
    }
    let tail = call.get("tail").or(by_label.map(|_| "10")).map(str::to_owned);
    let query = query(call, tail.as_deref())?;
    if call.has("follow") && sources.len() > 1 {
        return together(call, &cluster, sources, &query).await;
    }
    for (pod, container) in &sources {
        one(call, &cluster, pod, container, &query).await?;
    }
    Ok(0)
}

fn containers(call: &Call, pod: &Value) -> Result<Vec<String>, Failure> {
    let names = |list: &str| -> Vec<String> {
        let list = pod["spec"][list].as_array().into_iter().flatten();
        list.map(|c| text(c, "/name").to_owned()).collect()
    };
    let all: Vec<String> = ["initContainers", "containers", "ephemeralContainers"]
        .iter()
        .flat_map(|l| names(l))
        .collect();
    if call.has("all-containers") {
        return Ok(all);
    }
    let pod_name = text(pod, "/metadata/name");
    if let Some(wanted) = call.get("container").or(call.args.get(1).map(String::as_str)) {
        return match all.iter().any(|name| name == wanted) {
            true => Ok(vec![wanted.to_owned()]),
            false => Err(Failure::plain(format!(
                "error: container {wanted} is not valid for pod {pod_name}"
            ))
            .hint(format!("it has: {}", all.join(", ")))),
        };
    }
    let default = default_container(pod).to_owned();
    if names("containers").len() > 1 {
        let list = all.join(", ");
        out::write_err(format!("Defaulted container \"{default}\" out of: {list}\n").as_bytes());
    }
    Ok(vec![default])
}

fn query(call: &Call, tail: Option<&str>) -> Result<String, Failure> {
    let mut out = format!(
        "follow={}&previous={}&timestamps={}",
        call.has("follow"),
        call.has("previous"),
        call.has("timestamps")
    );
    if let Some(tail) = tail.filter(|tail| *tail != "-1") {
        out.push_str(&format!("&tailLines={}", escape(tail)));
    }
    if let Some(text) = call.get("since") {
        let ago = GoDuration::parse(text).map_err(|why| call.bad_value("since", text, &why))?;
        out.push_str(&format!("&sinceSeconds={}", (ago.0 / 1_000_000_000).max(1)));
    }
    if let Some(time) = call.get("since-time") {
        out.push_str(&format!("&sinceTime={}", escape(time)));
    }
    if let Some(bytes) = call.number::<i64>("limit-bytes")?.filter(|bytes| *bytes > 0) {
        out.push_str(&format!("&limitBytes={bytes}"));
    }
    Ok(out)
}

async fn opened(
    cluster: &Cluster,
    pod: &str,
    container: &str,
    query: &str,
) -> Result<Lines, Failure> {
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}/log?container={}&{query}",
        cluster.namespace,
        escape(pod),
        escape(container)
    );
    let answer = cluster.kube.send(Method::GET, &path, &[("accept", "*/*")], remote::empty()).await;
    let answer = answer.map_err(|e| Failure::kube(format!("read the log of {pod}"), &e))?;
    Ok(Lines::new(answer.into_body()))
}

fn prefix(call: &Call, pod: &str, container: &str) -> String {
    if call.has("prefix") { format!("[pod/{pod}/{container}] ") } else { String::new() }
}

async fn one(
    call: &Call,
    cluster: &Cluster,
    pod: &str,
    container: &str,
    query: &str,
) -> Result<(), Failure> {
    let mut lines = opened(cluster, pod, container, query).await?;
    let failed = |e: remote::Error| Failure::kube(format!("read the log of {pod}"), &e);
    let prefix = prefix(call, pod, container);
    if prefix.is_empty() {
        while let Some(chunk) = lines.chunk().await.map_err(failed)? {
            out::write(&chunk);
        }
        return Ok(());
    }
    while let Some(line) = lines.line().await.map_err(failed)? {
        out::write(&[prefix.as_bytes(), &line, b"\n"].concat());
    }
    Ok(())
}

/// Follows several at once, line by line.
async fn together(
    call: &Call,
    cluster: &Cluster,
    sources: Vec<(String, String)>,
    query: &str,
) -> Result<u8, Failure> {
    let most = call.number::<usize>("max-log-requests")?.unwrap_or(5);
    if sources.len() > most {
        return Err(Failure::plain(format!(
            "error: you are attempting to follow {} log streams, but maximum allowed concurrency is {most}, use --max-log-requests to increase the limit",
            sources.len()
        )));
    }
    let mut tasks = tokio::task::JoinSet::new();
    for (pod, container) in sources {
        let mut lines = opened(cluster, &pod, &container, query).await?;
        let prefix = prefix(call, &pod, &container);
        tasks.spawn(async move {
            // A container that ends ends its part only.
            while let Ok(Some(line)) = lines.line().await {
                out::write(&[prefix.as_bytes(), &line, b"\n"].concat());
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    Ok(0)
}
