//! Plugins of a few lines each.

use super::push;
use crate::admission::{Admit, Extras};
use crate::table::{at, list, text};
use meta::{Problem, Resource, Value};
use serde_json::json;
use store::Key;

/// plugin/pkg/admission/storage/storageobjectinuseprotection: what is in use is not deleted under its users.
pub(super) fn protect(v: &mut Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    let finalizer = match admit.resource.as_str() {
        _ if !admit.creates(admit.resource.as_str()) => return Ok(()),
        "persistentvolumes" => "kubernetes.io/pv-protection",
        "persistentvolumeclaims" => "kubernetes.io/pvc-protection",
        _ => return Ok(()),
    };
    if !list(v, "metadata.finalizers").iter().any(|f| f == finalizer) {
        push(&mut v["metadata"], "finalizers", finalizer.into());
    }
    Ok(())
}

/// plugin/pkg/admission/nodetaint: a new node takes no pods until it is said to be ready.
pub(super) fn taint(v: &mut Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    const KEY: &str = "node.kubernetes.io/not-ready";
    let tainted =
        || list(v, "spec.taints").iter().any(|t| t["key"] == KEY && t["effect"] == "NoSchedule");
    if admit.creates("nodes") && !tainted() {
        push(&mut v["spec"], "taints", json!({ "key": KEY, "effect": "NoSchedule" }));
    }
    Ok(())
}

/// plugin/pkg/admission/runtimeclass: overhead and scheduling of the class.
pub(super) fn runtime_class(
    v: &mut Value,
    admit: &Admit<'_>,
    _: &mut Extras,
) -> Result<(), Problem> {
    let name = text(v, "spec.runtimeClassName");
    if !admit.creates("pods") || name.is_empty() {
        return Ok(());
    }
    let pod = text(v, "metadata.name");
    let refuse = |why: String| Problem::forbidden(admit.resource, &pod, &why);
    let classes = Resource::new("node.k8s.io", "runtimeclasses");
    let Some(class) = admit.view.get(&Key::new(&classes, "", &name)).map(|o| o.value()) else {
        return Err(refuse(format!("pod rejected: RuntimeClass {name:?} not found")));
    };
    if let Some(fixed) = at(&class, "overhead.podFixed") {
        if at(v, "spec.overhead").is_some_and(|given| !crate::check::same(given, fixed)) {
            let why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
            return Err(refuse(why.into()));
        }
        v["spec"]["overhead"] = fixed.clone();
    }
    for (key, wanted) in
        at(&class, "scheduling.nodeSelector").and_then(Value::as_object).into_iter().flatten()
    {
        let given = v.pointer("/spec/nodeSelector").and_then(|s| s.get(key));
        if given.is_some_and(|given| given != wanted) {
            let why = format!("conflict: runtimeClass.scheduling.nodeSelector[{key}]");
            return Err(refuse(why));
        }
        v["spec"]["nodeSelector"][key] = wanted.clone();
    }
    for toleration in list(&class, "scheduling.tolerations") {
        if !list(v, "spec.tolerations").contains(toleration) {
            push(&mut v["spec"], "tolerations", toleration.clone());
        }
    }
    Ok(())
}

/// plugin/pkg/admission/network/defaultingressclass: the newest default class, unless the annotation names one.
pub(super) fn ingress_class(
    v: &mut Value,
    admit: &Admit<'_>,
    _: &mut Extras,
) -> Result<(), Problem> {
    let annotated = v.pointer("/metadata/annotations/kubernetes.io~1ingress.class").is_some();
    let named = at(v, "spec.ingressClassName").is_some();
    if !admit.creates("ingresses.networking.k8s.io") || named || annotated {
        return Ok(());
    }
    let classes = Resource::new("networking.k8s.io", "ingressclasses");
    let is_default = |class: &Value| {
        let key = "/metadata/annotations/ingressclass.kubernetes.io~1is-default-class";
        class.pointer(key).is_some_and(|d| d == "true")
    };
    let defaults = admit.view.list(&classes, None).filter(|o| is_default(&o.value()));
    let newest = defaults.max_by(|a, b| {
        a.head.created.cmp(&b.head.created).then_with(|| b.key.name.cmp(&a.key.name))
    });
    if let Some(class) = newest {
        v["spec"]["ingressClassName"] = (*class.key.name).into();
    }
    Ok(())
}

/// What is stored but not acted upon yet says so; what would give wrong answers is refused.
///
/// Not upstream's: it disappears with the webhook, CEL and aggregation work.
pub(super) fn without_effect(
    v: &Value,
    admit: &Admit<'_>,
    extras: &mut Extras,
) -> Result<(), Problem> {
    if !admit.subresource.is_empty() || v.is_null() {
        return Ok(());
    }
    let name = text(v, "metadata.name");
    let warning = match admit.resource.as_str() {
        "validatingwebhookconfigurations.admissionregistration.k8s.io"
        | "mutatingwebhookconfigurations.admissionregistration.k8s.io" => {
            (!list(v, "webhooks").is_empty())
                .then(|| format!("admission webhooks are not called by this server yet: {name:?} has no effect"))
        }
        "validatingadmissionpolicybindings.admissionregistration.k8s.io" => Some(format!(
            "ValidatingAdmissionPolicies are not evaluated by this server yet: binding {name:?} has no effect"
        )),
        "apiservices.apiregistration.k8s.io" => at(v, "spec.service").map(|_| {
            format!("requests are not forwarded to extension API servers by this server yet: {name:?} has no effect")
        }),
        "customresourcedefinitions.apiextensions.k8s.io" => definition(v, &name)?,
        _ => None,
    };
    extras.warnings.extend(warning);
    Ok(())
}

fn definition(v: &Value, name: &str) -> Result<Option<String>, Problem> {
    let versions = list(v, "spec.versions");
    let served = versions.iter().filter(|version| version["served"] == true).count();
    if served > 1 && text(v, "spec.conversion.strategy") == "Webhook" {
        let why = "conversion webhooks are not called by this server yet; serve one version, or use strategy None";
        let fault = meta::Fault::forbidden("spec.conversion.strategy", why);
        let group = "apiextensions.k8s.io";
        return Err(Problem::invalid(group, "CustomResourceDefinition", name, &[fault]));
    }
    let validated =
        versions.iter().any(|version| has_key(&version["schema"], "x-kubernetes-validations"));
    Ok(validated.then(|| {
        format!("x-kubernetes-validations are not evaluated by this server yet: those of {name:?} have no effect")
    }))
}

fn has_key(v: &Value, key: &str) -> bool {
    match v {
        Value::Object(map) => map.contains_key(key) || map.values().any(|v| has_key(v, key)),
        Value::Array(items) => items.iter().any(|v| has_key(v, key)),
        _ => false,
    }
}
