//! PodDisruptionBudgets, PriorityClasses, RuntimeClasses, Leases (upstream
//! `pkg/apis/{policy,scheduling,node,coordination}/validation/validation.go`).

use super::names::{amount_or_percent, at_most_all};
use super::selector::selector;
use super::{Faults, Node};
use meta::{Fault, Value};

pub(crate) fn budget(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    let spec = Node::root(new).at("spec");
    let (least, most) = (spec.at("minAvailable"), spec.at("maxUnavailable"));
    if least.is_set() && most.is_set() {
        spec.invalid("minAvailable and maxUnavailable cannot be both set", faults);
    }
    for amount in [least, most].iter().filter(|a| a.is_set()) {
        amount_or_percent(amount, faults);
        at_most_all(amount, faults);
    }
    selector(&spec.at("selector"), faults);
    spec.at("unhealthyPodEvictionPolicy").one_of(&["AlwaysAllow", "IfHealthyBudget"], faults);
}

/// The highest value a user may give.
const HIGHEST: i64 = 1_000_000_000;

pub(crate) fn priority_class(new: &Value, faults: &mut Faults) {
    let root = Node::root(new);
    let (name, value) = (root.at("metadata.name").str(), root.at("value").int());
    let system = matches!(
        (name, value),
        ("system-node-critical", 2_000_001_000) | ("system-cluster-critical", 2_000_000_000)
    );
    if name.starts_with("system-") && !system {
        let why = "priority class names with 'system-' prefix are reserved for system use only. error: \
                   name is not a system priority class";
        root.at("metadata.name")
            .forbid(why.replace("name is not", &format!("{name} is not")), faults);
    }
    if value > HIGHEST && !system {
        let why = format!("maximum allowed value of a user defined priority is {HIGHEST}");
        root.at("value").forbid(why, faults);
    }
    root.at("preemptionPolicy").one_of(&["Never", "PreemptLowerPriority"], faults);
}

pub(crate) fn runtime_class(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let handler = Node::root(new).at("handler");
    if handler.is_empty() {
        let rule = meta::names::dns_label("");
        faults.extend(rule.into_iter().map(|why| Fault::invalid(&handler.path, "", why)));
    }
    handler.obey(meta::names::dns_label, faults);
    if let Some(old) = old {
        handler.immutable(&Node::root(old).at("handler"), faults);
    }
}

pub(crate) fn lease(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    let spec = Node::root(new).at("spec");
    spec.at("leaseDurationSeconds").positive(faults);
    spec.at("leaseTransitions").not_negative(faults);
}
