//! Compiled rules answer as upstream does.

use crate::access::{Access, Decision};
use crate::authority::Authority;
use crate::testing::view;
use meta::{Identity, Value};
use serde_json::json;

const GROUP: &str = "rbac.authorization.k8s.io";

fn user(name: &str, groups: &[&str]) -> Identity {
    let groups = groups.iter().map(|g| (*g).to_string()).collect();
    Identity { name: name.into(), groups, ..Identity::default() }
}

fn role(name: &str, rules: Value) -> (&'static str, Value) {
    (
        "clusterroles.rbac.authorization.k8s.io",
        json!({ "metadata": { "name": name }, "rules": rules }),
    )
}

fn bound(namespace: &str, role: &str, subject: Value) -> (&'static str, Value) {
    let table = if namespace.is_empty() { "clusterrolebindings" } else { "rolebindings" };
    let table = if table == "rolebindings" {
        "rolebindings.rbac.authorization.k8s.io"
    } else {
        "clusterrolebindings.rbac.authorization.k8s.io"
    };
    let value = json!({
        "metadata": { "name": "b", "namespace": namespace },
        "roleRef": { "apiGroup": GROUP, "kind": "ClusterRole", "name": role },
        "subjects": [subject],
    });
    (table, value)
}

fn read_pods() -> Value {
    json!([{ "apiGroups": [""], "resources": ["pods", "*/scale"], "verbs": ["get", "list"] }])
}

fn ask(objects: &[(&str, Value)], who: &Identity, access: Access<'_>) -> Decision {
    Authority::default().decide(who, &access, &view(objects))
}

const LIST: Access<'static> = Access {
    verb: "list",
    group: "",
    version: "v1",
    resource: "pods",
    subresource: "",
    namespace: "a",
    name: "",
    path: "",
    field_selector: "",
};

#[test]
fn a_role_binding_holds_in_its_namespace_only() {
    let objects =
        [role("r", read_pods()), bound("a", "r", json!({ "kind": "User", "name": "jane" }))];
    let jane = user("jane", &[]);
    let allowed = r#"RBAC: allowed by RoleBinding "b/a" of ClusterRole "r" to User "jane""#;
    assert_eq!(ask(&objects, &jane, LIST), Decision::Allow(allowed.into()));
    for namespace in ["b", ""] {
        let decision = ask(&objects, &jane, Access { namespace, ..LIST });
        assert_eq!(decision, Decision::NoOpinion(String::new()));
    }
    assert!(!ask(&objects, &user("joe", &[]), LIST).allowed());
    assert!(!ask(&objects, &jane, Access { verb: "watch", ..LIST }).allowed());
    assert!(!ask(&objects, &jane, Access { subresource: "log", ..LIST }).allowed());
    assert!(
        ask(&objects, &jane, Access { verb: "get", resource: "x", subresource: "scale", ..LIST })
            .allowed()
    );
}

#[test]
fn service_accounts_and_groups_are_subjects() {
    let account = json!({ "kind": "ServiceAccount", "name": "s", "namespace": "a" });
    let objects = [role("r", read_pods()), bound("", "r", account)];
    let decision =
        ask(&objects, &Identity::service_account("a", "s"), Access { namespace: "", ..LIST });
    let allowed =
        r#"RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to ServiceAccount "s/a""#;
    assert_eq!(decision, Decision::Allow(allowed.into()));
    let objects = [role("r", read_pods()), bound("", "r", json!({ "kind": "Group", "name": "g" }))];
    assert!(ask(&objects, &user("x", &["f", "g"]), LIST).allowed());
    assert!(!ask(&objects, &user("g", &[]), LIST).allowed(), "a user named as the group");
}

#[test]
fn a_missing_role_is_named() {
    let objects = [bound("", "gone", json!({ "kind": "User", "name": "jane" }))];
    let reason = r#"RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found"#;
    assert_eq!(ask(&objects, &user("jane", &[]), LIST), Decision::NoOpinion(reason.into()));
}

#[test]
fn aggregated_roles_unite_others_also_through_each_other() {
    let union = |name: &str, of: &str, label: &str| {
        let value = json!({
            "metadata": { "name": name, "labels": { label: "true" } },
            "aggregationRule": { "clusterRoleSelectors": [{ "matchLabels": { of: "true" } }] },
            "rules": [],
        });
        ("clusterroles.rbac.authorization.k8s.io", value)
    };
    let leaf = json!({ "metadata": { "name": "leaf", "labels": { "to-edit": "true" } }, "rules": read_pods() });
    let objects = [
        union("admin", "to-admin", "to-edit"),
        union("edit", "to-edit", "to-admin"),
        ("clusterroles.rbac.authorization.k8s.io", leaf),
        bound("", "admin", json!({ "kind": "User", "name": "jane" })),
    ];
    assert!(ask(&objects, &user("jane", &[]), LIST).allowed());
}

#[test]
fn names_and_paths_narrow() {
    let rules = json!([
        { "apiGroups": [""], "resources": ["pods"], "resourceNames": ["p"], "verbs": ["*"] },
        { "nonResourceURLs": ["/healthz/*", "/version"], "verbs": ["get"] },
    ]);
    let objects = [role("r", rules), bound("", "r", json!({ "kind": "User", "name": "jane" }))];
    let jane = user("jane", &[]);
    assert!(ask(&objects, &jane, Access { name: "p", ..LIST }).allowed());
    assert!(!ask(&objects, &jane, LIST).allowed());
    for (path, allowed) in
        [("/healthz/ping", true), ("/version", true), ("/versions", false), ("/", false)]
    {
        assert_eq!(ask(&objects, &jane, Access::path("get", path)).allowed(), allowed, "{path}");
    }
}

#[test]
fn the_privileged_group_needs_no_role() {
    assert!(ask(&[], &user("root", &["system:masters"]), LIST).allowed());
}

#[test]
fn a_changed_role_counts_at_once() {
    let authority = Authority::default();
    let jane = user("jane", &[]);
    let bind = bound("", "r", json!({ "kind": "User", "name": "jane" }));
    assert!(!authority.decide(&jane, &LIST, &view(std::slice::from_ref(&bind))).allowed());
    assert!(authority.decide(&jane, &LIST, &view(&[bind, role("r", read_pods())])).allowed());
}
