//! What users ask for, as calls.

use api::{Call, DeleteOptions, Patch, PatchKind, Propagation, Verb};
use meta::{Gvr, Value};
use store::Key;

/// A place in the API: `deployments.apps/default/web`, `nodes/n1`.
pub(crate) struct Path {
    pub gvr: Gvr,
    pub namespace: String,
    pub name: String,
}

impl Path {
    /// `None` when there is no such kind.
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts = path.split('/');
        let (plural, group) = parts.next().map(|r| r.split_once('.').unwrap_or((r, "")))?;
        let row = kinds::TABLE.iter().find(|row| row.plural == plural && row.group == group)?;
        let rest: Vec<&str> = parts.collect();
        let (namespace, name) = match rest[..] {
            [name] => ("", name),
            [namespace, name] => (namespace, name),
            _ => return None,
        };
        let gvr = Gvr::new(group, row.versions[0].name, plural);
        Some(Self { gvr, namespace: namespace.into(), name: name.into() })
    }

    fn call(&self, verb: Verb) -> Call {
        Call::new(verb, self.gvr.clone(), &self.namespace, &self.name)
    }
}

/// `None` when nobody serves the kind.
pub(crate) fn create(object: &Value) -> Option<Call> {
    let api_version = object["apiVersion"].as_str()?;
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let kind = object["kind"].as_str()?;
    let row = kinds::TABLE.iter().find(|row| row.group == group && row.kind == kind)?;
    let namespaced = row.scope != kinds::Scope::Cluster;
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
    let gvr = Gvr::new(row.group, row.versions[0].name, row.plural);
    Some(Call::new(Verb::Create(object.clone()), gvr, if namespaced { namespace } else { "" }, ""))
}

pub(crate) fn patch(path: &str, body: &Value) -> Option<Call> {
    let patch = Patch { kind: PatchKind::Merge, body: body.clone() };
    Some(Path::parse(path)?.call(Verb::Patch(patch)))
}

pub(crate) fn delete(path: &str, cascade: &str) -> Option<Call> {
    let propagation = match cascade {
        "orphan" => Propagation::Orphan,
        "foreground" => Propagation::Foreground,
        _ => Propagation::Background,
    };
    let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
    Some(Path::parse(path)?.call(Verb::Delete(options)))
}

fn pods() -> Gvr {
    Gvr::new("", "v1", "pods")
}

pub(crate) fn delete_pod(pod: &Key, grace_secs: i64) -> Call {
    let options = DeleteOptions { grace_secs: Some(grace_secs), ..DeleteOptions::default() };
    Call::new(Verb::Delete(options), pods(), &pod.namespace, &pod.name)
}

pub(crate) fn evict(pod: &Key) -> Call {
    let body = serde_json::json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": { "name": &*pod.name, "namespace": &*pod.namespace },
    });
    Call::new(Verb::Create(body), pods(), &pod.namespace, &pod.name).on("eviction")
}

/// What a kubelet reports of a container that was killed for its memory and runs again.
pub(crate) fn oom(pod: &k8s_openapi::api::core::v1::Pod, now: meta::Time) -> Option<Call> {
    let mut status = serde_json::to_value(pod.status.as_ref()?).ok()?;
    let killed = serde_json::json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled",
        "finishedAt": now.rfc3339() } });
    let container = status["containerStatuses"].get_mut(0)?;
    container["restartCount"] = (container["restartCount"].as_i64().unwrap_or(0) + 1).into();
    container["ready"] = false.into();
    container["lastState"] = killed;
    container["state"] = serde_json::json!({ "running": { "startedAt": now.rfc3339() } });
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        if condition["type"] == "Ready" || condition["type"] == "ContainersReady" {
            condition["status"] = "False".into();
            condition["lastTransitionTime"] = now.rfc3339().into();
        }
    }
    let body = serde_json::json!({ "status": {
        "containerStatuses": status["containerStatuses"], "conditions": status["conditions"] } });
    let patch = Patch { kind: PatchKind::Merge, body };
    let (namespace, name) = (pod.metadata.namespace.as_deref()?, pod.metadata.name.as_deref()?);
    Some(Call::new(Verb::Patch(patch), pods(), namespace, name).on("status"))
}
