//! The roles and bindings every cluster starts with, and what of them is missing
//! (upstream `pkg/registry/rbac/reconciliation`).
//!
//! Reconciling only ever adds: rules and subjects that somebody else put there stay, and an object whose
//! autoupdate annotation is `"false"` is left alone.

mod controllers;
mod table;
#[cfg(test)]
mod tests;

use crate::json::items;
use crate::rbac::{Rule, outdated_unions};
use controllers::CONTROLLERS;
use meta::{Gvr, Map, Value};
use serde_json::json;
use store::{Key, View};
use table::{AGGREGATED, BINDINGS, LOCALS, ROLES};

const GROUP: &str = "rbac.authorization.k8s.io";
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// An object to create, or to update when `exists`.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub resource: Gvr,
    /// `""` at cluster scope.
    pub namespace: String,
    pub name: String,
    pub exists: bool,
    pub value: Value,
}

/// The parsed rules of one ClusterRole of the table; empty for an unknown name.
pub fn rules_of(role: &str) -> Vec<Rule> {
    let row = ROLES.iter().find(|row| row.name == role);
    row.map(|row| rules(row.rules)).unwrap_or_default()
}

/// What has to be written so that `view` holds the whole bootstrap policy. Empty when it does.
pub fn reconcile(view: &View) -> Vec<Wanted> {
    policy().into_iter().filter_map(|wanted| missing(wanted, view)).collect()
}

/// Updates that bring the stored rules of aggregated ClusterRoles up to date: the whole plan of the
/// clusterrole-aggregation controller. Authorisation does not wait for them.
pub fn aggregate(view: &View) -> Vec<Wanted> {
    let update = |(name, rules): (String, Vec<Rule>)| {
        let mut role = wanted("clusterroles", "", &name, Value::Null);
        let stored = view.get(&Key::new(&role.resource.resource(), "", &name))?;
        role.exists = true;
        role.value = stored.value();
        role.value["rules"] = rules.iter().map(Rule::to_value).collect();
        Some(role)
    };
    outdated_unions(view).into_iter().filter_map(update).collect()
}

fn policy() -> Vec<Wanted> {
    let mut out = Vec::new();
    for (name, part_of) in AGGREGATED {
        let label = format!("{GROUP}/aggregate-to-{name}");
        let mut role = object("ClusterRole", "", name, part_of);
        role["aggregationRule"] =
            json!({ "clusterRoleSelectors": [{ "matchLabels": { label: "true" } }] });
        role["rules"] = json!([]);
        out.push(wanted("clusterroles", "", name, role));
    }
    for row in ROLES {
        out.push(role("ClusterRole", "", row.name, row.part_of, row.rules));
    }
    for row in BINDINGS {
        out.push(binding("", row.role, "ClusterRole", row.role, row.subjects));
    }
    for (name, rules) in CONTROLLERS {
        let full = format!("system:controller:{name}");
        let account = format!("s:kube-system/{name}");
        out.push(role("ClusterRole", "", &full, "", rules));
        out.push(binding("", &full, "ClusterRole", &full, &[&account]));
    }
    for row in LOCALS {
        out.push(role("Role", row.namespace, row.name, "", row.rules));
        if !row.binding.is_empty() {
            out.push(binding(row.namespace, row.binding, "Role", row.name, row.subjects));
        }
    }
    out
}

fn wanted(resource: &str, namespace: &str, name: &str, value: Value) -> Wanted {
    let resource = Gvr::new(GROUP, "v1", resource);
    Wanted { resource, namespace: namespace.into(), name: name.into(), exists: false, value }
}

fn object(kind: &str, namespace: &str, name: &str, part_of: &str) -> Value {
    let mut labels = Map::new();
    labels.insert("kubernetes.io/bootstrapping".into(), "rbac-defaults".into());
    if !part_of.is_empty() {
        labels.insert(format!("{GROUP}/aggregate-to-{part_of}"), "true".into());
    }
    let mut metadata = Map::new();
    metadata.insert("annotations".into(), json!({ AUTOUPDATE: "true" }));
    metadata.insert("labels".into(), labels.into());
    metadata.insert("name".into(), name.into());
    if !namespace.is_empty() {
        metadata.insert("namespace".into(), namespace.into());
    }
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata })
}

fn role(kind: &str, namespace: &str, name: &str, part_of: &str, texts: &[&str]) -> Wanted {
    let mut value = object(kind, namespace, name, part_of);
    value["rules"] = rules(texts).iter().map(Rule::to_value).collect();
    let resource = if kind == "Role" { "roles" } else { "clusterroles" };
    wanted(resource, namespace, name, value)
}

fn binding(namespace: &str, name: &str, kind: &str, role: &str, subjects: &[&str]) -> Wanted {
    let (own, resource) = if namespace.is_empty() {
        ("ClusterRoleBinding", "clusterrolebindings")
    } else {
        ("RoleBinding", "rolebindings")
    };
    let mut value = object(own, namespace, name, "");
    value["roleRef"] = json!({ "apiGroup": GROUP, "kind": kind, "name": role });
    if !subjects.is_empty() {
        value["subjects"] = subjects.iter().map(|s| subject(s)).collect();
    }
    wanted(resource, namespace, name, value)
}

fn subject(text: &str) -> Value {
    let (kind, name) = text.split_once(':').expect("the table writes kind:name");
    match kind {
        "g" => json!({ "apiGroup": GROUP, "kind": "Group", "name": name }),
        "u" => json!({ "apiGroup": GROUP, "kind": "User", "name": name }),
        _ => {
            let (namespace, name) =
                name.split_once('/').expect("the table writes s:namespace/name");
            json!({ "kind": "ServiceAccount", "name": name, "namespace": namespace })
        }
    }
}

fn rules(texts: &[&str]) -> Vec<Rule> {
    texts.iter().map(|text| rule(text)).collect()
}

/// Parses a rule as the table writes it; lists come out sorted, as upstream stores them.
fn rule(text: &str) -> Rule {
    let text =
        if text == "EVENTS" { "create,patch,update core,events.k8s.io events" } else { text };
    let mut parts = text.split(' ');
    let mut list = || {
        let words = parts.next().unwrap_or("").split(',').filter(|w| !w.is_empty());
        let mut words: Vec<String> = words.flat_map(expanded).map(str::to_string).collect();
        words.sort();
        words
    };
    let (verbs, second, resources, names) = (list(), list(), list(), list());
    if resources.is_empty() {
        return Rule { verbs, urls: second, ..Rule::default() };
    }
    Rule { verbs, groups: second, resources, names, urls: Vec::new() }
}

fn expanded(word: &str) -> Vec<&str> {
    match word {
        "R" => vec!["get", "list", "watch"],
        "W" => vec!["create", "delete", "deletecollection", "patch", "update"],
        "core" => vec![""],
        word => vec![word],
    }
}

/// `wanted` merged into what is stored; `None` when nothing is missing.
fn missing(wanted: Wanted, view: &View) -> Option<Wanted> {
    let key = Key::new(&wanted.resource.resource(), &wanted.namespace, &wanted.name);
    let Some(stored) = view.get(&key) else { return Some(wanted) };
    let before = stored.value();
    let annotation =
        |value: &Value| value.pointer("/metadata/annotations")?.get(AUTOUPDATE).cloned();
    if annotation(&before).is_some_and(|auto| auto != "true") {
        return None;
    }
    let mut after = before.clone();
    for list in ["rules", "subjects"] {
        add_items(&mut after, &wanted.value, list);
    }
    for map in ["labels", "annotations"] {
        add_members(&mut after, &wanted.value, map);
    }
    if let Some(union) = wanted.value.get("aggregationRule") {
        after["aggregationRule"] = union.clone();
    }
    (after != before).then_some(Wanted { exists: true, value: after, ..wanted })
}

fn add_items(after: &mut Value, wanted: &Value, list: &str) {
    let pointer = format!("/{list}");
    let known = items(after, &pointer);
    let new: Vec<_> =
        items(wanted, &pointer).iter().filter(|item| !known.contains(item)).cloned().collect();
    if !new.is_empty() {
        after[list] = known.iter().cloned().chain(new).collect();
    }
}

fn add_members(after: &mut Value, wanted: &Value, map: &str) {
    let wanted = wanted.pointer(&format!("/metadata/{map}")).and_then(Value::as_object);
    for (key, value) in wanted.into_iter().flatten() {
        after["metadata"][map][key] = value.clone();
    }
}
