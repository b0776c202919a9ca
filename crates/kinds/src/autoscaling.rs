//! autoscaling: HorizontalPodAutoscalers, stored as v2, served as v2 and v1.

mod metric;

use crate::core::pod_defaults::{set, set_text};
use crate::row::{Conversion, KindRow, VersionRow};
use crate::rows::{STATUS, version};
use crate::table::{AGE, NAME, age, at, col, list, name, number, plain, text};
use meta::{Time, Value};
use serde_json::json;

pub static HORIZONTAL_POD_AUTOSCALER: KindRow = KindRow::namespaced(
    "autoscaling",
    "HorizontalPodAutoscaler",
    "horizontalpodautoscalers",
    "horizontalpodautoscaler",
    &[
        version("v2", "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler"),
        VersionRow::converted(
            "v1",
            "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
            Conversion { from_stored: to_v1, to_stored: from_v1 },
        ),
    ],
)
.short(&["hpa"])
.categories(&["all"])
.subresources(&[STATUS])
.defaults(default)
.table(
    &[
        NAME,
        col("Reference", "string", ""),
        col("Targets", "string", ""),
        col("MinPods", "string", ""),
        col("MaxPods", "string", ""),
        col("Replicas", "string", ""),
        AGE,
    ],
    cells,
)
.check(crate::check::autoscaling::autoscaler)
.sample(concat!(
    "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: sample}\n",
    "spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}}\n"
));

/// SetDefaults_HorizontalPodAutoscaler.
fn default(v: &mut Value) {
    let v1 = text(v, "apiVersion").ends_with("/v1");
    let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) else { return };
    set(spec, "minReplicas", 1);
    if v1 {
        return;
    }
    if list(spec, "metrics").is_empty() {
        spec["metrics"] = json!([cpu_metric(&json!(80))]);
    }
    let Some(behavior) = spec.get_mut("behavior").filter(|b| b.is_object()) else { return };
    let percent = json!({ "type": "Percent", "value": 100, "periodSeconds": 15 });
    let pods = json!({ "type": "Pods", "value": 4, "periodSeconds": 15 });
    for (way, policies) in [("scaleUp", json!([pods, percent])), ("scaleDown", json!([percent]))] {
        set(behavior, way, json!({}));
        let rules = &mut behavior[way];
        set_text(rules, "selectPolicy", "Max");
        if list(rules, "policies").is_empty() {
            rules["policies"] = policies;
        }
        if way == "scaleUp" {
            set(rules, "stabilizationWindowSeconds", 0);
        }
    }
}

fn cpu_metric(utilization: &Value) -> Value {
    json!({
        "type": "Resource",
        "resource": {
            "name": "cpu",
            "target": { "type": "Utilization", "averageUtilization": utilization },
        },
    })
}

const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

fn is_cpu(metric: &&Value) -> bool {
    text(metric, "resource.name") == "cpu"
        && at(metric, "resource.target.averageUtilization").is_some()
}

/// v1 has the CPU target only; the rest travels in annotations (pkg/apis/autoscaling/v1/conversion.go).
fn to_v1(mut v: Value) -> Value {
    let metrics = list(&v, "spec.metrics").to_vec();
    let cpu = metrics.iter().find(is_cpu).cloned();
    let mut notes = Vec::new();
    let rest: Vec<_> = metrics
        .iter()
        .filter(|m| !is_cpu(m))
        .map(|m| metric::down(m, metric::Side::Target))
        .collect();
    if !rest.is_empty() {
        notes.push((METRICS, Value::from(rest)));
    }
    if let Some(spec) = v.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("metrics");
        notes.extend(spec.remove("behavior").map(|b| (BEHAVIOR, b)));
        if let Some(cpu) = cpu {
            let target = cpu.pointer("/resource/target/averageUtilization").cloned();
            spec.insert("targetCPUUtilizationPercentage".into(), target.unwrap_or_default());
        }
    }
    if let Some(status) = v.get_mut("status").and_then(Value::as_object_mut) {
        notes.extend(status.remove("conditions").map(|c| (CONDITIONS, c)));
        let current = status.remove("currentMetrics").unwrap_or_default();
        let cpu =
            current.as_array().into_iter().flatten().find(|m| text(m, "resource.name") == "cpu");
        if let Some(seen) = cpu.and_then(|m| m.pointer("/resource/current/averageUtilization")) {
            status.insert("currentCPUUtilizationPercentage".into(), seen.clone());
        }
        let all = current.as_array().into_iter().flatten();
        let all: Vec<_> = all.map(|m| metric::down(m, metric::Side::Current)).collect();
        if !all.is_empty() {
            notes.push((CURRENT, all.into()));
        }
    }
    for (key, value) in notes {
        v["metadata"]["annotations"][key] = value.to_string().into();
    }
    v
}

fn from_v1(mut v: Value) -> Value {
    let mut note = |key: &str| -> Option<Value> {
        let notes = v.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)?;
        let text = notes.remove(key)?;
        serde_json::from_str(text.as_str()?).ok()
    };
    let (metrics, conditions, behavior) = (note(METRICS), note(CONDITIONS), note(BEHAVIOR));
    let current = note(CURRENT);
    let up = |all: Option<Value>, side: metric::Side| -> Vec<Value> {
        let all = all.as_ref().and_then(Value::as_array);
        all.into_iter().flatten().map(|m| metric::up(m, side)).collect()
    };
    let empty =
        at(&v, "metadata.annotations").and_then(Value::as_object).is_some_and(|a| a.is_empty());
    if let (true, Some(metadata)) = (empty, v["metadata"].as_object_mut()) {
        metadata.remove("annotations");
    }
    let mut all = up(metrics, metric::Side::Target);
    let seen = up(current, metric::Side::Current);
    if let Some(spec) = v.get_mut("spec").and_then(Value::as_object_mut) {
        if let Some(target) = spec.remove("targetCPUUtilizationPercentage") {
            all.insert(0, cpu_metric(&target));
        }
        if !all.is_empty() {
            spec.insert("metrics".into(), all.into());
        }
        if let Some(behavior) = behavior {
            spec.insert("behavior".into(), behavior);
        }
    }
    if let Some(status) = v.get_mut("status").and_then(Value::as_object_mut) {
        if let Some(percent) = status.remove("currentCPUUtilizationPercentage") {
            let current = json!({ "averageUtilization": percent, "averageValue": "0" });
            let metric =
                json!({ "type": "Resource", "resource": { "name": "cpu", "current": current } });
            status.insert("currentMetrics".into(), json!([metric]));
        }
        if !seen.is_empty() {
            status.insert("currentMetrics".into(), seen.into());
        }
        if let Some(conditions) = conditions {
            status.insert("conditions".into(), conditions);
        }
    }
    default(&mut v);
    v
}

fn cells(v: &Value, now: Time) -> Vec<Value> {
    let target =
        format!("{}/{}", text(v, "spec.scaleTargetRef.kind"), text(v, "spec.scaleTargetRef.name"));
    let min = at(v, "spec.minReplicas").map_or("<unset>".into(), plain);
    vec![
        name(v),
        target.into(),
        targets(v).into(),
        min.into(),
        number(v, "spec.maxReplicas"),
        number(v, "status.currentReplicas"),
        age(v, now),
    ]
}

/// formatHPAMetrics: at most two, then how many more.
fn targets(v: &Value) -> String {
    let specs = list(v, "spec.metrics");
    if specs.is_empty() {
        return "<none>".into();
    }
    let seen = list(v, "status.currentMetrics");
    let all: Vec<_> = specs.iter().enumerate().map(|(i, spec)| target(spec, seen.get(i))).collect();
    match all.len() {
        0..=2 => all.join(", "),
        n => format!("{} + {} more...", all[..2].join(", "), n - 2),
    }
}

fn target(spec: &Value, seen: Option<&Value>) -> String {
    let (path, named) = match text(spec, "type").as_str() {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "ContainerResource" => ("containerResource", true),
        _ => ("resource", true),
    };
    let wanted = |key: &str| at(spec, &format!("{path}.target.{key}")).map(plain);
    let current = |key: &str| seen.and_then(|s| at(s, &format!("{path}.current.{key}"))).map(plain);
    let unknown = || "<unknown>".to_string();
    if named {
        let label = text(spec, &format!("{path}.name"));
        if let Some(value) = wanted("averageValue") {
            return format!("{label}: {}/{value}", current("averageValue").unwrap_or_else(unknown));
        }
        let seen = current("averageUtilization").map_or_else(unknown, |n| format!("{n}%"));
        let goal = wanted("averageUtilization").map_or("<auto>".into(), |n| format!("{n}%"));
        return format!("{label}: {seen}/{goal}");
    }
    match (wanted("averageValue"), path) {
        (Some(value), "pods") => {
            format!("{}/{value}", current("averageValue").unwrap_or_else(unknown))
        }
        (Some(value), _) => {
            format!("{}/{value} (avg)", current("averageValue").unwrap_or_else(unknown))
        }
        (None, _) => {
            format!(
                "{}/{}",
                current("value").unwrap_or_else(unknown),
                wanted("value").unwrap_or_default()
            )
        }
    }
}
