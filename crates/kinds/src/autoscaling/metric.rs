//! Metrics of HorizontalPodAutoscalers between v2 and the v1 form that v1 keeps in annotations
//! (`pkg/apis/autoscaling/v1/conversion.go`).

use crate::table::{at, text};
use meta::{Map, Value};
use serde_json::json;

/// Whether a metric says what is wanted or what is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Target,
    Current,
}

impl Side {
    const fn word(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Current => "current",
        }
    }
}

/// The member that a metric of a type has.
fn member(metric: &Value) -> &'static str {
    match text(metric, "type").as_str() {
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        _ => "resource",
    }
}

/// `(path in v2, name in v1)`; `{}` in a name is the side's word.
fn names(member: &str) -> &'static [(&'static str, &'static str)] {
    match member {
        "pods" => &[
            ("metric.name", "metricName"),
            ("metric.selector", "selector"),
            ("{}.averageValue", "{}AverageValue"),
        ],
        "object" => &[
            ("describedObject", "target"),
            ("metric.name", "metricName"),
            ("metric.selector", "selector"),
            ("{}.value", "{}Value"),
            ("{}.averageValue", "averageValue"),
        ],
        "external" => &[
            ("metric.name", "metricName"),
            ("metric.selector", "metricSelector"),
            ("{}.value", "{}Value"),
            ("{}.averageValue", "{}AverageValue"),
        ],
        _ => &[
            ("name", "name"),
            ("container", "container"),
            ("{}.averageUtilization", "{}AverageUtilization"),
            ("{}.averageValue", "{}AverageValue"),
        ],
    }
}

/// v2 to v1.
pub(super) fn down(metric: &Value, side: Side) -> Value {
    let member = member(metric);
    let mut inner = Map::new();
    for (path, name) in names(member) {
        let fill = |text: &str| text.replace("{}", side.word());
        if let Some(value) = at(&metric[member], &fill(path)) {
            inner.insert(fill(name), value.clone());
        }
    }
    // Not optional in v1.
    if member == "object" {
        inner.entry(format!("{}Value", side.word())).or_insert_with(|| "0".into());
    }
    json!({ "type": text(metric, "type"), member: inner })
}

/// v1 to v2.
pub(super) fn up(metric: &Value, side: Side) -> Value {
    let member = member(metric);
    let word = side.word();
    let mut inner = json!({ word: {} });
    let averaged = metric[member].get("averageValue").is_some();
    for (path, name) in names(member) {
        let fill = |text: &str| text.replace("{}", word);
        let Some(value) = metric[member].get(fill(name)).filter(|v| !v.is_null()) else { continue };
        if member == "object" && averaged && *path == "{}.value" {
            continue;
        }
        match fill(path).split_once('.') {
            Some((outer, key)) => inner[outer][key] = value.clone(),
            None => inner[*path] = value.clone(),
        }
    }
    if side == Side::Target {
        let kind = ["averageUtilization", "averageValue"]
            .into_iter()
            .zip(["Utilization", "AverageValue"])
            .find(|(key, _)| inner[word].get(key).is_some());
        inner[word]["type"] = kind.map_or("Value", |(_, kind)| kind).into();
    }
    json!({ "type": text(metric, "type"), member: inner })
}

#[cfg(test)]
mod tests {
    use super::{Side, down, up};
    use serde_json::json;

    #[test]
    fn metrics_survive_v1_in_its_own_words() {
        let cases = [
            (
                json!({ "type": "Resource", "resource": { "name": "memory", "target": { "type": "Utilization", "averageUtilization": 50 } } }),
                json!({ "type": "Resource", "resource": { "name": "memory", "targetAverageUtilization": 50 } }),
            ),
            (
                json!({ "type": "Pods", "pods": { "metric": { "name": "qps", "selector": { "matchLabels": { "a": "b" } } }, "target": { "type": "AverageValue", "averageValue": "10" } } }),
                json!({ "type": "Pods", "pods": { "metricName": "qps", "selector": { "matchLabels": { "a": "b" } }, "targetAverageValue": "10" } }),
            ),
            (
                json!({ "type": "Object", "object": { "describedObject": { "kind": "Ingress", "name": "i" }, "metric": { "name": "hits" }, "target": { "type": "AverageValue", "averageValue": "3" } } }),
                json!({ "type": "Object", "object": { "target": { "kind": "Ingress", "name": "i" }, "metricName": "hits", "targetValue": "0", "averageValue": "3" } }),
            ),
            (
                json!({ "type": "External", "external": { "metric": { "name": "queue" }, "target": { "type": "Value", "value": "7" } } }),
                json!({ "type": "External", "external": { "metricName": "queue", "targetValue": "7" } }),
            ),
        ];
        for (v2, v1) in cases {
            assert_eq!(down(&v2, Side::Target), v1);
            assert_eq!(up(&v1, Side::Target), v2);
        }
        let seen = json!({ "type": "Resource", "resource": { "name": "cpu", "current": { "averageUtilization": 9, "averageValue": "5m" } } });
        assert_eq!(up(&down(&seen, Side::Current), Side::Current), seen);
    }
}
