//! What an update of a pod may change (core `validation.go`: ValidatePodUpdate).

use super::{Faults, Node, same};
use meta::Value;

const MAY: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(crate) fn check(new: &Node<'_>, old: &Node<'_>, faults: &mut Faults) {
    let (new, old) = (new.at("spec"), old.at("spec"));
    for list in ["containers", "initContainers"] {
        if new.at(list).len() != old.at(list).len() {
            new.at(list).forbid("pod updates may not add or remove containers", faults);
            return;
        }
    }
    deadline(&new.at("activeDeadlineSeconds"), &old.at("activeDeadlineSeconds"), faults);
    gates(&new.at("schedulingGates"), &old.at("schedulingGates"), faults);
    tolerations(&new.at("tolerations"), &old.at("tolerations"), faults);
    let munged = munge(new.value, old.value);
    if !same(&munged, old.value) {
        let mut lines = Vec::new();
        differences("", old.value, &munged, &mut lines);
        new.forbid(format!("{MAY}\n{}", lines.join("\n")), faults);
    }
}

fn deadline(new: &Node<'_>, old: &Node<'_>, faults: &mut Faults) {
    match (new.value.as_i64(), old.value.as_i64()) {
        (Some(new_value), Some(before)) if new_value > before => {
            new.invalid("must be less than or equal to previous value", faults);
        }
        (None, Some(_)) => {
            new.invalid("must not update from a positive integer to nil value", faults)
        }
        _ => {}
    }
}

fn gates(new: &Node<'_>, old: &Node<'_>, faults: &mut Faults) {
    for gate in new.items().filter(|gate| old.items().all(|o| o.value != gate.value)) {
        let name = gate.at("name");
        let why =
            format!("only deletion is allowed, but found new scheduling gate '{}'", name.str());
        gate.forbid(why, faults);
    }
}

/// validateOnlyAddedTolerations: `tolerationSeconds` may change as well.
fn tolerations(new: &Node<'_>, old: &Node<'_>, faults: &mut Faults) {
    let timeless = |v: &Value| {
        let mut v = v.clone();
        v.as_object_mut().map(|o| o.remove("tolerationSeconds"));
        v
    };
    let kept = |o: &Node<'_>| new.items().any(|n| same(&timeless(n.value), &timeless(o.value)));
    if !old.items().all(|o| kept(&o)) {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        new.forbid(why, faults);
    }
}

/// The new spec with what may change taken from the old one.
fn munge(new: &Value, old: &Value) -> Value {
    let mut out = new.clone();
    for list in ["containers", "initContainers"] {
        let before = old.get(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let now = out.get_mut(list).and_then(Value::as_array_mut);
        for (container, before) in now.into_iter().flatten().zip(before) {
            copy(container, before, "image");
        }
    }
    for key in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        copy(&mut out, old, key);
    }
    let negative = old["terminationGracePeriodSeconds"].as_i64().is_some_and(|s| s < 0);
    if negative && out["terminationGracePeriodSeconds"] == 1 {
        copy(&mut out, old, "terminationGracePeriodSeconds");
    }
    if !super::is_empty(&old["schedulingGates"]) {
        copy(&mut out, old, "nodeSelector");
        copy(&mut out, old, "affinity");
    }
    out
}

fn copy(to: &mut Value, from: &Value, key: &str) {
    let Some(object) = to.as_object_mut() else { return };
    match from.get(key) {
        Some(value) => drop(object.insert(key.into(), value.clone())),
        None => drop(object.remove(key)),
    }
}

/// One line per leaf that differs.
fn differences(path: &str, old: &Value, new: &Value, out: &mut Vec<String>) {
    if same(old, new) {
        return;
    }
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for key in keys {
                differences(&format!("{path}.{key}"), &old[key.as_str()], &new[key.as_str()], out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}[{i}]"), a, b, out);
            }
        }
        _ => {
            out.push(format!("- {path}: {old}"));
            out.push(format!("+ {path}: {new}"));
        }
    }
}
