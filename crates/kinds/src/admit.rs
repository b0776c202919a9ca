//! Built-in admission, in upstream's order.

mod certificates;
mod escalation;
mod limit_ranger;
mod node;
mod pod_security;
mod quota;
mod small;
#[cfg(test)]
mod tests;

pub(crate) use certificates::organizations;

use crate::admission::{Admit, AdmitRow, Extras, Operation};
use crate::core::pod_defaults::{each, set_text};
use crate::table::{at, list, text};
use meta::{Cause, Problem, Resource, Value};
use serde_json::json;
use store::Key;

/// Every built-in admission plugin.
pub static ADMISSION: &[AdmitRow] = &[
    AdmitRow { name: "NamespaceLifecycle", mutate: Some(lifecycle), validate: Some(guard) },
    AdmitRow {
        name: "LimitRanger",
        mutate: Some(limit_ranger::mutate),
        validate: Some(limit_ranger::validate),
    },
    AdmitRow { name: "ServiceAccount", mutate: Some(service_account), validate: None },
    AdmitRow { name: "NodeRestriction", mutate: None, validate: Some(node::restrict) },
    AdmitRow { name: "TaintNodesByCondition", mutate: Some(small::taint), validate: None },
    AdmitRow { name: "PodSecurity", mutate: None, validate: Some(pod_security::validate) },
    AdmitRow { name: "Priority", mutate: Some(priority), validate: None },
    AdmitRow { name: "DefaultTolerationSeconds", mutate: Some(tolerations), validate: None },
    AdmitRow { name: "DefaultStorageClass", mutate: Some(storage_class), validate: None },
    AdmitRow { name: "StorageObjectInUseProtection", mutate: Some(small::protect), validate: None },
    AdmitRow { name: "RuntimeClass", mutate: Some(small::runtime_class), validate: None },
    AdmitRow { name: "DefaultIngressClass", mutate: Some(small::ingress_class), validate: None },
    AdmitRow { name: "PodTopologyLabels", mutate: Some(node::topology), validate: None },
    AdmitRow { name: "CertificateApproval", mutate: None, validate: Some(certificates::approval) },
    AdmitRow { name: "CertificateSigning", mutate: None, validate: Some(certificates::signing) },
    AdmitRow {
        name: "CertificateSubjectRestriction",
        mutate: None,
        validate: Some(certificates::subject),
    },
    AdmitRow { name: "CertificateRequester", mutate: Some(requester), validate: None },
    AdmitRow { name: "ServiceAllocation", mutate: Some(crate::allocate::service), validate: None },
    AdmitRow { name: "Escalation", mutate: None, validate: Some(escalation::check) },
    AdmitRow {
        name: "CustomResourceNames",
        mutate: Some(crate::extension::establish),
        validate: None,
    },
    AdmitRow { name: "WithoutEffect", mutate: None, validate: Some(small::without_effect) },
    // Last, so that nothing is charged that another plugin refuses.
    AdmitRow { name: "ResourceQuota", mutate: None, validate: Some(quota::validate) },
];

const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// No creates in namespaces that are missing or going away
/// (apiserver `pkg/admission/plugin/namespace/lifecycle/admission.go`).
fn lifecycle(_: &mut Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    if admit.namespace.is_empty() || admit.operation != Operation::Create || is_review(admit) {
        return Ok(());
    }
    let namespaces = Resource::new("", "namespaces");
    let Some(found) = admit.view.get(&Key::new(&namespaces, "", admit.namespace)) else {
        return Err(Problem::not_found(&namespaces, admit.namespace));
    };
    if found.head.deleted.is_none() {
        return Ok(());
    }
    let namespace = admit.namespace;
    let message = format!("namespace {namespace} is being terminated");
    let why = format!(
        "unable to create new content in namespace {namespace} because it is being terminated"
    );
    let mut problem = Problem::forbidden(admit.resource, admit.name, &why);
    let cause = Cause {
        reason: "NamespaceTerminating".into(),
        message,
        field: "metadata.namespace".into(),
    };
    if let Some(details) = &mut problem.details {
        details.causes.push(cause);
    }
    Err(problem)
}

/// Access reviews work in any namespace.
fn is_review(admit: &Admit<'_>) -> bool {
    admit.resource.group() == "authorization.k8s.io"
}

fn guard(_: &Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    if admit.operation == Operation::Delete
        && admit.is("namespaces")
        && IMMORTAL.contains(&admit.name)
    {
        return Err(Problem::forbidden(
            admit.resource,
            admit.name,
            "this namespace may not be deleted",
        ));
    }
    Ok(())
}

/// plugin/pkg/admission/serviceaccount: the account, its pull secrets and its token volume.
fn service_account(v: &mut Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    let mirror = v.pointer("/metadata/annotations/kubernetes.io~1config.mirror").is_some();
    if !admit.creates("pods") || mirror {
        return Ok(());
    }
    let spec = &mut v["spec"];
    set_text(spec, "serviceAccountName", "default");
    let name = text(spec, "serviceAccountName");
    set_text(spec, "serviceAccount", &name);
    let accounts = Resource::new("", "serviceaccounts");
    let Some(account) = admit.view.get(&Key::new(&accounts, admit.namespace, &name)) else {
        let namespace = admit.namespace;
        let why = format!(
            "error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"
        );
        return Err(Problem::forbidden(admit.resource, admit.name, &why));
    };
    let account = account.value();
    if list(spec, "imagePullSecrets").is_empty() && !list(&account, "imagePullSecrets").is_empty() {
        spec["imagePullSecrets"] = account["imagePullSecrets"].clone();
    }
    let mounts = at(spec, "automountServiceAccountToken")
        .or_else(|| at(&account, "automountServiceAccountToken"))
        .is_none_or(|b| *b == true);
    if mounts {
        mount_token(v);
    }
    Ok(())
}

const TOKEN_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

fn mount_token(v: &mut Value) {
    let suffix: String =
        text(v, "metadata.uid").chars().filter(|c| c.is_ascii_alphanumeric()).take(5).collect();
    let volume = format!("kube-api-access-{suffix}");
    let mounted = |c: &Value| list(c, "volumeMounts").iter().any(|m| m["mountPath"] == TOKEN_DIR);
    let spec = &mut v["spec"];
    let mut used = false;
    for kind in ["initContainers", "containers"] {
        for container in each(spec, kind).filter(|c| !mounted(c)) {
            let mount = json!({ "name": volume, "readOnly": true, "mountPath": TOKEN_DIR });
            push(container, "volumeMounts", mount);
            used = true;
        }
    }
    if used {
        push(spec, "volumes", token_volume(&volume));
    }
}

fn token_volume(name: &str) -> Value {
    json!({ "name": name, "projected": { "defaultMode": 420, "sources": [
        { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
        { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
        { "downwardAPI": { "items": [{
            "path": "namespace",
            "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" },
        }] } },
    ] } })
}

fn push(v: &mut Value, key: &str, item: Value) {
    if !v[key].is_array() {
        v[key] = json!([]);
    }
    v[key].as_array_mut().expect("made an array above").push(item);
}

/// plugin/pkg/admission/priority: the class decides value and preemption policy.
fn priority(v: &mut Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    if !admit.creates("pods") {
        return Ok(());
    }
    let classes = Resource::new("scheduling.k8s.io", "priorityclasses");
    let name = text(v, "spec.priorityClassName");
    let class = match name.as_str() {
        "" => {
            admit.view.list(&classes, None).map(|o| o.value()).find(|c| c["globalDefault"] == true)
        }
        "system-cluster-critical" | "system-node-critical" => {
            let value = if name == "system-node-critical" { 2_000_001_000 } else { 2_000_000_000 };
            Some(json!({ "metadata": { "name": name }, "value": value }))
        }
        name => match admit.view.get(&Key::new(&classes, "", name)) {
            Some(found) => Some(found.value()),
            None => {
                let why = format!("no PriorityClass with name {name} was found");
                return Err(Problem::forbidden(admit.resource, admit.name, &why));
            }
        },
    };
    let spec = &mut v["spec"];
    let policy = class.as_ref().map(|c| text(c, "preemptionPolicy")).filter(|p| !p.is_empty());
    if let Some(class) = &class {
        spec["priorityClassName"] = class["metadata"]["name"].clone();
    }
    spec["priority"] = class.map_or(json!(0), |c| c["value"].clone());
    set_text(spec, "preemptionPolicy", policy.as_deref().unwrap_or("PreemptLowerPriority"));
    Ok(())
}

/// plugin/pkg/admission/defaulttolerationseconds: five minutes on a node that fails.
fn tolerations(v: &mut Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    if !admit.creates("pods") {
        return Ok(());
    }
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let covers = |t: &Value| {
            matches!(text(t, "key"), k if k == key || k.is_empty())
                && matches!(text(t, "effect").as_str(), "NoExecute" | "")
        };
        if !list(v, "spec.tolerations").iter().any(covers) {
            let item = json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 });
            push(&mut v["spec"], "tolerations", item);
        }
    }
    Ok(())
}

/// plugin/pkg/admission/storage/storageclass/setdefault: the newest default class.
fn storage_class(v: &mut Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    let beta =
        v.pointer("/metadata/annotations/volume.beta.kubernetes.io~1storage-class").is_some();
    if !admit.creates("persistentvolumeclaims") || at(v, "spec.storageClassName").is_some() || beta
    {
        return Ok(());
    }
    let classes = Resource::new("storage.k8s.io", "storageclasses");
    let defaults =
        admit.view.list(&classes, None).filter(|o| crate::storage::is_default(&o.value()));
    let newest = defaults.max_by(|a, b| {
        a.head.created.cmp(&b.head.created).then_with(|| b.key.name.cmp(&a.key.name))
    });
    if let Some(class) = newest {
        v["spec"]["storageClassName"] = (*class.key.name).into();
    }
    Ok(())
}

/// csrStrategy.PrepareForCreate: who asks is recorded, whatever the client writes.
fn requester(v: &mut Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    if !admit.creates("certificatesigningrequests.certificates.k8s.io") {
        return Ok(());
    }
    let who = admit.identity;
    let spec = &mut v["spec"];
    spec["username"] = who.name.clone().into();
    for (key, value) in
        [("groups", json!(who.groups)), ("extra", json!(who.extra)), ("uid", json!(who.uid))]
    {
        spec[key] = value;
    }
    Ok(())
}
