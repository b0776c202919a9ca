//! `PodMetrics` and `NodeMetrics` as metrics-server spells them (`pkg/api/pod.go`, `pkg/storage/types.go`).

use super::{ContainerUse, NodeUse};
use crate::meter::samples::Rate;
use k8s_openapi::api::core::v1::{Node, Pod};
use meta::{Time, Value};
use serde_json::json;
use std::collections::BTreeMap;
use store::View;
use typed::Read;

/// Pods whose running containers have all been measured.
pub(crate) fn pods(view: &View, all: &[ContainerUse]) -> Vec<Value> {
    let mut by_pod: BTreeMap<&str, Vec<&ContainerUse>> = BTreeMap::new();
    for one in all {
        by_pod.entry(&one.uid).or_default().push(one);
    }
    by_pod.values().filter_map(|containers| pod(view, containers)).collect()
}

fn pod(view: &View, containers: &[&ContainerUse]) -> Option<Value> {
    let first = containers.first()?;
    let pod = view.read::<Pod>(&first.namespace, &first.pod)?;
    if pod.metadata.uid.as_deref() != Some(&first.uid) {
        return None;
    }
    let measured: Option<Vec<(Rate, Value)>> = containers.iter().map(|c| container(c)).collect();
    let measured = measured?;
    let window = measured.iter().map(|(rate, _)| rate.window).max()?;
    let at = containers.iter().map(|c| Time(c.stats.at / 1000)).min()?;
    let metadata = json!({
        "name": first.pod,
        "namespace": first.namespace,
        "creationTimestamp": at.rfc3339(),
        "labels": pod.metadata.labels,
    });
    Some(json!({
        "apiVersion": "metrics.k8s.io/v1beta1",
        "kind": "PodMetrics",
        "metadata": without_nulls(metadata),
        "timestamp": at.rfc3339(),
        "window": duration(window),
        "containers": measured.into_iter().map(|(_, value)| value).collect::<Vec<_>>(),
    }))
}

fn container(one: &ContainerUse) -> Option<(Rate, Value)> {
    let rate = one.rate?;
    let usage = usage(rate, one.stats.memory.working_set);
    Some((rate, json!({ "name": one.container, "usage": usage })))
}

/// The node itself, when it has been measured.
pub(crate) fn node(view: &View, name: &str, used: &NodeUse) -> Option<Value> {
    let node = view.read::<Node>("", name)?;
    let rate = used.rate?;
    let at = used.sample.at;
    let metadata = json!({
        "name": name,
        "creationTimestamp": at.rfc3339(),
        "labels": node.metadata.labels,
    });
    Some(json!({
        "apiVersion": "metrics.k8s.io/v1beta1",
        "kind": "NodeMetrics",
        "metadata": without_nulls(metadata),
        "timestamp": at.rfc3339(),
        "window": duration(rate.window),
        "usage": usage(rate, used.working_set),
    }))
}

fn usage(rate: Rate, working_set: u64) -> Value {
    json!({
        "cpu": format!("{}n", rate.nanos_per_sec),
        "memory": format!("{}Ki", working_set / 1024),
    })
}

/// `15.034s`, as Go prints durations.
fn duration(window: std::time::Duration) -> String {
    let ms = window.as_millis();
    let (secs, rest) = (ms / 1000, ms % 1000);
    match secs {
        60.. => format!("{}m{}s", secs / 60, secs % 60),
        0 => format!("{rest}ms"),
        _ => {
            let text = format!("{secs}.{rest:03}");
            format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
        }
    }
}

fn without_nulls(mut value: Value) -> Value {
    if let Some(map) = value.as_object_mut() {
        map.retain(|_, v| !v.is_null());
    }
    value
}

#[cfg(test)]
mod tests {
    use super::duration;
    use std::time::Duration;

    #[test]
    fn windows_read_as_go_durations() {
        let cases = [(15_034, "15.034s"), (200, "200ms"), (20_000, "20s"), (60_000, "1m0s")];
        for (ms, text) in cases {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }
}
