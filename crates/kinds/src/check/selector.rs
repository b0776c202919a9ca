//! Label selectors (apimachinery `pkg/apis/meta/v1/validation/validation.go`) and what they select.

use super::{Faults, Node};
use meta::names::{label_value, qualified_name};
use meta::{Fault, Value};

/// ValidateLabels: keys and values are both reported at the map's path.
pub(crate) fn labels(node: &Node<'_>, faults: &mut Faults) {
    for (key, value) in node.entries() {
        for why in qualified_name(key) {
            faults.push(Fault::invalid(&node.path, key, why));
        }
        for why in label_value(value.str()) {
            faults.push(Fault::invalid(&node.path, value.str(), why));
        }
    }
}

/// ValidateLabelSelector; an absent one is fine.
pub(crate) fn selector(node: &Node<'_>, faults: &mut Faults) {
    labels(&node.at("matchLabels"), faults);
    node.at("matchExpressions").items().for_each(|item| requirement(&item, faults));
}

fn requirement(node: &Node<'_>, faults: &mut Faults) {
    let values = node.at("values");
    match node.at("operator").str() {
        "In" | "NotIn" => {
            values.need_why("must be specified when `operator` is 'In' or 'NotIn'", faults)
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => values
            .forbid("may not be specified when `operator` is 'Exists' or 'DoesNotExist'", faults),
        "Exists" | "DoesNotExist" => {}
        operator => faults.push(Fault::invalid(
            node.at("operator").path,
            operator,
            "not a valid selector operator",
        )),
    }
    label_key(&node.at("key"), faults);
    values.items().for_each(|value| value.obey(label_value, faults));
}

/// ValidateLabelName: also the empty key is wrong.
pub(crate) fn label_key(node: &Node<'_>, faults: &mut Faults) {
    for why in qualified_name(node.str()) {
        faults.push(Fault::invalid(&node.path, node.str(), why));
    }
}

/// Whether a LabelSelector holds for labels; an absent one selects nothing, an empty one everything
/// (LabelSelectorAsSelector).
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    if selector.is_null() {
        return false;
    }
    let selector = Node::root(selector);
    let equal = |(key, value): (&str, Node<'_>)| labels.get(key) == Some(value.value);
    let holds = |item: Node<'_>| {
        let label = labels.get(item.at("key").str()).filter(|l| !l.is_null());
        let listed = || item.at("values").items().any(|v| label == Some(v.value));
        match item.at("operator").str() {
            "In" => listed(),
            "NotIn" => !listed(),
            "Exists" => label.is_some(),
            "DoesNotExist" => label.is_none(),
            _ => false,
        }
    };
    selector.at("matchLabels").entries().all(equal)
        && selector.at("matchExpressions").items().all(holds)
}

pub(crate) fn is_all(selector: &Node<'_>) -> bool {
    selector.at("matchLabels").len() + selector.at("matchExpressions").len() == 0
}
