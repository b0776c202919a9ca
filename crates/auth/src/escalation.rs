//! Nobody grants rights they do not hold (upstream `pkg/registry/rbac/escalation_check.go` and
//! `pkg/registry/rbac/validation/{policy_comparator,rule}.go`).
//!
//! The caller first asks for the verbs `escalate` (on the role) or `bind` (on the role a binding names);
//! only without them the rules themselves are compared.

use crate::authority::{Authority, MASTERS};
use crate::rbac::Rule;
use meta::{Identity, Value};
use std::collections::BTreeSet;
use store::View;

/// Whether `who` holds every one of `rules` (`PolicyRule`s) in `namespace` (`""`: everywhere).
///
/// # Errors
/// Upstream's explanation, naming what is missing: the reason of a 403.
pub fn may_grant(
    authority: &Authority,
    who: &Identity,
    rules: &[Value],
    namespace: &str,
    view: &View,
) -> Result<(), String> {
    if who.is_in(MASTERS) {
        return Ok(());
    }
    let rbac = authority.rbac(view);
    let (held, unknown) = rbac.rules_of(who, namespace);
    let parts = rules.iter().map(Rule::parse).flat_map(|rule| atoms(&rule));
    let missing = united(parts.filter(|part| !held.iter().any(|rule| covers(rule, part))));
    if missing.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = missing.iter().map(compact).collect::<BTreeSet<_>>().into_iter().collect();
    let mut text = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        who.name,
        quoted(&who.groups),
        lines.join("\n")
    );
    if !unknown.is_empty() {
        text.push_str(&format!("; resolution errors: [{}]", unknown.join(", ")));
    }
    Err(text)
}

/// One rule per group, resource and name, or path, with all its verbs.
fn atoms(rule: &Rule) -> Vec<Rule> {
    let verbs = || rule.verbs.clone();
    let urls =
        rule.urls.iter().map(|u| Rule { verbs: verbs(), urls: vec![u.clone()], ..Rule::default() });
    let mut out: Vec<Rule> = urls.collect();
    for group in &rule.groups {
        for resource in &rule.resources {
            let one = Rule {
                verbs: verbs(),
                groups: vec![group.clone()],
                resources: vec![resource.clone()],
                ..Rule::default()
            };
            if rule.names.is_empty() {
                out.push(one);
                continue;
            }
            out.extend(rule.names.iter().map(|n| Rule { names: vec![n.clone()], ..one.clone() }));
        }
    }
    out.into_iter().flat_map(per_verb).collect()
}

fn per_verb(rule: Rule) -> Vec<Rule> {
    let each = rule.verbs.iter().map(|verb| Rule { verbs: vec![verb.clone()], ..rule.clone() });
    each.collect()
}

/// Joins the verbs of parts with the same target, paths excepted
/// (upstream `pkg/registry/rbac/validation/policy_compact.go`).
fn united(parts: impl Iterator<Item = Rule>) -> Vec<Rule> {
    let mut out: Vec<Rule> = Vec::new();
    for part in parts {
        let same = |rule: &&mut Rule| {
            part.urls.is_empty()
                && (&rule.groups, &rule.resources, &rule.names)
                    == (&part.groups, &part.resources, &part.names)
        };
        match out.iter_mut().find(same) {
            Some(rule) if rule.verbs.contains(&part.verbs[0]) => {}
            Some(rule) => rule.verbs.extend(part.verbs),
            None => out.push(part),
        }
    }
    out
}

/// Whether holding `rule` implies `part`, which has one verb and one target.
fn covers(rule: &Rule, part: &Rule) -> bool {
    let all = |held: &[String], wanted: &[String]| {
        held.iter().any(|h| h == "*") || wanted.iter().all(|w| held.contains(w))
    };
    if !all(&rule.verbs, &part.verbs) {
        return false;
    }
    if let [url] = part.urls.as_slice() {
        return rule.urls.iter().any(|held| match held.strip_suffix('*') {
            Some(prefix) => url.starts_with(prefix),
            None => held == url,
        });
    }
    let named = rule.names.is_empty() || (!part.names.is_empty() && all(&rule.names, &part.names));
    let resource = |wanted: &String| {
        let sub = wanted.split_once('/').map(|(_, sub)| format!("*/{sub}"));
        rule.resources.iter().any(|r| r == "*" || r == wanted || Some(r) == sub.as_ref())
    };
    named && all(&rule.groups, &part.groups) && part.resources.iter().all(resource)
}

/// `{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}`
fn compact(rule: &Rule) -> String {
    let members = [
        ("APIGroups", &rule.groups),
        ("Resources", &rule.resources),
        ("NonResourceURLs", &rule.urls),
        ("ResourceNames", &rule.names),
        ("Verbs", &rule.verbs),
    ];
    let given = members.into_iter().filter(|(_, list)| !list.is_empty());
    let parts: Vec<_> = given.map(|(key, list)| format!("{key}:{}", quoted(list))).collect();
    format!("{{{}}}", parts.join(", "))
}

/// Go's `%q` of a slice of strings.
pub fn quoted(list: &[String]) -> String {
    let each: Vec<_> = list.iter().map(|s| format!("{s:?}")).collect();
    format!("[{}]", each.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::view;
    use serde_json::json;

    fn ask(wanted: Value) -> Result<(), String> {
        let held = json!([
            { "apiGroups": ["", "apps"], "resources": ["pods", "*/scale"], "verbs": ["get", "list"] },
            { "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["s"], "verbs": ["*"] },
            { "nonResourceURLs": ["/logs*"], "verbs": ["get"] },
        ]);
        let role = json!({ "metadata": { "name": "r" }, "rules": held });
        let binding = json!({
            "metadata": { "name": "b" },
            "roleRef": { "kind": "ClusterRole", "name": "r" },
            "subjects": [{ "kind": "User", "name": "jane" }],
        });
        let view = view(&[
            ("clusterroles.rbac.authorization.k8s.io", role),
            ("clusterrolebindings.rbac.authorization.k8s.io", binding),
        ]);
        let groups = vec!["system:authenticated".into()];
        let jane = Identity { name: "jane".into(), groups, ..Identity::default() };
        may_grant(&Authority::default(), &jane, &[wanted], "", &view)
    }

    #[test]
    fn what_is_held_may_be_granted() {
        for wanted in [
            json!({ "apiGroups": ["apps", ""], "resources": ["pods", "deployments/scale"], "verbs": ["list"] }),
            json!({ "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["s"], "verbs": ["delete"] }),
            json!({ "nonResourceURLs": ["/logs/x"], "verbs": ["get"] }),
        ] {
            assert_eq!(ask(wanted), Ok(()));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let wanted = json!({ "apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["get", "watch"] });
        assert_eq!(
            ask(wanted).expect_err("refused"),
            "user \"jane\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n\
             {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"watch\"]}\n\
             {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"watch\"]}"
        );
        for wanted in [
            json!({ "apiGroups": ["*"], "resources": ["pods"], "verbs": ["get"] }),
            json!({ "apiGroups": [""], "resources": ["*"], "verbs": ["get"] }),
            json!({ "apiGroups": [""], "resources": ["pods"], "verbs": ["*"] }),
            json!({ "nonResourceURLs": ["*"], "verbs": ["get"] }),
        ] {
            assert!(ask(wanted).is_err());
        }
    }
}
