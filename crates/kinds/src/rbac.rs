//! rbac.authorization.k8s.io/v1.

use crate::Column;
use crate::core::pod_defaults::{each, set_text};
use crate::row::KindRow;
use crate::rows::version;
use crate::table::{AGE, NAME, age, col, list, name, text, wide};
use meta::names::path_segment;
use meta::{Time, Value};

const GROUP: &str = "rbac.authorization.k8s.io";

macro_rules! v1 {
    ($kind:literal) => {
        &[version("v1", concat!("io.k8s.api.rbac.v1.", $kind))]
    };
}

pub static ROLE: KindRow = KindRow::namespaced(GROUP, "Role", "roles", "role", v1!("Role"))
    .named(path_segment)
    .put_creates()
    .check(crate::check::rbac::role)
    .sample(concat!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: sample}\n",
        "rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]\n"
    ));

pub static CLUSTER_ROLE: KindRow = KindRow::cluster(
    GROUP,
    "ClusterRole",
    "clusterroles",
    "clusterrole",
    v1!("ClusterRole"),
)
.named(path_segment)
.put_creates()
.check(crate::check::rbac::role)
.sample(concat!(
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: sample}\n",
    "rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]\n"
));

pub static ROLE_BINDING: KindRow =
    KindRow::namespaced(GROUP, "RoleBinding", "rolebindings", "rolebinding", v1!("RoleBinding"))
        .named(path_segment)
        .put_creates()
        .defaults(default_binding)
        .check(crate::check::rbac::binding)
        .table(COLUMNS, cells)
        .sample(concat!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: sample}\n",
            "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}\nsubjects: [{kind: User, name: u}]\n"
        ));

pub static CLUSTER_ROLE_BINDING: KindRow = KindRow::cluster(
    GROUP,
    "ClusterRoleBinding",
    "clusterrolebindings",
    "clusterrolebinding",
    v1!("ClusterRoleBinding"),
)
.named(path_segment)
.put_creates()
.defaults(default_binding)
.check(crate::check::rbac::binding)
.table(COLUMNS, cells)
.sample(concat!(
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: sample}\n",
    "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: r}\nsubjects: [{kind: User, name: u}]\n"
));

/// SetDefaults_RoleBinding, SetDefaults_Subject.
fn default_binding(v: &mut Value) {
    if let Some(role) = v.get_mut("roleRef").filter(|r| r.is_object()) {
        set_text(role, "apiGroup", GROUP);
    }
    for subject in
        each(v, "subjects").filter(|s| matches!(text(s, "kind").as_str(), "User" | "Group"))
    {
        set_text(subject, "apiGroup", GROUP);
    }
}

const COLUMNS: &[Column] = &[
    NAME,
    col("Role", "string", ""),
    AGE,
    wide("Users", "string", "Users in the roleBinding"),
    wide("Groups", "string", "Groups in the roleBinding"),
    wide("ServiceAccounts", "string", "ServiceAccounts in the roleBinding"),
];

fn cells(v: &Value, now: Time) -> Vec<Value> {
    let subjects = |kind: &str| {
        let of_kind = list(v, "subjects").iter().filter(|s| s["kind"] == kind);
        let shown = of_kind.map(|s| match text(s, "namespace") {
            space if kind == "ServiceAccount" => format!("{space}/{}", text(s, "name")),
            _ => text(s, "name"),
        });
        Value::from(shown.collect::<Vec<_>>().join(", "))
    };
    vec![
        name(v),
        format!("{}/{}", text(v, "roleRef.kind"), text(v, "roleRef.name")).into(),
        age(v, now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}
