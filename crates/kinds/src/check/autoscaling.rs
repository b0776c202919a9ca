//! HorizontalPodAutoscalers (upstream `pkg/apis/autoscaling/validation/validation.go`).

use super::{Faults, Node};
use meta::{Fault, Value};

pub(crate) fn autoscaler(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    let spec = Node::root(new).at("spec");
    let (least, most) = (spec.at("minReplicas"), spec.at("maxReplicas"));
    if least.is_set() && least.int() < 1 {
        least.invalid("must be greater than or equal to 1", faults);
    }
    if most.int() < 1 {
        faults.push(Fault::invalid(&most.path, most.int(), "must be greater than 0"));
    }
    if least.is_set() && most.int() < least.int() {
        let why = "must be greater than or equal to `minReplicas`";
        faults.push(Fault::invalid(&most.path, most.int(), why));
    }
    let target = spec.at("scaleTargetRef");
    target.at("kind").require(faults);
    target.at("name").require(faults);
    spec.at("metrics").items().for_each(|m| metric(&m, faults));
}

const SOURCES: &[(&str, &str)] = &[
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

fn metric(node: &Node<'_>, faults: &mut Faults) {
    let kind = node.at("type");
    if !kind.require_why("must specify a metric source type", faults) {
        return;
    }
    let known: Vec<_> = SOURCES.iter().map(|(kind, _)| *kind).collect();
    kind.one_of(&known, faults);
    let Some((_, key)) = SOURCES.iter().find(|(k, _)| *k == kind.str()) else { return };
    let source = node.at(key);
    if !source.is_set() {
        let why = "must populate information for the given metric source";
        faults.push(Fault::required(&source.path, why));
    }
    for (_, other) in SOURCES.iter().filter(|(_, k)| k != key && node.at(k).is_set()) {
        let why = "must populate the given metric source only";
        node.at(other).forbid(why, faults);
    }
}
