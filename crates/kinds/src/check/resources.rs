//! Compute resources (core `validation.go`: ValidateContainerResourceRequirements and what it calls).

use super::{Faults, NEGATIVE, Node};
use meta::{Fault, Quantity, Value};

/// `resources` of a container.
pub(crate) fn container(node: &Node<'_>, faults: &mut Faults) {
    let (limits, requests) = (node.at("limits"), node.at("requests"));
    for (name, amount) in limits.entries().chain(requests.entries()) {
        resource_name(name, &amount, faults);
        quantity(name, &amount, faults);
    }
    for (name, request) in requests.entries() {
        let limit = limits.key(name);
        let (Some(wanted), Some(most)) = (parse(request.value), parse(limit.value)) else {
            if !overcommits(name) && !limit.is_set() {
                let why = "Limit must be set for non overcommitable resources";
                faults.push(Fault::required(&limits.path, why));
            }
            continue;
        };
        let shown = shown(limit.value);
        let why = match wanted.partial_cmp(&most) {
            Some(std::cmp::Ordering::Equal) => continue,
            _ if !overcommits(name) => format!("must be equal to {name} limit of {shown}"),
            Some(std::cmp::Ordering::Greater) => {
                format!("must be less than or equal to {name} limit of {shown}")
            }
            _ => continue,
        };
        faults.push(Fault::invalid(&requests.path, request.value.clone(), why));
    }
}

pub(crate) fn parse(value: &Value) -> Option<Quantity> {
    Quantity::parse(&crate::table::plain(value)).ok()
}

fn shown(value: &Value) -> String {
    crate::table::plain(value)
}

/// Resources of the node that a pod may ask more of than it is limited to: those without a domain.
fn overcommits(name: &str) -> bool {
    !name.starts_with("hugepages-") && (!name.contains('/') || name.starts_with("kubernetes.io/"))
}

/// ValidateResourceQuantityValue
pub(crate) fn quantity(name: &str, node: &Node<'_>, faults: &mut Faults) {
    let Some(amount) = parse(node.value) else {
        node.invalid("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'", faults);
        return;
    };
    if amount.as_f64() < 0.0 {
        node.invalid(NEGATIVE, faults);
    } else if name.contains('/') && amount.milli_value() % 1000 != 0 {
        node.invalid("must be an integer", faults);
    }
}

/// validateContainerResourceName
fn resource_name(name: &str, node: &Node<'_>, faults: &mut Faults) {
    for why in meta::names::qualified_name(name) {
        faults.push(Fault::invalid(&node.path, name, why));
    }
    let standard = matches!(name, "cpu" | "memory" | "ephemeral-storage");
    if !name.contains('/') && !standard && !name.starts_with("hugepages-") {
        faults.push(Fault::invalid(&node.path, name, "must be a standard resource for containers"));
    }
}
