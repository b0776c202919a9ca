//! From metrics to a number of replicas (replica_calculator.go).

use super::{Failure, Work, metrics};
use crate::{calls, pods};
use k8s_openapi::api::autoscaling::v2::{MetricSpec, MetricTarget};
use k8s_openapi::api::core::v1::{Container, Pod};
use meta::{Quantity, QuantityFormat, Value};
use serde_json::json;

/// `horizontal-pod-autoscaler-tolerance`
const TOLERANCE: f64 = 0.1;
/// `horizontal-pod-autoscaler-cpu-initialization-period`
const CPU_START_SECS: i64 = 300;

/// A proposal and the status of the metric it comes from.
struct Proposal {
    replicas: i32,
    status: Value,
    name: String,
}

/// The largest proposal of all metrics. When some fail, the others may only scale up
/// (`computeReplicasForMetrics`).
pub(super) fn all(work: &Work<'_>, status: &mut Value) -> Result<(i32, String), Failure> {
    let mut best: Option<Proposal> = None;
    let mut failure = None;
    let mut seen = Vec::new();
    for metric in work.spec.metrics.iter().flatten() {
        match one(work, metric) {
            Ok(proposal) => {
                seen.push(proposal.status.clone());
                if best.as_ref().is_none_or(|b| proposal.replicas > b.replicas) {
                    best = Some(proposal);
                }
            }
            Err(cause) => failure = failure.or(Some(cause)),
        }
    }
    status["currentMetrics"] = seen.into();
    let nothing = || ("InvalidMetricSourceType", "the autoscaler names no metric".into());
    let best = match (best, failure) {
        (None, failure) => return Err(failure.unwrap_or_else(nothing)),
        (Some(best), Some(failure)) if best.replicas <= work.target.wanted => {
            return Err(failure);
        }
        (Some(best), _) => best,
    };
    Ok((best.replicas, best.name))
}

fn one(work: &Work<'_>, metric: &MetricSpec) -> Result<Proposal, Failure> {
    match metric.type_.as_str() {
        "Resource" => {
            let source = metric.resource.as_ref().ok_or_else(unspecified)?;
            of_resource(work, &source.name, None, &source.target)
        }
        "ContainerResource" => {
            let source = metric.container_resource.as_ref().ok_or_else(unspecified)?;
            of_resource(work, &source.name, Some(&source.container), &source.target)
        }
        "Pods" => of_pods(work, metric),
        "Object" => of_object(work, metric),
        "External" => of_external(work, metric),
        other => Err(("InvalidMetricSourceType", format!("unknown metric source type {other:?}"))),
    }
}

fn unspecified() -> Failure {
    ("InvalidMetricSourceType", "the metric's source is missing".into())
}

fn milli(target: &Option<k8s_openapi::apimachinery::pkg::api::resource::Quantity>) -> Option<i64> {
    Some(Quantity::parse(&target.as_ref()?.0).ok()?.milli_value())
}

fn written(milli: i64) -> String {
    Quantity::milli(milli, QuantityFormat::DecimalSi).to_string()
}

// === pods ===

/// What is known of the pods behind a metric (`groupPods`).
#[derive(Default)]
struct Measured {
    /// Usage and weight (what the pod asks for, or one) of pods that count.
    ready: Vec<(i64, i64)>,
    /// Weights of pods that start, and of pods nobody has measured.
    unready: Vec<i64>,
    missing: Vec<i64>,
}

fn measure(
    work: &Work<'_>,
    starts_slowly: impl Fn(&Pod) -> bool,
    read: impl Fn(&Pod) -> Option<i64>,
    weigh: impl Fn(&Pod) -> Result<i64, Failure>,
) -> Result<Measured, Failure> {
    let namespace = calls::namespace(&work.hpa.metadata);
    let mut out = Measured::default();
    let all = pods::selected(work.view, namespace, &work.target.selector);
    for pod in all.iter().filter(|pod| pods::is_active(pod)) {
        let weight = weigh(pod)?;
        match read(pod) {
            _ if pods::phase(pod) == "Pending" || starts_slowly(pod) => out.unready.push(weight),
            Some(usage) => out.ready.push((usage, weight)),
            None => out.missing.push(weight),
        }
    }
    Ok(out)
}

/// A pod that is not ready yet, or was measured while it started, says nothing about CPU.
fn starts(work: &Work<'_>, pod: &Pod) -> bool {
    let started = pod.status.as_ref().and_then(|s| s.start_time.as_ref()).map(typed::time);
    let young = started.is_none_or(|at| at.plus_secs(CPU_START_SECS) > work.now);
    young && !pods::is_ready(pod)
}

/// Replicas so that usage per weight meets `target`; pods that are not measured are assumed to hold back
/// whatever is decided (`GetResourceReplicas`, `calcPlainMetricReplicas`).
fn replicas(work: &Work<'_>, measured: &Measured, target: f64) -> Option<(i32, f64)> {
    let current = work.target.wanted;
    let ratio_of = |pods: &[(i64, i64)]| {
        let usage: i64 = pods.iter().map(|(usage, _)| usage).sum();
        let weight: i64 = pods.iter().map(|(_, weight)| weight).sum();
        (weight > 0).then(|| usage as f64 / weight as f64)
    };
    let average = ratio_of(&measured.ready)?;
    let ratio = average / target;
    let all_known = measured.missing.is_empty() && (measured.unready.is_empty() || ratio <= 1.0);
    if all_known {
        let wanted = (ratio * measured.ready.len() as f64).ceil() as i32;
        return Some((if is_close(ratio) { current } else { wanted }, average));
    }
    let mut assumed = measured.ready.clone();
    if ratio < 1.0 {
        let full = |weight: &i64| ((*weight as f64 * target.max(1.0)) as i64, *weight);
        assumed.extend(measured.missing.iter().map(full));
    } else {
        assumed.extend(measured.missing.iter().map(|weight| (0, *weight)));
        assumed.extend(measured.unready.iter().map(|weight| (0, *weight)));
    }
    let again = ratio_of(&assumed)? / target;
    let wanted = (again * assumed.len() as f64).ceil() as i32;
    let turned = (ratio < 1.0 && again > 1.0) || (ratio > 1.0 && again < 1.0);
    let backwards = (again < 1.0 && wanted > current) || (again > 1.0 && wanted < current);
    let stays = is_close(again) || turned || backwards;
    Some((if stays { current } else { wanted }, average))
}

fn is_close(ratio: f64) -> bool {
    (1.0 - ratio).abs() <= TOLERANCE
}

fn of_resource(
    work: &Work<'_>,
    resource: &str,
    container: Option<&str>,
    target: &MetricTarget,
) -> Result<Proposal, Failure> {
    let reason = match container {
        None => "FailedGetResourceMetric",
        Some(_) => "FailedGetContainerResourceMetric",
    };
    let failed = |why: &str| (reason, format!("failed to get {resource} utilization: {why}"));
    let read = |pod: &Pod| metrics::usage(work.view, pod, container, resource);
    let slow = |pod: &Pod| resource == "cpu" && starts(work, pod);
    let (measured, goal) = match (target.average_utilization, milli(&target.average_value)) {
        (Some(percent), _) => {
            let weigh = |pod: &Pod| {
                requested(pod, container, resource).ok_or_else(|| {
                    let name = calls::name(&pod.metadata);
                    failed(&format!("missing request for {resource} in pod {name}"))
                })
            };
            (measure(work, slow, read, weigh)?, f64::from(percent) / 100.0)
        }
        (None, Some(value)) => (measure(work, slow, read, |_| Ok(1))?, value as f64),
        (None, None) => return Err(unspecified()),
    };
    let (replicas, average) = replicas(work, &measured, goal)
        .ok_or_else(|| failed("no metrics returned from resource metrics API"))?;
    let used: i64 = measured.ready.iter().map(|(usage, _)| usage).sum();
    let each = used / i64::try_from(measured.ready.len().max(1)).unwrap_or(1);
    let mut current = json!({ "averageValue": written(each) });
    if target.average_utilization.is_some() {
        current["averageUtilization"] = ((average * 100.0) as i64).into();
    }
    let mut status = json!({ "name": resource, "current": current });
    let (kind, field) = match container {
        None => ("Resource", "resource"),
        Some(name) => {
            status["container"] = name.into();
            ("ContainerResource", "containerResource")
        }
    };
    let status = json!({ "type": kind, field: status });
    let what = if target.average_utilization.is_some() { "utilization" } else { "usage" };
    let name = match container {
        None => format!("{resource} resource {what} (percentage of request)"),
        Some(_) => format!("{resource} container resource {what} (percentage of request)"),
    };
    Ok(Proposal { replicas, status, name })
}

/// What a pod asks for, in thousandths; `None` when one of its containers does not say.
fn requested(pod: &Pod, container: Option<&str>, resource: &str) -> Option<i64> {
    let of = |c: &Container| {
        let asked = c.resources.as_ref()?.requests.as_ref()?.get(resource)?;
        Some(Quantity::parse(&asked.0).ok()?.milli_value())
    };
    let all = &pod.spec.as_ref()?.containers;
    let mut named = all.iter().filter(|c| container.is_none_or(|name| c.name == name));
    named.try_fold(0_i64, |sum, c| sum.checked_add(of(c)?)).filter(|sum| *sum > 0)
}

fn of_pods(work: &Work<'_>, metric: &MetricSpec) -> Result<Proposal, Failure> {
    let source = metric.pods.as_ref().ok_or_else(unspecified)?;
    let goal = milli(&source.target.average_value).ok_or_else(unspecified)?;
    let namespace = calls::namespace(&work.hpa.metadata);
    let read = |pod: &Pod| {
        let about = ("Pod", calls::name(&pod.metadata));
        metrics::of_object(work.view, namespace, about, &source.metric)
    };
    let measured = measure(work, |_| false, read, |_| Ok(1))?;
    let name = &source.metric.name;
    let (replicas, average) = replicas(work, &measured, goal as f64).ok_or_else(|| {
        let why = "no metrics returned from custom metrics API";
        ("FailedGetPodsMetric", format!("unable to get metric {name}: {why}"))
    })?;
    let current = json!({ "averageValue": written(average as i64) });
    let status = json!({ "type": "Pods", "pods": { "metric": source.metric, "current": current } });
    Ok(Proposal { replicas, status, name: format!("pods metric {name}") })
}

// === one number for all ===

/// A value is compared as it is, an average after division by the replicas.
fn by_value(work: &Work<'_>, target: &MetricTarget, value: i64) -> Result<i32, Failure> {
    let current = work.target.wanted;
    if let Some(goal) = milli(&target.average_value) {
        let ratio = value as f64 / (goal as f64 * f64::from(current.max(1)));
        let wanted = (value as f64 / goal as f64).ceil() as i32;
        return Ok(if is_close(ratio) { current } else { wanted });
    }
    let goal = milli(&target.value).ok_or_else(unspecified)?;
    let ratio = value as f64 / goal as f64;
    let namespace = calls::namespace(&work.hpa.metadata);
    let all = pods::selected(work.view, namespace, &work.target.selector);
    let ready = all.iter().filter(|pod| pods::is_ready(pod)).count();
    let wanted = (ratio * ready as f64).ceil() as i32;
    Ok(if is_close(ratio) { current } else { wanted })
}

fn said(work: &Work<'_>, target: &MetricTarget, value: i64) -> Value {
    if target.average_value.is_some() {
        let each = value / i64::from(work.target.counted.max(1));
        return json!({ "averageValue": written(each) });
    }
    json!({ "value": written(value) })
}

fn of_object(work: &Work<'_>, metric: &MetricSpec) -> Result<Proposal, Failure> {
    let source = metric.object.as_ref().ok_or_else(unspecified)?;
    let about = &source.described_object;
    let namespace = calls::namespace(&work.hpa.metadata);
    let name = &source.metric.name;
    let value =
        metrics::of_object(work.view, namespace, (&about.kind, &about.name), &source.metric);
    let value = value.ok_or_else(|| {
        let what = format!("{} on {} {}", name, about.kind, about.name);
        ("FailedGetObjectMetric", format!("unable to get metric {what}: no metrics returned"))
    })?;
    let current = said(work, &source.target, value);
    let status = json!({ "metric": source.metric, "describedObject": about, "current": current });
    Ok(Proposal {
        replicas: by_value(work, &source.target, value)?,
        status: json!({ "type": "Object", "object": status }),
        name: format!("{} metric {name}", about.kind),
    })
}

fn of_external(work: &Work<'_>, metric: &MetricSpec) -> Result<Proposal, Failure> {
    let source = metric.external.as_ref().ok_or_else(unspecified)?;
    let namespace = calls::namespace(&work.hpa.metadata);
    let name = &source.metric.name;
    let value = metrics::external(work.view, namespace, &source.metric).ok_or_else(|| {
        let why = "no metrics returned from external metrics API";
        let message = format!("unable to get external metric {namespace}/{name}: {why}");
        ("FailedGetExternalMetric", message)
    })?;
    let current = said(work, &source.target, value);
    let status = json!({ "metric": source.metric, "current": current });
    Ok(Proposal {
        replicas: by_value(work, &source.target, value)?,
        status: json!({ "type": "External", "external": status }),
        name: format!("external metric {name}(nil)"),
    })
}
