//! The table parses, and has no doubles.

use super::*;
use std::collections::BTreeSet;

#[test]
fn every_rule_is_whole() {
    for wanted in policy() {
        for rule in items(&wanted.value, "/rules").iter().map(Rule::parse) {
            let shape = (rule.groups.is_empty(), rule.resources.is_empty(), rule.urls.is_empty());
            let whole = matches!(shape, (false, false, true) | (true, true, false));
            assert!(whole && !rule.verbs.is_empty(), "{}: {rule:?}", wanted.name);
        }
    }
}

#[test]
fn no_object_is_wanted_twice() {
    let mut seen = BTreeSet::new();
    for wanted in policy() {
        let key = (wanted.resource.resource.clone(), wanted.namespace, wanted.name);
        assert!(seen.insert(key.clone()), "{key:?}");
    }
}

#[test]
fn an_empty_cluster_wants_everything_in_upstreams_form() {
    let view = crate::testing::view(&[]);
    let all = reconcile(&view);
    let admin = all.iter().find(|w| w.name == "cluster-admin").expect("cluster-admin");
    assert_eq!(
        admin.value.to_string(),
        concat!(
            r#"{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"#,
            r#""annotations":{"rbac.authorization.kubernetes.io/autoupdate":"true"},"#,
            r#""labels":{"kubernetes.io/bootstrapping":"rbac-defaults"},"name":"cluster-admin"},"#,
            r#""rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]},"#,
            r#"{"nonResourceURLs":["*"],"verbs":["*"]}]}"#
        )
    );
    assert!(all.iter().all(|w| !w.exists));
}

#[test]
fn a_union_is_stored_once_and_then_left_alone() {
    let part = |name: &str, to: &str, verb: &str| {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{to}");
        let rule = json!({ "apiGroups": [""], "resources": ["pods"], "verbs": [verb] });
        json!({ "metadata": { "name": name, "labels": { label: "true" } }, "rules": [rule] })
    };
    let table = "clusterroles.rbac.authorization.k8s.io";
    let edit = policy().into_iter().find(|w| w.name == "edit").expect("edit").value;
    let parts = [
        (table, part("a", "edit", "get")),
        (table, part("b", "edit", "get")),
        (table, part("c", "edit", "list")),
    ];
    let before = crate::testing::view(&[&parts[..], &[(table, edit)]].concat());
    let updates = aggregate(&before);
    assert_eq!(updates.len(), 1);
    let verbs: Vec<_> =
        items(&updates[0].value, "/rules").iter().map(|r| r["verbs"][0].clone()).collect();
    assert_eq!(verbs, ["get", "list"]);
    let after = crate::testing::view(&[&parts[..], &[(table, updates[0].value.clone())]].concat());
    assert_eq!(aggregate(&after), []);
}
