//! Deployments, ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers and PodTemplates
//! (upstream `pkg/apis/apps/validation/validation.go`, and core's for the last two).

use super::names::{amount_or_percent, at_most_all, is_zero};
use super::selector::{is_all, labels, selector, selects};
use super::{Faults, Node, pod};
use meta::{Fault, Value};

const MISMATCH: &str = "`selector` does not match template `labels`";

/// Selector and template of a workload whose pods always restart.
fn selected(spec: &Node<'_>, kind: &str, empty: &str, faults: &mut Faults) {
    let chosen = spec.at("selector");
    if !chosen.is_set() {
        faults.push(Fault::required(&chosen.path, ""));
    } else {
        selector(&chosen, faults);
        if is_all(&chosen) {
            chosen.invalid(empty, faults);
        }
    }
    let template = spec.at("template");
    matches(&chosen, &template, faults);
    if kind == "StatefulSet" {
        let shown = template.at("metadata.labels");
        labels(&Node::new(shown.value, template.at("labels").path), faults);
    } else {
        pod::template(&template, faults);
    }
    always(&template, kind, faults);
}

fn matches(chosen: &Node<'_>, template: &Node<'_>, faults: &mut Faults) {
    let labels = template.at("metadata.labels");
    let nothing = chosen.is_set() && is_all(chosen);
    if chosen.is_set() && !nothing && !selects(chosen.value, labels.value) {
        labels.invalid(MISMATCH, faults);
    }
}

fn always(template: &Node<'_>, kind: &str, faults: &mut Faults) {
    template.at("spec.restartPolicy").one_of(&["Always"], faults);
    let deadline = template.at("spec.activeDeadlineSeconds");
    if deadline.is_set() {
        deadline.forbid(format!("activeDeadlineSeconds in {kind} is not Supported"), faults);
    }
}

fn keeps_selector(new: &Node<'_>, old: Option<&Value>, faults: &mut Faults) {
    if let Some(old) = old {
        new.at("spec.selector").immutable(&Node::root(old).at("spec.selector"), faults);
    }
}

pub(crate) fn deployment(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let root = Node::root(new);
    let spec = root.at("spec");
    spec.at("replicas").not_negative(faults);
    selected(&spec, "ReplicaSet", "empty selector is invalid for deployment", faults);
    strategy(&spec.at("strategy"), faults);
    for key in ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
        spec.at(key).not_negative(faults);
    }
    let deadline = spec.at("progressDeadlineSeconds");
    if deadline.is_set() && deadline.int() <= spec.at("minReadySeconds").int() {
        deadline.invalid("must be greater than minReadySeconds", faults);
    }
    keeps_selector(&root, old, faults);
}

fn strategy(node: &Node<'_>, faults: &mut Faults) {
    let rolling = node.at("rollingUpdate");
    match node.at("type").str() {
        "Recreate" if rolling.is_set() => {
            rolling.forbid("may not be specified when strategy `type` is 'Recreate'", faults);
        }
        "Recreate" => {}
        "RollingUpdate" if !rolling.is_set() => {
            faults
                .push(Fault::required(&rolling.path, "this should be defaulted and never be nil"));
        }
        "RollingUpdate" => {
            let (down, up) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
            amount_or_percent(&down, faults);
            amount_or_percent(&up, faults);
            if is_zero(&down) && is_zero(&up) {
                down.invalid("may not be 0 when `maxSurge` is 0", faults);
            }
            at_most_all(&down, faults);
        }
        _ => {
            let known = &["Recreate", "RollingUpdate"];
            faults.push(Fault::not_supported(&node.path, node.value.clone(), known));
        }
    }
}

pub(crate) fn replica_set(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let root = Node::root(new);
    let spec = root.at("spec");
    spec.at("replicas").not_negative(faults);
    spec.at("minReadySeconds").not_negative(faults);
    selected(&spec, "ReplicaSet", "empty selector is invalid for deployment", faults);
    keeps_selector(&root, old, faults);
}

pub(crate) fn daemon_set(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let root = Node::root(new);
    let spec = root.at("spec");
    selected(&spec, "DaemonSet", "empty selector is invalid for daemonset", faults);
    spec.at("minReadySeconds").not_negative(faults);
    daemon_update(&spec.at("updateStrategy"), faults);
    spec.at("revisionHistoryLimit").not_negative(faults);
    keeps_selector(&root, old, faults);
}

fn daemon_update(node: &Node<'_>, faults: &mut Faults) {
    let rolling = node.at("rollingUpdate");
    match node.at("type").str() {
        "OnDelete" => {}
        "RollingUpdate" if !rolling.is_set() => faults.push(Fault::required(&rolling.path, "")),
        "RollingUpdate" => {
            let (down, up) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
            for amount in [&down, &up] {
                amount_or_percent(amount, faults);
                at_most_all(amount, faults);
            }
            match (is_zero(&down), is_zero(&up)) {
                (true, true) => {
                    let why = "cannot be 0 when maxSurge is 0";
                    faults.push(Fault::required(&down.path, why));
                }
                (false, false) => {
                    up.invalid("may not be set when maxUnavailable is non-zero", faults);
                }
                _ => {}
            }
        }
        _ => {
            let known = &["OnDelete", "RollingUpdate"];
            faults.push(Fault::not_supported(&node.path, node.value.clone(), known));
        }
    }
}

/// What an update of a StatefulSet's spec may change.
const MUTABLE: &[&str] = &[
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];
const FROZEN: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

pub(crate) fn stateful_set(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let spec = Node::root(new).at("spec");
    let policies = "must be 'OrderedReady' or 'Parallel'";
    if !matches!(spec.at("podManagementPolicy").str(), "OrderedReady" | "Parallel") {
        spec.at("podManagementPolicy").invalid(policies, faults);
    }
    stateful_update(&spec.at("updateStrategy"), faults);
    for key in ["whenDeleted", "whenScaled"] {
        let policy = spec.at("persistentVolumeClaimRetentionPolicy").at(key);
        policy.one_of(&["Delete", "Retain"], faults);
    }
    for key in ["replicas", "minReadySeconds", "revisionHistoryLimit", "ordinals.start"] {
        spec.at(key).not_negative(faults);
    }
    selected(&spec, "StatefulSet", "empty selector is invalid for statefulset", faults);
    if let Some(old) = old.map(|o| &o["spec"]) {
        let rest = |v: &Value| {
            let mut v = v.clone();
            v.as_object_mut().into_iter().for_each(|o| o.retain(|k, _| !MUTABLE.contains(&&**k)));
            v
        };
        if !super::same(&rest(spec.value), &rest(old)) {
            spec.forbid(FROZEN, faults);
        }
    }
}

fn stateful_update(node: &Node<'_>, faults: &mut Faults) {
    let rolling = node.at("rollingUpdate");
    match node.at("type").str() {
        "OnDelete" if rolling.is_set() => {
            rolling.invalid("only allowed for updateStrategy 'RollingUpdate'", faults);
        }
        "OnDelete" => {}
        "RollingUpdate" => {
            rolling.at("partition").not_negative(faults);
            let down = rolling.at("maxUnavailable");
            if down.is_set() {
                amount_or_percent(&down, faults);
                at_most_all(&down, faults);
                if is_zero(&down) {
                    down.invalid("cannot be 0", faults);
                }
            }
        }
        _ => node.invalid("must be 'RollingUpdate' or 'OnDelete'", faults),
    }
}

/// ValidateReplicationController: the selector is a map, and may change.
pub(crate) fn replication_controller(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    let spec = Node::root(new).at("spec");
    spec.at("minReadySeconds").not_negative(faults);
    spec.at("replicas").not_negative(faults);
    let (chosen, template) = (spec.at("selector"), spec.at("template"));
    chosen.require(faults);
    if !template.is_set() {
        faults.push(Fault::required(&template.path, ""));
        return;
    }
    let given = template.at("metadata.labels");
    if chosen.entries().any(|(k, v)| given.value.get(k) != Some(v.value)) {
        given.invalid(MISMATCH, faults);
    }
    pod::template(&template, faults);
    always(&template, "ReplicationController", faults);
}

pub(crate) fn pod_template(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    pod::template(&Node::root(new).at("template"), faults);
}

pub(crate) fn controller_revision(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let root = Node::root(new);
    root.at("data").require_why("data is mandatory", faults);
    root.at("revision").not_negative(faults);
    if let Some(old) = old {
        root.at("data").immutable(&Node::root(old).at("data"), faults);
    }
}
