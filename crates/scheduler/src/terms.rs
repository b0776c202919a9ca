//! Selectors of affinity, made ready to match.

use k8s_openapi::api::core::v1::{
    NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, Toleration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::BTreeMap;

pub type Labels = BTreeMap<String, String>;

/// One requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    key: String,
    operator: String,
    values: Vec<String>,
}

impl Rule {
    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator.as_str() {
            "In" => value.is_some_and(|v| self.values.contains(v)),
            "NotIn" => value.is_none_or(|v| !self.values.contains(v)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" => self.compare(value, |have, want| have > want),
            "Lt" => self.compare(value, |have, want| have < want),
            _ => false,
        }
    }

    fn compare(&self, value: Option<&String>, holds: fn(i64, i64) -> bool) -> bool {
        let have = value.and_then(|v| v.parse().ok());
        let want = self.values.first().and_then(|v| v.parse().ok());
        matches!((have, want), (Some(have), Some(want)) if holds(have, want))
    }
}

/// All rules must hold. `None` (an absent selector) matches nothing, an empty one everything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rules(Option<Vec<Rule>>);

impl Rules {
    pub fn of(selector: Option<&LabelSelector>, extra: &[(String, String)]) -> Self {
        let Some(selector) = selector else { return Self(None) };
        let exact = selector.match_labels.iter().flatten();
        let extra = extra.iter().map(|(k, v)| (k, v));
        let mut rules: Vec<Rule> = exact
            .chain(extra)
            .map(|(k, v)| Rule { key: k.clone(), operator: "In".into(), values: vec![v.clone()] })
            .collect();
        rules.extend(selector.match_expressions.iter().flatten().map(|e| Rule {
            key: e.key.clone(),
            operator: e.operator.clone(),
            values: e.values.clone().unwrap_or_default(),
        }));
        Self(Some(rules))
    }

    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.as_ref().is_some_and(|rules| rules.iter().all(|rule| rule.matches(labels)))
    }
}

/// A pod (anti-)affinity term: which pods, and what counts as the same place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodTerm {
    pub topology: String,
    selector: Rules,
    namespaces: Vec<String>,
    /// Resolved against namespaces' labels when matching; `None` is absent.
    namespace_selector: Option<Rules>,
}

impl PodTerm {
    /// `matchLabelKeys` and `mismatchLabelKeys` were merged into the selector when the pod was created.
    pub fn of(term: &PodAffinityTerm, namespace: &str) -> Self {
        let listed = term.namespaces.clone().unwrap_or_default();
        let own = listed.is_empty() && term.namespace_selector.is_none();
        Self {
            topology: term.topology_key.clone(),
            selector: Rules::of(term.label_selector.as_ref(), &[]),
            namespaces: if own { vec![namespace.into()] } else { listed },
            namespace_selector: term.namespace_selector.as_ref().map(|s| Rules::of(Some(s), &[])),
        }
    }

    /// A term for pods of one namespace, as topology spread constraints count them.
    pub fn local(topology: &str, selector: Rules, namespace: &str) -> Self {
        Self {
            topology: topology.into(),
            selector,
            namespaces: vec![namespace.into()],
            namespace_selector: None,
        }
    }

    pub fn matches(&self, namespace: &str, labels: &Labels, of_namespace: &Labels) -> bool {
        let here = self.namespaces.iter().any(|n| n == namespace)
            || self.namespace_selector.as_ref().is_some_and(|s| s.matches(of_namespace));
        here && self.selector.matches(labels)
    }
}

/// One term of node affinity: all of its expressions and fields must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeTerm {
    labels: Vec<Rule>,
    fields: Vec<Rule>,
}

impl NodeTerm {
    pub fn of(term: &NodeSelectorTerm) -> Self {
        Self {
            labels: term.match_expressions.iter().flatten().map(rule).collect(),
            fields: term.match_fields.iter().flatten().map(rule).collect(),
        }
    }

    /// An empty term matches no node.
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        if self.labels.is_empty() && self.fields.is_empty() {
            return false;
        }
        self.labels.iter().all(|rule| rule.matches(labels))
            && self.fields.iter().all(|rule| rule.holds_for_name(name))
    }

    /// The only node names this term can match, when it says so.
    pub fn names(&self) -> Option<&[String]> {
        let named = self.fields.iter().find(|r| r.key == "metadata.name" && r.operator == "In");
        named.map(|rule| rule.values.as_slice())
    }
}

impl Rule {
    /// `metadata.name` is the only field nodes are selected by.
    fn holds_for_name(&self, name: &str) -> bool {
        let listed = self.values.iter().any(|v| v == name);
        self.key == "metadata.name" && (listed == (self.operator == "In"))
    }
}

fn rule(written: &NodeSelectorRequirement) -> Rule {
    Rule {
        key: written.key.clone(),
        operator: written.operator.clone(),
        values: written.values.clone().unwrap_or_default(),
    }
}

/// Whether a toleration covers a taint (k8s.io/component-helpers scheduling/corev1 `ToleratesTaint`).
pub fn tolerates(toleration: &Toleration, key: &str, value: &str, effect: &str) -> bool {
    let wanted = toleration.effect.as_deref().unwrap_or_default();
    let on = toleration.key.as_deref().unwrap_or_default();
    if !wanted.is_empty() && wanted != effect || !on.is_empty() && on != key {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => toleration.value.as_deref().unwrap_or_default() == value,
        "Exists" => true,
        _ => false,
    }
}
