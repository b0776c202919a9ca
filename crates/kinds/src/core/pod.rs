//! Pods.

use super::{pod_defaults, pod_table};
use crate::row::{Act, Effect, Hooks, KindRow, SubAction, SubRow};
use crate::rows::{STATUS, field, keep_all_but, version};
use crate::table::{at, flag, int, list, text};
use crate::{FieldRow, Generation};
use meta::{Problem, Resource, Value};
use serde_json::json;

pub static POD: KindRow =
    KindRow::namespaced("", "Pod", "pods", "pod", &[version("v1", "io.k8s.api.core.v1.Pod")])
        .short(&["po"])
        .returns_deleted()
        .categories(&["all"])
        .subresources(SUBRESOURCES)
        .table(pod_table::COLUMNS, pod_table::cells)
        .fields(FIELDS)
        .hooks(Hooks {
            default: Some(default),
            prepare: Some(prepare),
            generation: Generation::Spec,
            grace: Some(grace),
            ..Hooks::NONE
        })
        .check(crate::check::pod::check)
        .sample(concat!(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: sample}\n",
            "spec: {containers: [{name: c, image: 'nginx:1.25'}]}\n"
        ));

const CONNECT: &[&str] = &["create", "get"];

const SUBRESOURCES: &[SubRow] = &[
    connect("attach", "PodAttachOptions", CONNECT),
    SubRow {
        name: "binding",
        verbs: &["create"],
        kind: Some(("", "v1", "Binding", "io.k8s.api.core.v1.Binding")),
        action: SubAction::Act(bind),
    },
    SubRow {
        name: "ephemeralcontainers",
        verbs: &["get", "patch", "update"],
        kind: None,
        action: SubAction::Part {
            keep: keep_ephemeral,
            check: Some(crate::check::pod::check_part),
        },
    },
    SubRow {
        name: "eviction",
        verbs: &["create"],
        kind: Some(("policy", "v1", "Eviction", "io.k8s.api.policy.v1.Eviction")),
        action: SubAction::Act(super::super::policy::evict),
    },
    connect("exec", "PodExecOptions", CONNECT),
    SubRow { name: "log", verbs: &["get"], kind: None, action: SubAction::Connect },
    connect("portforward", "PodPortForwardOptions", CONNECT),
    connect("proxy", "PodProxyOptions", &["create", "delete", "get", "patch", "update"]),
    SubRow {
        name: "resize",
        verbs: &["get", "patch", "update"],
        kind: None,
        action: SubAction::Part {
            keep: keep_resources,
            check: Some(crate::check::pod::check_part),
        },
    },
    STATUS,
];

const fn connect(name: &'static str, kind: &'static str, verbs: &'static [&'static str]) -> SubRow {
    SubRow { name, verbs, kind: Some(("", "v1", kind, "")), action: SubAction::Connect }
}

const FIELDS: &[FieldRow] = &[
    field!("spec.hostNetwork", "false"),
    field!("spec.nodeName"),
    field!("spec.restartPolicy"),
    field!("spec.schedulerName"),
    field!("spec.serviceAccountName"),
    field!("status.nominatedNodeName"),
    field!("status.phase"),
    field!("status.podIP"),
];

fn default(v: &mut Value) {
    if let Some(spec) = v.get_mut("spec") {
        pod_defaults::spec(spec);
        pod_defaults::requests_from_limits(spec);
    }
}

/// podStrategy.PrepareForCreate and PrepareForUpdate.
fn prepare(new: &mut Value, old: Option<&Value>) {
    if old.is_some() {
        return;
    }
    new["status"] = json!({ "phase": "Pending", "qosClass": qos_class(new) });
    if !list(new, "spec.schedulingGates").is_empty() {
        new["status"]["conditions"] = json!([{
            "type": "PodScheduled",
            "status": "False",
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null,
            "lastTransitionTime": null,
        }]);
    }
}

/// ComputePodQOS: only cpu and memory count; every container must have limits equal to requests to be Guaranteed.
pub(crate) fn qos_class(pod: &Value) -> &'static str {
    let all = list(pod, "spec.containers").iter().chain(list(pod, "spec.initContainers"));
    let (mut any, mut guaranteed) = (false, true);
    for container in all {
        for resource in ["cpu", "memory"] {
            let get = |kind: &str| text(container, &format!("resources.{kind}.{resource}"));
            let (request, limit) = (get("requests"), get("limits"));
            any |= amount(&request) || amount(&limit);
            guaranteed &= amount(&limit) && (request == limit || request.is_empty());
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn amount(quantity: &str) -> bool {
    quantity.chars().any(|c| ('1'..='9').contains(&c))
}

/// podStrategy.CheckGracefulDelete.
fn grace(pod: &Value, asked: Option<i64>) -> i64 {
    let spec = at(pod, "spec.terminationGracePeriodSeconds").and_then(Value::as_i64);
    let secs = asked.or(spec).unwrap_or(30);
    let over = matches!(text(pod, "status.phase").as_str(), "Failed" | "Succeeded");
    match secs {
        _ if over || text(pod, "spec.nodeName").is_empty() => 0,
        ..0 => 1,
        secs => secs,
    }
}

/// podEphemeralContainersStrategy: everything but `spec.ephemeralContainers` stays.
fn keep_ephemeral(new: &mut Value, old: &Value) {
    let wanted = new.pointer("/spec/ephemeralContainers").cloned();
    keep_all_but(&[], new, old);
    if let Some(wanted) = wanted {
        new["spec"]["ephemeralContainers"] = wanted;
    }
}

/// podResizeStrategy: only resources of containers (matched by name) and their resize policy change.
fn keep_resources(new: &mut Value, old: &Value) {
    let wanted = new["spec"].clone();
    keep_all_but(&[], new, old);
    for kind in ["containers", "initContainers"] {
        let current = new.pointer_mut(&format!("/spec/{kind}")).and_then(Value::as_array_mut);
        for container in current.into_iter().flatten() {
            let same = list(&wanted, kind).iter().find(|c| c["name"] == container["name"]);
            for field in ["resources", "resizePolicy"] {
                if let Some(value) = same.and_then(|c| c.get(field)) {
                    container[field] = value.clone();
                }
            }
        }
    }
}

/// assignPod of BindingREST: sets the node once, and the PodScheduled condition.
fn bind(act: &Act<'_>) -> Result<Effect, Problem> {
    let mut pod = act.parent.value();
    let name = act.parent.key.name.to_string();
    let node = text(act.body, "target.name");
    let pods = Resource::new("", "pods");
    let refuse = |why: String| Err(Problem::conflict(&pods, &name, &why));
    if node.is_empty() {
        let fault = meta::Fault::required("target.name", "");
        return Err(Problem::invalid("", "Binding", &name, &[fault]));
    }
    if act.parent.head.deleted.is_some() {
        return refuse(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let current = text(&pod, "spec.nodeName");
    if !current.is_empty() {
        return refuse(format!("pod {name} is already assigned to node {current:?}"));
    }
    if !list(&pod, "spec.schedulingGates").is_empty() {
        return refuse(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    pod["spec"]["nodeName"] = node.into();
    for (key, value) in
        act.body.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten()
    {
        pod["metadata"]["annotations"][key] = value.clone();
    }
    for (key, value) in
        act.body.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten()
    {
        pod["metadata"]["labels"][key] = value.clone();
    }
    set_scheduled(&mut pod, act.now);
    let answer = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Ok(Effect::Write { parent: pod, answer })
}

fn set_scheduled(pod: &mut Value, now: meta::Time) {
    let generation = int(pod, "metadata.generation");
    let condition = json!({
        "type": "PodScheduled",
        "status": "True",
        "observedGeneration": generation,
        "lastProbeTime": null,
        "lastTransitionTime": now.rfc3339(),
    });
    let conditions = &mut pod["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let conditions = conditions.as_array_mut().expect("made an array above");
    conditions.retain(|c| c["type"] != "PodScheduled");
    conditions.push(condition);
}

/// Whether a pod no longer holds resources.
pub(crate) fn is_terminal(pod: &Value) -> bool {
    matches!(text(pod, "status.phase").as_str(), "Failed" | "Succeeded")
}

/// Whether the Ready condition is True.
pub(crate) fn is_ready(pod: &Value) -> bool {
    list(pod, "status.conditions").iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// Init containers that keep running beside the others.
pub(crate) fn is_sidecar(container: &Value) -> bool {
    text(container, "restartPolicy") == "Always"
}

/// Whether a container status says ready.
pub(crate) fn ready(status: &Value) -> bool {
    flag(status, "ready")
}
