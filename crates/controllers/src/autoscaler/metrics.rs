//! Where an autoscaler's numbers come from: objects of the snapshot.
//!
//! - `pods.metrics.k8s.io`: a `PodMetrics` per pod (`containers[].usage`), measured for the plan ([`api::Usage`]);
//! - `metricvalues.custom.metrics.k8s.io`: `MetricValue`s (`describedObject`, `metric.name`, `value`);
//! - `externalmetricvalues.external.metrics.k8s.io`: (`metricName`, `metricLabels`, `value`).

use crate::calls;
use crate::pods::Selector;
use k8s_openapi::api::autoscaling::v2::MetricIdentifier;
use k8s_openapi::api::core::v1::Pod;
use meta::{Quantity, Resource, Value};
use std::collections::BTreeMap;
use store::{Key, View};

/// What a pod, or one container of it, uses; in thousandths. `None` when nobody has measured all of it.
pub(super) fn usage(view: &View, pod: &Pod, container: Option<&str>, of: &str) -> Option<i64> {
    let resource = Resource::new("metrics.k8s.io", "pods");
    let key = Key::new(&resource, calls::namespace(&pod.metadata), calls::name(&pod.metadata));
    let value = view.get(&key)?.value();
    let all = value["containers"].as_array()?;
    let mut named = all.iter().filter(|c| container.is_none_or(|name| c["name"] == name));
    let sum = named.try_fold(0_i64, |sum, c| {
        let used = Quantity::parse(c["usage"][of].as_str()?).ok()?;
        sum.checked_add(used.milli_value())
    });
    let any = all.iter().any(|c| container.is_none_or(|name| c["name"] == name));
    sum.filter(|_| any)
}

/// A metric of one object, in thousandths.
pub(super) fn of_object(
    view: &View,
    namespace: &str,
    (kind, name): (&str, &str),
    metric: &MetricIdentifier,
) -> Option<i64> {
    let resource = Resource::new("custom.metrics.k8s.io", "metricvalues");
    let mut all = view.list(&resource, Some(namespace)).map(|object| object.value());
    let found = all.find(|v| {
        v["describedObject"]["kind"] == kind
            && v["describedObject"]["name"] == name
            && v["metric"]["name"] == metric.name
    })?;
    amount(&found)
}

/// The sum of an external metric's series, in thousandths.
pub(super) fn external(view: &View, namespace: &str, metric: &MetricIdentifier) -> Option<i64> {
    let resource = Resource::new("external.metrics.k8s.io", "externalmetricvalues");
    let selector = metric.selector.as_ref().map(Selector::of_all);
    let labels = |value: &Value| -> BTreeMap<String, String> {
        serde_json::from_value(value["metricLabels"].clone()).unwrap_or_default()
    };
    let series: Vec<i64> = view
        .list(&resource, Some(namespace))
        .map(|object| object.value())
        .filter(|value| value["metricName"] == metric.name)
        .filter(|value| selector.as_ref().is_none_or(|s| s.matches(Some(&labels(value)))))
        .filter_map(|value| amount(&value))
        .collect();
    (!series.is_empty()).then(|| series.into_iter().fold(0, i64::saturating_add))
}

fn amount(value: &Value) -> Option<i64> {
    Some(Quantity::parse(value["value"].as_str()?).ok()?.milli_value())
}
