//! What one object uses (pkg/quota/v1/evaluator/core/{pods,services,persistent_volume_claims}.go).

use k8s_openapi::api::core::v1::ResourceQuotaSpec;
use meta::{Quantity, QuantityFormat, Resource, Value};
use std::collections::BTreeMap;

/// Which objects a quota is about.
pub(super) struct Scopes(Vec<(String, String, Vec<String>)>);

impl Scopes {
    pub fn of(spec: &ResourceQuotaSpec) -> Self {
        let plain = spec.scopes.iter().flatten().map(|s| (s.clone(), "Exists".into(), Vec::new()));
        let selected =
            spec.scope_selector.iter().flat_map(|s| s.match_expressions.iter().flatten());
        let selected = selected.map(|e| {
            (e.scope_name.clone(), e.operator.clone(), e.values.clone().unwrap_or_default())
        });
        Self(plain.chain(selected).collect())
    }

    /// Scopes are about pods; of claims only their class.
    fn hold(&self, resource: &Resource, object: &Value) -> bool {
        self.0.iter().all(|(scope, operator, values)| match resource.as_str() {
            "pods" => pod_in_scope(object, scope, operator, values),
            "persistentvolumeclaims" if scope == "VolumeAttributesClass" => {
                let class = text(object, "/spec/volumeAttributesClassName");
                named(class, operator, values)
            }
            _ => false,
        })
    }
}

fn pod_in_scope(pod: &Value, scope: &str, operator: &str, values: &[String]) -> bool {
    let ends = pod.pointer("/spec/activeDeadlineSeconds").and_then(Value::as_i64);
    let terminating = ends.is_some_and(|secs| secs >= 0);
    let effort = || text(pod, "/status/qosClass") == "BestEffort" || asks_for_nothing(pod);
    match scope {
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "BestEffort" => effort(),
        "NotBestEffort" => !effort(),
        "PriorityClass" => named(text(pod, "/spec/priorityClassName"), operator, values),
        "CrossNamespacePodAffinity" => crosses_namespaces(pod),
        _ => false,
    }
}

fn named(name: &str, operator: &str, values: &[String]) -> bool {
    let among = values.iter().any(|value| value == name);
    match operator {
        "Exists" => !name.is_empty(),
        "DoesNotExist" => name.is_empty(),
        "In" => among,
        "NotIn" => !among,
        _ => false,
    }
}

fn asks_for_nothing(pod: &Value) -> bool {
    let empty = |container: &Value, kind: &str| {
        let map = container.pointer(&format!("/resources/{kind}")).and_then(Value::as_object);
        map.is_none_or(|m| !m.contains_key("cpu") && !m.contains_key("memory"))
    };
    containers(pod).all(|c| empty(c, "requests") && empty(c, "limits"))
}

fn crosses_namespaces(pod: &Value) -> bool {
    let terms = ["podAffinity", "podAntiAffinity"].into_iter().flat_map(|kind| {
        let base = format!("/spec/affinity/{kind}");
        let required = list(pod, &format!("{base}/requiredDuringSchedulingIgnoredDuringExecution"));
        let weighted =
            list(pod, &format!("{base}/preferredDuringSchedulingIgnoredDuringExecution"));
        let weighted = weighted.iter().map(|term| &term["podAffinityTerm"]);
        required.iter().chain(weighted).collect::<Vec<_>>()
    });
    let mut terms = terms;
    terms.any(|term| !list(term, "/namespaces").is_empty() || term["namespaceSelector"].is_object())
}

fn text<'a>(value: &'a Value, at: &str) -> &'a str {
    value.pointer(at).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, at: &str) -> &'a [Value] {
    value.pointer(at).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    list(pod, "/spec/initContainers").iter().chain(list(pod, "/spec/containers"))
}

/// The resource whose objects use up a name that is no `count/`.
pub(super) fn measured_on(name: &str) -> &str {
    match name {
        "services.nodeports" | "services.loadbalancers" => "services",
        "requests.storage" => "persistentvolumeclaims",
        "services"
        | "replicationcontrollers"
        | "resourcequotas"
        | "secrets"
        | "configmaps"
        | "persistentvolumeclaims" => name,
        _ if name.contains("storageclass.storage.k8s.io/") => "persistentvolumeclaims",
        _ => "pods",
    }
}

/// Adds what `object` uses to the names that are asked for.
pub(super) fn count(
    resource: &Resource,
    object: &Value,
    scopes: &Scopes,
    used: &mut BTreeMap<&str, Quantity>,
) {
    if !scopes.hold(resource, object) {
        return;
    }
    let counted = format!("count/{}", resource.as_str());
    for (name, amount) in used.iter_mut() {
        let one = || Some(Quantity::new(1, QuantityFormat::DecimalSi));
        let more = match **name == *counted {
            true => one(),
            false if name.starts_with("count/") => None,
            false if measured_on(name) != resource.as_str() => None,
            false => match resource.as_str() {
                "pods" => of_pod(object, name),
                "services" => of_service(object, name),
                "persistentvolumeclaims" => of_claim(object, name),
                _ => one(),
            },
        };
        if let Some(more) = more {
            // The first amount decides how the sum is written.
            if amount.is_zero() { *amount = more } else { amount.add(&more) }
        }
    }
}

fn of_service(service: &Value, name: &str) -> Option<Quantity> {
    let kind = text(service, "/spec/type");
    let ports = list(service, "/spec/ports");
    let numbered = ports.iter().filter(|p| p["nodePort"].as_i64().unwrap_or(0) > 0).count();
    let promised = match service.pointer("/spec/allocateLoadBalancerNodePorts") {
        Some(Value::Bool(false)) => numbered,
        _ => ports.len(),
    };
    let count = match (name, kind) {
        ("services", _) | ("services.loadbalancers", "LoadBalancer") => 1,
        ("services.nodeports", "NodePort") => ports.len(),
        ("services.nodeports", "LoadBalancer") => promised,
        _ => return None,
    };
    Some(Quantity::new(i64::try_from(count).ok()?, QuantityFormat::DecimalSi))
}

fn of_claim(claim: &Value, name: &str) -> Option<Quantity> {
    let asked = || Quantity::parse(text(claim, "/spec/resources/requests/storage")).ok();
    let one = Quantity::new(1, QuantityFormat::DecimalSi);
    match name.split_once(".storageclass.storage.k8s.io/") {
        Some((class, rest)) if class == text(claim, "/spec/storageClassName") => match rest {
            "requests.storage" => asked(),
            "persistentvolumeclaims" => Some(one),
            _ => None,
        },
        Some(_) => None,
        None if name == "requests.storage" => asked(),
        None => Some(one),
    }
}

/// Pods that have ended use nothing but their own number.
fn of_pod(pod: &Value, name: &str) -> Option<Quantity> {
    if matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
        return None;
    }
    if name == "pods" {
        return Some(Quantity::new(1, QuantityFormat::DecimalSi));
    }
    let (kind, resource) = match name.split_once('.') {
        Some(("requests", resource)) => ("requests", resource),
        Some(("limits", resource)) => ("limits", resource),
        // `cpu` means `requests.cpu`.
        _ => ("requests", name),
    };
    amount(pod, kind, resource)
}

/// The larger of what the containers use together and what initialising takes (`PodRequests`).
fn amount(pod: &Value, kind: &str, resource: &str) -> Option<Quantity> {
    let asked = |container: &Value| {
        let map = container.pointer(&format!("/resources/{kind}"))?;
        Quantity::parse(map.get(resource)?.as_str()?).ok()
    };
    let mut total: Option<Quantity> = None;
    let mut sidecars: Option<Quantity> = None;
    let mut peak: Option<Quantity> = None;
    for container in list(pod, "/spec/containers") {
        total = sum(total, asked(container));
    }
    for container in list(pod, "/spec/initContainers") {
        if container["restartPolicy"] == "Always" {
            sidecars = sum(sidecars, asked(container));
            peak = larger(peak, sidecars.clone());
        } else {
            peak = larger(peak, sum(sidecars.clone(), asked(container)));
        }
    }
    let all = larger(sum(total, sidecars), peak);
    let whole = asked(&pod["spec"]).or(all);
    let overhead = pod.pointer(&format!("/spec/overhead/{resource}")).and_then(Value::as_str);
    sum(whole, overhead.and_then(|text| Quantity::parse(text).ok()))
}

fn sum(a: Option<Quantity>, b: Option<Quantity>) -> Option<Quantity> {
    match (a, b) {
        (Some(mut a), Some(b)) => {
            a.add(&b);
            Some(a)
        }
        (a, b) => a.or(b),
    }
}

fn larger(a: Option<Quantity>, b: Option<Quantity>) -> Option<Quantity> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a >= b { a } else { b }),
        (a, b) => a.or(b),
    }
}
