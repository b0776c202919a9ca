//! Roles and bindings (upstream `pkg/apis/rbac/validation/validation.go`).

use super::{Faults, Node};
use meta::{Fault, Value};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Roles and ClusterRoles; only the latter have rules for paths.
pub(crate) fn role(new: &Value, _: Option<&Value>, faults: &mut Faults) {
    let root = Node::root(new);
    let namespaced = !root.at("metadata.namespace").is_empty();
    for rule in root.at("rules").items() {
        rule.at("verbs").require_why("verbs must contain at least one value", faults);
        let paths = rule.at("nonResourceURLs");
        if !paths.is_empty() {
            if namespaced {
                let why = "namespaced rules cannot apply to non-resource URLs";
                paths.invalid(why, faults);
            }
            if !rule.at("apiGroups").is_empty() || !rule.at("resources").is_empty() {
                let why = "rules cannot apply to both regular resources and non-resource URLs";
                paths.invalid(why, faults);
            }
            continue;
        }
        let why = "resource rules must supply at least one api group";
        rule.at("apiGroups").require_why(why, faults);
        rule.at("resources")
            .require_why("resource rules must supply at least one resource", faults);
    }
}

pub(crate) fn binding(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let root = Node::root(new);
    let namespaced = !root.at("metadata.namespace").is_empty();
    let role = root.at("roleRef");
    role.at("apiGroup").one_of(&[GROUP], faults);
    let kinds: &[&str] = if namespaced { &["ClusterRole", "Role"] } else { &["ClusterRole"] };
    if !kinds.contains(&role.at("kind").str()) {
        let kind = role.at("kind");
        faults.push(Fault::not_supported(&kind.path, kind.str(), kinds));
    }
    if role.at("name").require(faults) {
        role.at("name").obey(meta::names::path_segment, faults);
    }
    root.at("subjects").items().for_each(|s| subject(&s, namespaced, faults));
    if let Some(old) = old.map(Node::root)
        && !super::same(role.value, old.at("roleRef").value)
    {
        role.invalid("cannot change roleRef", faults);
    }
}

fn subject(node: &Node<'_>, namespaced: bool, faults: &mut Faults) {
    node.at("name").require(faults);
    match node.at("kind").str() {
        "ServiceAccount" => {
            node.at("name").obey(meta::names::dns_subdomain, faults);
            node.at("apiGroup").one_of(&[""], faults);
            if !namespaced {
                node.at("namespace").require(faults);
            }
        }
        "User" | "Group" => node.at("apiGroup").one_of(&[GROUP], faults),
        kind => {
            let known = &["Group", "ServiceAccount", "User"];
            faults.push(Fault::not_supported(node.at("kind").path, kind, known));
        }
    }
}
