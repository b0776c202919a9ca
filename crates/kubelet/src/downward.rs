//! The downward API (pkg/fieldpath/fieldpath.go, pkg/api/v1/resource/helpers.go).

use crate::env::Sources;
use k8s_openapi::api::core::v1::{Container, ResourceFieldSelector};
use meta::Quantity;
use std::collections::BTreeMap;

/// The value of a pod's field as text.
///
/// # Errors
/// When the path names no field that may be read.
pub fn field(path: &str, sources: &Sources<'_>) -> Result<String, String> {
    let metadata = &sources.pod.metadata;
    let spec = sources.pod.spec.as_ref();
    if let Some((map, key)) = subscript(path) {
        let labels =
            if map == "metadata.labels" { &metadata.labels } else { &metadata.annotations };
        return Ok(labels.as_ref().and_then(|m| m.get(key)).cloned().unwrap_or_default());
    }
    let text = |value: Option<&String>| Ok(value.cloned().unwrap_or_default());
    match path {
        "metadata.name" => text(metadata.name.as_ref()),
        "metadata.namespace" => text(metadata.namespace.as_ref()),
        "metadata.uid" => text(metadata.uid.as_ref()),
        "metadata.labels" => Ok(map_text(metadata.labels.as_ref())),
        "metadata.annotations" => Ok(map_text(metadata.annotations.as_ref())),
        "spec.nodeName" => Ok(sources.policy.node_name.clone()),
        "spec.serviceAccountName" => text(spec.and_then(|s| s.service_account_name.as_ref())),
        "status.hostIP" => text(sources.policy.host_ips.first()),
        "status.hostIPs" => Ok(sources.policy.host_ips.join(",")),
        "status.podIP" => text(sources.pod_ips.first()),
        "status.podIPs" => Ok(sources.pod_ips.join(",")),
        _ => Err(format!("unsupported fieldPath: {path}")),
    }
}

/// `metadata.labels['key']`
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once("['")?;
    let key = rest.strip_suffix("']")?;
    matches!(map, "metadata.labels" | "metadata.annotations").then_some((map, key))
}

/// One `key="escaped value"` per line, sorted.
fn map_text(map: Option<&BTreeMap<String, String>>) -> String {
    let lines = map.into_iter().flatten().map(|(k, v)| format!("{k}={}", quoted(v)));
    lines.collect::<Vec<_>>().join("\n")
}

/// As Go's `%q`.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A container's limit or request, divided and rounded up. Limits that are not set are what the node has to give.
///
/// # Errors
/// When the selector names no resource that may be read.
pub fn resource(
    selector: &ResourceFieldSelector,
    own: &Container,
    sources: &Sources<'_>,
) -> Result<String, String> {
    let container = match selector.container_name.as_deref() {
        None | Some("") => own,
        Some(name) => find(name, sources).ok_or_else(|| format!("container {name} not found"))?,
    };
    let resources = container.resources.clone().unwrap_or_default();
    let get = |map: &Option<BTreeMap<String, _>>, name: &str| -> Option<Quantity> {
        let written: &k8s_openapi::apimachinery::pkg::api::resource::Quantity =
            map.as_ref()?.get(name)?;
        Quantity::parse(&written.0).ok()
    };
    let (kind, name) = selector
        .resource
        .split_once('.')
        .ok_or_else(|| format!("unsupported container resource : {}", selector.resource))?;
    let amount = match kind {
        "limits" => get(&resources.limits, name).or_else(|| allocatable(name, sources)),
        "requests" => get(&resources.requests, name).or_else(|| get(&resources.limits, name)),
        _ => return Err(format!("unsupported container resource : {}", selector.resource)),
    };
    let divisor = selector.divisor.as_ref().and_then(|d| Quantity::parse(&d.0).ok());
    Ok(divided(amount, divisor, name).to_string())
}

fn find<'a>(name: &str, sources: &Sources<'a>) -> Option<&'a Container> {
    let spec = sources.pod.spec.as_ref()?;
    spec.containers.iter().chain(spec.init_containers.iter().flatten()).find(|c| c.name == name)
}

fn allocatable(name: &str, sources: &Sources<'_>) -> Option<Quantity> {
    use meta::QuantityFormat::{BinarySi, DecimalSi};
    match name {
        "cpu" => Some(Quantity::milli(sources.policy.allocatable_cpu_milli, DecimalSi)),
        "memory" => Some(Quantity::new(sources.policy.allocatable_memory, BinarySi)),
        _ => None,
    }
}

/// CPU counts in thousandths so that `divisor: 1m` gives millicores.
fn divided(amount: Option<Quantity>, divisor: Option<Quantity>, name: &str) -> i64 {
    let Some(amount) = amount else { return 0 };
    let by = |of: fn(&Quantity) -> i64, default: i64| {
        let divisor = divisor.as_ref().map(of).filter(|d| *d > 0).unwrap_or(default);
        (of(&amount) + divisor - 1) / divisor
    };
    if name == "cpu" { by(Quantity::milli_value, 1000) } else { by(Quantity::value, 1) }
}
