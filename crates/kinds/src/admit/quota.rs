//! ResourceQuota (upstream `apiserver/pkg/admission/plugin/resourcequota` and `pkg/quota/v1/evaluator/core`).
//!
//! Usage is charged in the transaction of the write itself: the quota object is replaced at the revision it was
//! read at, so two writes cannot both take the last unit. Giving back is the quota controller's, as upstream.

use super::limit_ranger::{Amounts, pod_total};
use crate::admission::{Admit, Also, AlsoChange, Extras, Operation};
use crate::check::resources::parse;
use crate::table::{at, list, plain, text};
use meta::{Problem, Quantity, QuantityFormat, Resource, Value};

/// Kinds that are counted under their own name, besides `count/<resource>`.
const COUNTED: &[&str] = &[
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];

pub(super) fn validate(v: &Value, admit: &Admit<'_>, extras: &mut Extras) -> Result<(), Problem> {
    let creates = admit.operation == Operation::Create && admit.subresource.is_empty();
    if !creates || admit.namespace.is_empty() || admit.is("events") {
        return Ok(());
    }
    let quotas = Resource::new("", "resourcequotas");
    let usage = usage(v, admit);
    for stored in admit.view.list(&quotas, Some(admit.namespace)) {
        let mut quota = stored.value();
        if !in_scope(&quota, v, admit) {
            continue;
        }
        if charge(&mut quota, &usage, v, admit)? {
            quota["metadata"]["resourceVersion"] = stored.revision.to_string().into();
            let change = AlsoChange::Replace(quota);
            extras.also.push(Also { resource: quotas.clone(), change });
        }
    }
    Ok(())
}

fn one() -> Quantity {
    Quantity::new(1, QuantityFormat::DecimalSi)
}

/// What the object costs, by the names quotas use.
fn usage(v: &Value, admit: &Admit<'_>) -> Amounts {
    let resource = admit.resource.as_str();
    let mut out = Amounts::from([(format!("count/{resource}"), one())]);
    if COUNTED.contains(&resource) {
        out.insert(resource.into(), one());
    }
    match resource {
        "pods" => {
            for (part, prefix) in [("requests", "requests."), ("limits", "limits.")] {
                for (name, amount) in pod_total(v, part) {
                    if part == "requests" {
                        out.insert(name.clone(), amount.clone());
                    }
                    out.insert(format!("{prefix}{name}"), amount);
                }
            }
        }
        "services" => services(v, &mut out),
        "persistentvolumeclaims" => claims(v, &mut out),
        _ => {}
    }
    out
}

fn services(v: &Value, out: &mut Amounts) {
    let ports = i64::try_from(list(v, "spec.ports").len()).unwrap_or_default();
    let ports = Quantity::new(ports, QuantityFormat::DecimalSi);
    match text(v, "spec.type").as_str() {
        "NodePort" => drop(out.insert("services.nodeports".into(), ports)),
        "LoadBalancer" => {
            out.insert("services.loadbalancers".into(), one());
            if at(v, "spec.allocateLoadBalancerNodePorts") != Some(&Value::Bool(false)) {
                out.insert("services.nodeports".into(), ports);
            }
        }
        _ => {}
    }
}

fn claims(v: &Value, out: &mut Amounts) {
    let class = text(v, "spec.storageClassName");
    let prefix = format!("{class}.storageclass.storage.k8s.io/");
    if !class.is_empty() {
        out.insert(format!("{prefix}persistentvolumeclaims"), one());
    }
    let Some(size) = at(v, "spec.resources.requests.storage").and_then(parse) else { return };
    if !class.is_empty() {
        out.insert(format!("{prefix}requests.storage"), size.clone());
    }
    out.insert("requests.storage".into(), size);
}

/// Adds the usage to `status.used`; whether anything is limited.
fn charge(
    quota: &mut Value,
    usage: &Amounts,
    v: &Value,
    admit: &Admit<'_>,
) -> Result<bool, Problem> {
    let hard = quota["status"]["hard"].as_object().cloned().unwrap_or_default();
    let name = text(quota, "metadata.name");
    let refuse =
        |why: String| Err(Problem::forbidden(admit.resource, &text(v, "metadata.name"), &why));
    if admit.is("pods")
        && let Some(missing) = unspecified(hard.keys(), v)
    {
        return refuse(format!("failed quota: {name}: must specify {missing}"));
    }
    let (mut over, mut charged) = ([const { Vec::new() }; 3], false);
    for (resource, limit) in &hard {
        let (Some(asked), Some(most)) = (usage.get(resource), parse(limit)) else { continue };
        let used = &mut quota["status"]["used"][resource];
        let before = parse(used).unwrap_or(Quantity::new(0, QuantityFormat::DecimalSi));
        let mut after = before.clone();
        after.add(asked);
        if after > most && asked.as_f64() > 0.0 {
            over[0].push(format!("{resource}={asked}"));
            over[1].push(format!("{resource}={before}"));
            over[2].push(format!("{resource}={}", plain(limit)));
        }
        *used = after.to_string().into();
        charged = true;
    }
    if !over[0].is_empty() {
        let [asked, used, limited] = over.map(|parts| parts.join(","));
        return refuse(format!(
            "exceeded quota: {name}, requested: {asked}, used: {used}, limited: {limited}"
        ));
    }
    Ok(charged)
}

/// Containers that do not say what a quota limits (podEvaluator.Constraints).
fn unspecified<'a>(hard: impl Iterator<Item = &'a String>, pod: &Value) -> Option<String> {
    let mut missing = Vec::new();
    for resource in hard {
        let (part, name) = match resource.split_once('.') {
            Some((part @ ("requests" | "limits"), name)) => (part, name),
            _ => ("requests", resource.as_str()),
        };
        if !matches!(name, "cpu" | "memory" | "ephemeral-storage") {
            continue;
        }
        let all = list(pod, "spec.containers").iter().chain(list(pod, "spec.initContainers"));
        let lacking: Vec<_> =
            all.filter(|c| c["resources"][part][name].is_null()).map(|c| text(c, "name")).collect();
        if !lacking.is_empty() {
            missing.push(format!("{resource} for: {}", lacking.join(",")));
        }
    }
    (!missing.is_empty()).then(|| missing.join("; "))
}

/// Scopes concern pods only; a quota with scopes ignores everything else.
fn in_scope(quota: &Value, v: &Value, admit: &Admit<'_>) -> bool {
    let scopes = list(quota, "spec.scopes");
    let terms = list(quota, "spec.scopeSelector.matchExpressions");
    if scopes.is_empty() && terms.is_empty() {
        return true;
    }
    admit.is("pods")
        && scopes.iter().all(|scope| has(&plain(scope), v))
        && terms.iter().all(|term| selects(term, v))
}

fn has(scope: &str, pod: &Value) -> bool {
    let best_effort = crate::core::pod::qos_class(pod) == "BestEffort";
    let terminating = at(pod, "spec.activeDeadlineSeconds").is_some();
    match scope {
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "PriorityClass" => !text(pod, "spec.priorityClassName").is_empty(),
        "CrossNamespacePodAffinity" => crosses(pod),
        _ => false,
    }
}

/// Whether any pod affinity term names namespaces.
fn crosses(pod: &Value) -> bool {
    let kinds = ["podAffinity", "podAntiAffinity"];
    let terms = kinds.iter().flat_map(|kind| {
        let base = format!("spec.affinity.{kind}");
        let required =
            list(pod, &format!("{base}.requiredDuringSchedulingIgnoredDuringExecution")).iter();
        let preferred =
            list(pod, &format!("{base}.preferredDuringSchedulingIgnoredDuringExecution"));
        required.chain(preferred.iter().filter_map(|p| p.get("podAffinityTerm")))
    });
    terms
        .into_iter()
        .any(|t| !list(t, "namespaces").is_empty() || at(t, "namespaceSelector").is_some())
}

fn selects(term: &Value, pod: &Value) -> bool {
    let scope = text(term, "scopeName");
    let class = text(pod, "spec.priorityClassName");
    let listed = list(term, "values").iter().any(|v| plain(v) == class);
    match text(term, "operator").as_str() {
        "In" if scope == "PriorityClass" => listed,
        "NotIn" if scope == "PriorityClass" => !listed,
        "DoesNotExist" => !has(&scope, pod),
        _ => has(&scope, pod),
    }
}
