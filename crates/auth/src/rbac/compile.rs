//! From stored roles and bindings to [`Rbac`].

use super::rule::Rule;
use super::{Grant, Rbac, subject_key};
use crate::json::{items, text, texts};
use meta::{Resource, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{Object, View};

const GROUP: &str = "rbac.authorization.k8s.io";
const TABLES: [&str; 4] = ["clusterrolebindings", "clusterroles", "rolebindings", "roles"];

/// Role rules by `(namespace, name)`; ClusterRoles have namespace `""`.
type Roles = BTreeMap<(String, String), Arc<[Rule]>>;

/// The revision of the last change of each RBAC table: differs whenever any of their objects does.
pub fn stamp(view: &View) -> [u64; 4] {
    TABLES.map(|table| view.touched(&Resource::new(GROUP, table)))
}

impl Rbac {
    pub fn compile(view: &View) -> Self {
        let roles = roles(view);
        let mut rbac = Self::default();
        for table in ["clusterrolebindings", "rolebindings"] {
            for binding in view.list(&Resource::new(GROUP, table), None) {
                rbac.bind(binding, &roles);
            }
        }
        rbac
    }

    fn bind(&mut self, binding: &Object, roles: &Roles) {
        let value = binding.value();
        let (kind, role) = (text(&value, "/roleRef/kind"), text(&value, "/roleRef/name"));
        let namespace = &*binding.key.namespace;
        let home = if kind == "Role" { namespace } else { "" };
        let rules = roles.get(&(home.to_string(), role.to_string()));
        for subject in items(&value, "/subjects") {
            let Some((key, shown)) = subject_of(subject, namespace) else { continue };
            let at = u32::try_from(self.grants.len()).expect("fewer than 4 billion bindings");
            self.by_subject.entry(key).or_default().push(at);
            self.grants.push(Grant {
                namespace: namespace.into(),
                binding: (&*binding.key.name).into(),
                role_kind: kind.into(),
                role: role.into(),
                subject: shown.into(),
                rules: rules.cloned(),
            });
        }
    }
}

/// The index key of a subject and how reasons print it.
fn subject_of(subject: &Value, binding_namespace: &str) -> Option<(String, String)> {
    let name = text(subject, "/name");
    match text(subject, "/kind") {
        "User" => Some((subject_key("u", name, binding_namespace), format!("User {name:?}"))),
        "Group" => Some((subject_key("g", name, binding_namespace), format!("Group {name:?}"))),
        "ServiceAccount" => {
            let own = text(subject, "/namespace");
            let home = if own.is_empty() { binding_namespace } else { own };
            let user = format!("system:serviceaccount:{home}:{name}");
            let shown = format!("{name}/{home}");
            let key = subject_key("u", &user, binding_namespace);
            Some((key, format!("ServiceAccount {shown:?}")))
        }
        _ => None,
    }
}

fn roles(view: &View) -> Roles {
    let mut out = Roles::new();
    for role in view.list(&Resource::new(GROUP, "roles"), None) {
        let key = (role.key.namespace.to_string(), role.key.name.to_string());
        out.insert(key, rules_in(&role.value()).into());
    }
    let cluster = cluster_roles(view);
    for name in cluster.keys() {
        let mut rules = Vec::new();
        unite(name, &cluster, &mut BTreeSet::new(), &mut rules);
        out.insert((String::new(), name.clone()), rules.into());
    }
    out
}

fn cluster_roles(view: &View) -> BTreeMap<String, ClusterRole> {
    view.list(&Resource::new(GROUP, "clusterroles"), None)
        .map(|role| (role.key.name.to_string(), ClusterRole::parse(role)))
        .collect()
}

/// Aggregated ClusterRoles whose stored rules are not the union they should be, with that union
/// (upstream `pkg/controller/clusterroleaggregation`).
pub fn outdated_unions(view: &View) -> Vec<(String, Vec<Rule>)> {
    let cluster = cluster_roles(view);
    let mut out = Vec::new();
    for (name, role) in cluster.iter().filter(|(_, role)| role.selectors.is_some()) {
        let mut all = Vec::new();
        unite(name, &cluster, &mut BTreeSet::new(), &mut all);
        let mut seen = BTreeSet::new();
        all.retain(|rule| seen.insert(rule.clone()));
        if all != role.rules {
            out.push((name.clone(), all));
        }
    }
    out
}

struct ClusterRole {
    rules: Vec<Rule>,
    labels: BTreeMap<String, String>,
    /// Label selectors of the roles it unites; `None` when it is an ordinary role.
    selectors: Option<Vec<Value>>,
}

impl ClusterRole {
    fn parse(role: &Object) -> Self {
        let value = role.value();
        let selectors = value.pointer("/aggregationRule/clusterRoleSelectors");
        let labels = role.head.labels.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        Self {
            rules: rules_in(&value),
            labels: labels.collect(),
            selectors: selectors.and_then(Value::as_array).cloned(),
        }
    }
}

fn rules_in(role: &Value) -> Vec<Rule> {
    items(role, "/rules").iter().map(Rule::parse).collect()
}

/// Appends the rules of `name`, following aggregation; each role once.
fn unite(
    name: &str,
    all: &BTreeMap<String, ClusterRole>,
    seen: &mut BTreeSet<String>,
    out: &mut Vec<Rule>,
) {
    let Some(role) = all.get(name).filter(|_| seen.insert(name.to_string())) else { return };
    let Some(selectors) = &role.selectors else {
        out.extend(role.rules.iter().cloned());
        return;
    };
    for (other, candidate) in all {
        if selectors.iter().any(|s| selects(s, &candidate.labels)) {
            unite(other, all, seen, out);
        }
    }
}

/// `metav1.LabelSelector`; an unknown operator selects nothing.
fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let exact = selector.pointer("/matchLabels").and_then(Value::as_object);
    exact.into_iter().flatten().all(|(k, v)| labels.get(k).map(String::as_str) == v.as_str())
        && items(selector, "/matchExpressions").iter().all(|e| expression(e, labels))
}

fn expression(expression: &Value, labels: &BTreeMap<String, String>) -> bool {
    let found = labels.get(text(expression, "/key"));
    let listed = found.is_some_and(|v| texts(expression, "/values").any(|wanted| wanted == v));
    match text(expression, "/operator") {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        _ => false,
    }
}
