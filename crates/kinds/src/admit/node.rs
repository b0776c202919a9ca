//! What a kubelet may write, beyond which objects it may reach (plugin/pkg/admission/noderestriction/admission.go),
//! and labels of the node that its pods get (plugin/pkg/admission/podtopologylabels/admission.go).

use crate::admission::{Admit, Extras, Operation};
use crate::table::{at, list, text};
use meta::{Problem, Resource, Value};
use serde_json::json;
use store::Key;

// === topology labels ===

const TOPOLOGY: [&str; 2] = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];

/// A binding, and a pod that names its node itself, carries the node's zone and region.
pub(super) fn topology(v: &mut Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    let binding = admit.resource.as_str() == "pods" && admit.subresource == "binding";
    let node = match () {
        () if admit.operation != Operation::Create => return Ok(()),
        () if binding => text(v, "target.name"),
        () if admit.is("pods") => text(v, "spec.nodeName"),
        () => return Ok(()),
    };
    let nodes = Resource::new("", "nodes");
    let Some(node) = admit.view.get(&Key::new(&nodes, "", &node)) else { return Ok(()) };
    for key in TOPOLOGY {
        if let Some(value) = node.label(key) {
            if !v["metadata"]["labels"].is_object() {
                v["metadata"]["labels"] = json!({});
            }
            v["metadata"]["labels"][key] = value.into();
        }
    }
    Ok(())
}

// === restriction ===

pub(super) fn restrict(v: &Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    let Some(node) = admit.identity.name.strip_prefix("system:node:") else { return Ok(()) };
    if !admit.identity.groups.iter().any(|group| group == "system:nodes") {
        return Ok(());
    }
    let refused = match (admit.resource.as_str(), admit.subresource) {
        ("pods", "") => pod(v, node, admit),
        ("pods", "status") => pod_status(v, node, admit),
        ("pods", "eviction") => evicted(node, admit),
        ("nodes", "" | "status") => own_node(v, node, admit),
        ("serviceaccounts", "token") => token(v, node, admit),
        ("leases.coordination.k8s.io", _) => lease(node, admit),
        ("csinodes.storage.k8s.io", _) if admit.name != node && !admit.name.is_empty() => {
            Some("can only access CSINode with the same name as the requesting node".into())
        }
        _ => None,
    };
    match refused {
        Some(why) => Err(Problem::forbidden(admit.resource, admit.name, &why)),
        None => Ok(()),
    }
}

/// What a pod that a node makes may not refer to.
const REFERENCES: &[(&str, &str)] = &[
    ("secret", "secrets"),
    ("configMap", "configmaps"),
    ("persistentVolumeClaim", "persistentvolumeclaims"),
    ("projected", "projected volumes"),
];

fn pod(v: &Value, node: &str, admit: &Admit<'_>) -> Option<String> {
    match admit.operation {
        Operation::Create => mirror(v, node),
        Operation::Delete => {
            let own = admit.old.is_none_or(|old| text(old, "spec.nodeName") == node);
            (!own).then(|| {
                format!("node {node:?} can only delete pods with spec.nodeName set to itself")
            })
        }
        _ => Some(format!(
            "unexpected operation \"UPDATE\", node {node:?} can only create and delete mirror pods"
        )),
    }
}

fn mirror(v: &Value, node: &str) -> Option<String> {
    let annotations = at(v, "metadata.annotations");
    if annotations.and_then(|a| a.get("kubernetes.io/config.mirror")).is_none() {
        return Some(format!(
            "pod does not have \"kubernetes.io/config.mirror\" annotation, node {node:?} can only create mirror pods"
        ));
    }
    if text(v, "spec.nodeName") != node {
        return Some(format!(
            "node {node:?} can only create pods with spec.nodeName set to itself"
        ));
    }
    let account = text(v, "spec.serviceAccountName");
    if !account.is_empty() && account != "default" {
        return Some(format!("node {node:?} can not create pods that reference a service account"));
    }
    let volumes = list(v, "spec.volumes");
    let kept = |volume: &Value, kind: &str| {
        at(volume, kind).is_some() && !text(volume, "name").starts_with("kube-api-access-")
    };
    let bad = REFERENCES.iter().find(|(kind, _)| volumes.iter().any(|vol| kept(vol, kind)));
    bad.map(|(_, what)| format!("node {node:?} can not create pods that reference {what}"))
}

fn pod_status(v: &Value, node: &str, admit: &Admit<'_>) -> Option<String> {
    let old = admit.old?;
    if text(old, "spec.nodeName") != node {
        return Some(format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        ));
    }
    let labels = |v: &Value| v.pointer("/metadata/labels").cloned().unwrap_or_default();
    (!crate::check::same(&labels(v), &labels(old)))
        .then(|| format!("node {node:?} cannot update labels through pod status"))
}

fn evicted(node: &str, admit: &Admit<'_>) -> Option<String> {
    let pods = Resource::new("", "pods");
    let pod = admit.view.get(&Key::new(&pods, admit.namespace, admit.name))?;
    (text(&pod.value(), "spec.nodeName") != node)
        .then(|| format!("node {node} can only evict pods with spec.nodeName set to itself"))
}

fn own_node(v: &Value, node: &str, admit: &Admit<'_>) -> Option<String> {
    let name = if admit.name.is_empty() { text(v, "metadata.name") } else { admit.name.into() };
    if name != node {
        return Some(format!("node {node:?} is not allowed to modify node {name:?}"));
    }
    let labels = |v: &Value| -> Vec<(String, String)> {
        let all = at(v, "metadata.labels").and_then(Value::as_object);
        all.into_iter().flatten().map(|(k, v)| (k.clone(), crate::table::plain(v))).collect()
    };
    let before = admit.old.map(labels).unwrap_or_default();
    let now = if admit.operation == Operation::Delete { before.clone() } else { labels(v) };
    let changed = |(key, value): &(String, String)| {
        let other = before.iter().find(|(k, _)| k == key);
        other.is_none_or(|(_, was)| was != value)
    };
    let gone = before.iter().filter(|(key, _)| !now.iter().any(|(k, _)| k == key));
    let touched = now.iter().filter(|pair| changed(pair)).chain(gone);
    let mut forbidden: Vec<_> =
        touched.map(|(key, _)| key.clone()).filter(|key| !is_own_label(key)).collect();
    forbidden.sort();
    if !forbidden.is_empty() {
        let verb = if admit.old.is_none() { "set the following" } else { "modify" };
        return Some(format!("is not allowed to {verb} labels: {}", forbidden.join(", ")));
    }
    let old = admit.old.filter(|_| admit.operation == Operation::Update)?;
    (!crate::check::same(&v["spec"]["taints"], &old["spec"]["taints"]))
        .then(|| format!("node {node:?} is not allowed to modify taints"))
}

/// Labels a kubelet may set on its node (k8s.io/kubelet `pkg/apis/well_known_labels.go`): any outside Kubernetes'
/// own domains, and of those these.
fn is_own_label(key: &str) -> bool {
    const OWN: &[&str] = &[
        "kubernetes.io/hostname",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
    ];
    let Some((domain, _)) = key.split_once('/') else { return true };
    let in_domain = |d: &str| domain == d || domain.ends_with(&format!(".{d}"));
    if in_domain("node-restriction.kubernetes.io") {
        return false;
    }
    if !in_domain("kubernetes.io") && !in_domain("k8s.io") {
        return true;
    }
    OWN.contains(&key) || in_domain("kubelet.kubernetes.io") || in_domain("node.kubernetes.io")
}

/// Tokens only for pods that run here.
fn token(v: &Value, node: &str, admit: &Admit<'_>) -> Option<String> {
    let bound = at(v, "spec.boundObjectRef");
    let is_pod = bound.is_some_and(|b| text(b, "kind") == "Pod" && text(b, "apiVersion") == "v1");
    let Some(bound) = bound.filter(|_| is_pod) else {
        return Some("node requested token not bound to a pod".into());
    };
    let (name, uid) = (text(bound, "name"), text(bound, "uid"));
    if uid.is_empty() {
        return Some("node requested token with a pod binding without a uid".into());
    }
    let pods = Resource::new("", "pods");
    let Some(pod) = admit.view.get(&Key::new(&pods, admit.namespace, &name)) else {
        return Some(format!("pod {name:?} not found"));
    };
    if *pod.head.uid != *uid {
        let have = &pod.head.uid;
        return Some(format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated ({have})"
        ));
    }
    (text(&pod.value(), "spec.nodeName") != node)
        .then(|| "node requested token bound to a pod scheduled on a different node".into())
}

fn lease(node: &str, admit: &Admit<'_>) -> Option<String> {
    if admit.namespace != "kube-node-lease" {
        return Some("can only access leases in the \"kube-node-lease\" system namespace".into());
    }
    (admit.name != node && !admit.name.is_empty())
        .then(|| "can only access node lease with the same name as the requesting node".into())
}
