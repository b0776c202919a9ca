//! ClusterRoles that gather the rules of others
//! (pkg/controller/clusterroleaggregation/clusterroleaggregation_controller.go).

use crate::calls;
use crate::plan::{Plan, Row, Wake};
use crate::pods::Selector;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use meta::Time;
use serde_json::json;
use store::{Change, Key, View};
use typed::{Kind, Read};

pub(crate) static ROW: Row = Row {
    name: "clusterrole-aggregation-controller",
    wakes: &[Wake { resource: ("rbac.authorization.k8s.io", "clusterroles"), keys: wake }],
    plan,
    refused: None,
    made: None,
};

/// The role itself, and those that gather it, before or after.
fn wake(view: &View, change: &Change) -> Vec<Key> {
    let versions = [change.before.as_ref(), Some(&change.after)];
    let gathering = view.read_all::<ClusterRole>(None).filter(|role| {
        let is_itself = calls::name(&role.metadata) == &*change.after.key.name;
        is_itself && role.aggregation_rule.is_some()
            || versions.iter().flatten().any(|one| selectors(role).iter().any(|s| s.selects(one)))
    });
    gathering.map(|role| ClusterRole::key("", calls::name(&role.metadata))).collect()
}

fn selectors(role: &ClusterRole) -> Vec<Selector> {
    let rule = role.aggregation_rule.as_ref();
    let all = rule.and_then(|r| r.cluster_role_selectors.as_ref()).into_iter().flatten();
    all.map(Selector::of_all).collect()
}

fn plan(view: &View, key: &Key, _: Time) -> Plan {
    let mut plan = Plan::nothing();
    let Some(role) = view.read::<ClusterRole>("", &key.name) else { return plan };
    if role.aggregation_rule.is_none() || calls::is_deleting(&role.metadata) {
        return plan;
    }
    let mut rules: Vec<PolicyRule> = Vec::new();
    for selector in selectors(&role) {
        let gathered = view
            .list(&ClusterRole::resource(), None)
            .filter(|object| object.key != *key && selector.selects(object))
            .map(|object| typed::parse::<ClusterRole>(object));
        for rule in gathered.flat_map(|role| role.rules.clone().unwrap_or_default()) {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
    }
    if role.rules.clone().unwrap_or_default() != rules {
        plan.call(calls::merge_in_state::<ClusterRole>(&role.metadata, json!({ "rules": rules })));
    }
    plan
}
