//! What the scheduler reads: tolerations, affinity, spread (core `validation.go`: ValidateTolerations,
//! validateAffinity, validateTopologySpreadConstraints).

use super::selector::{label_key, labels, selector};
use super::{Faults, Node};
use meta::Fault;
use meta::names::{label_value, qualified_name};

pub(crate) fn all(spec: &Node<'_>, faults: &mut Faults) {
    labels(&spec.at("nodeSelector"), faults);
    spec.at("tolerations").items().for_each(|t| toleration(&t, faults));
    affinity(&spec.at("affinity"), faults);
    spread(&spec.at("topologySpreadConstraints"), faults);
}

const EFFECTS: &[&str] = &["NoExecute", "NoSchedule", "PreferNoSchedule"];

fn toleration(node: &Node<'_>, faults: &mut Faults) {
    let (key, operator, value) = (node.at("key"), node.at("operator"), node.at("value"));
    if !key.is_empty() {
        label_key(&key, faults);
    } else if operator.str() != "Exists" {
        operator.invalid("operator must be Exists when `key` is empty, which means \"match all values and all keys\"", faults);
    }
    if node.at("tolerationSeconds").is_set() && node.at("effect").str() != "NoExecute" {
        node.at("effect")
            .invalid("effect must be 'NoExecute' when `tolerationSeconds` is set", faults);
    }
    match operator.str() {
        "" | "Equal" => {
            if let Some(why) = label_value(value.str()).first() {
                operator.invalid(why.clone(), faults);
            }
        }
        "Exists" if !value.is_empty() => {
            operator.invalid("value must be empty when `operator` is 'Exists'", faults);
        }
        _ => operator.one_of(&["Equal", "Exists"], faults),
    }
    node.at("effect").one_of(EFFECTS, faults);
}

fn affinity(node: &Node<'_>, faults: &mut Faults) {
    let nodes = node.at("nodeAffinity");
    let required = nodes.at("requiredDuringSchedulingIgnoredDuringExecution");
    if required.is_set() {
        node_selector(&required, faults);
    }
    for term in nodes.at("preferredDuringSchedulingIgnoredDuringExecution").items() {
        weight(&term, faults);
        node_term(&term.at("preference"), faults);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let pods = node.at(kind);
        for term in pods.at("requiredDuringSchedulingIgnoredDuringExecution").items() {
            pod_term(&term, faults);
        }
        for term in pods.at("preferredDuringSchedulingIgnoredDuringExecution").items() {
            weight(&term, faults);
            pod_term(&term.at("podAffinityTerm"), faults);
        }
    }
}

fn weight(term: &Node<'_>, faults: &mut Faults) {
    if !(1..=100).contains(&term.at("weight").int()) {
        term.at("weight").invalid("must be in the range 1-100", faults);
    }
}

/// ValidateNodeSelector
pub(crate) fn node_selector(node: &Node<'_>, faults: &mut Faults) {
    let terms = node.at("nodeSelectorTerms");
    let why = "must have at least one node selector term";
    if terms.require_why(why, faults) {
        terms.items().for_each(|t| node_term(&t, faults));
    }
}

fn node_term(term: &Node<'_>, faults: &mut Faults) {
    term.at("matchExpressions").items().for_each(|r| node_requirement(&r, faults));
    for field in term.at("matchFields").items() {
        let values = field.at("values");
        match field.at("operator").str() {
            "In" | "NotIn" if values.len() == 1 => {}
            "In" | "NotIn" => {
                let why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                faults.push(Fault::required(values.path, why));
            }
            _ => field.at("operator").invalid("not a valid selector operator", faults),
        }
        if field.at("key").str() != "metadata.name" {
            field.at("key").invalid("not a valid field selector key", faults);
        }
    }
}

fn node_requirement(node: &Node<'_>, faults: &mut Faults) {
    let values = node.at("values");
    match node.at("operator").str() {
        "In" | "NotIn" => {
            values.need_why("must be specified when `operator` is 'In' or 'NotIn'", faults)
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => values
            .forbid("may not be specified when `operator` is 'Exists' or 'DoesNotExist'", faults),
        "Exists" | "DoesNotExist" => {}
        "Gt" | "Lt" if values.len() != 1 => {
            let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            faults.push(Fault::required(values.path, why));
        }
        "Gt" | "Lt" => {}
        _ => node.at("operator").invalid("not a valid selector operator", faults),
    }
    label_key(&node.at("key"), faults);
}

fn pod_term(term: &Node<'_>, faults: &mut Faults) {
    selector(&term.at("labelSelector"), faults);
    selector(&term.at("namespaceSelector"), faults);
    for space in term.at("namespaces").items() {
        space.obey(meta::names::dns_label, faults);
    }
    if term.at("topologyKey").require_why("can not be empty", faults) {
        term.at("topologyKey").obey(qualified_name, faults);
    }
}

fn spread(list: &Node<'_>, faults: &mut Faults) {
    let mut seen = Vec::new();
    for node in list.items() {
        node.at("maxSkew").positive(faults);
        if node.at("topologyKey").require_why("can not be empty", faults) {
            node.at("topologyKey").obey(qualified_name, faults);
        }
        let action = node.at("whenUnsatisfiable");
        action.must_be(&["DoNotSchedule", "ScheduleAnyway"], faults);
        let pair = (node.at("topologyKey").str(), action.str());
        if seen.contains(&pair) {
            let both = format!("{{{}, {}}}", pair.0, pair.1);
            let path = format!("{}.{{topologyKey, whenUnsatisfiable}}", node.path);
            faults.push(Fault::duplicate(path, both));
        }
        seen.push(pair);
        node.at("minDomains").positive(faults);
        if node.at("minDomains").is_set() && action.str() != "DoNotSchedule" {
            let why = format!(
                "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}",
                action.str()
            );
            node.at("minDomains").invalid(why, faults);
        }
        for key in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            node.at(key).one_of(&["Honor", "Ignore"], faults);
        }
        selector(&node.at("labelSelector"), faults);
    }
}
