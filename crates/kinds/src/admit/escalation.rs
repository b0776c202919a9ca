//! Nobody grants rights through RBAC objects that they do not hold (upstream
//! `pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased/storage.go`).
//!
//! Holders of the verb `escalate` on a role, or `bind` on the role a binding names, may grant anything.

use crate::access::{Attributes, Decision};
use crate::admission::{Admit, Extras, Operation};
use crate::check::same;
use crate::table::{list, text};
use meta::{Problem, Resource, Value};
use store::Key;

const GROUP: &str = "rbac.authorization.k8s.io";
const SUPERUSERS: &str = "system:masters";

pub(super) fn check(v: &Value, admit: &Admit<'_>, _: &mut Extras) -> Result<(), Problem> {
    let writes = matches!(admit.operation, Operation::Create | Operation::Update);
    if !writes || admit.resource.group() != GROUP || admit.identity.is_in(SUPERUSERS) {
        return Ok(());
    }
    match admit.resource.plural() {
        "roles" | "clusterroles" => role(v, admit),
        _ => binding(v, admit),
    }
}

fn role(v: &Value, admit: &Admit<'_>) -> Result<(), Problem> {
    let rules = list(v, "rules");
    let unchanged = admit.old.is_some_and(|old| same(&old["rules"], &v["rules"]))
        && admit.old.is_some_and(|old| same(&old["aggregationRule"], &v["aggregationRule"]));
    let (plural, name) = (admit.resource.plural(), text(v, "metadata.name"));
    if unchanged || may(admit, "escalate", plural, &name) {
        return Ok(());
    }
    // Whoever selects roles to aggregate may be given anything by them.
    let everything = [
        serde_json::json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }),
        serde_json::json!({ "verbs": ["*"], "nonResourceURLs": ["*"] }),
    ];
    let before = admit.old.map_or(&Value::Null, |old| &old["aggregationRule"]);
    if !v["aggregationRule"].is_null() && !same(&v["aggregationRule"], before) {
        confirm(admit, &everything, &name).map_err(|_| {
            let why = "must have cluster-admin privileges to use an aggregationRule";
            Problem::forbidden(admit.resource, &name, why)
        })?;
    }
    confirm(admit, rules, &name)
}

fn binding(v: &Value, admit: &Admit<'_>) -> Result<(), Problem> {
    let unchanged = admit.old.is_some_and(|old| {
        same(&old["roleRef"], &v["roleRef"]) && same(&old["subjects"], &v["subjects"])
    });
    let (kind, role) = (text(v, "roleRef.kind"), text(v, "roleRef.name"));
    let (plural, namespace) = match kind.as_str() {
        "Role" => ("roles", admit.namespace),
        _ => ("clusterroles", ""),
    };
    if unchanged || may(admit, "bind", plural, &role) {
        return Ok(());
    }
    let resource = Resource::new(GROUP, plural);
    let Some(found) = admit.view.get(&Key::new(&resource, namespace, &role)) else {
        return Err(Problem::not_found(&resource, &role));
    };
    confirm(admit, list(&found.value(), "rules"), &text(v, "metadata.name"))
}

fn confirm(admit: &Admit<'_>, rules: &[Value], name: &str) -> Result<(), Problem> {
    admit
        .authorizer
        .may_grant(admit.identity, rules, admit.namespace, admit.view)
        .map_err(|why| Problem::forbidden(admit.resource, name, &why))
}

/// RoleEscalationAuthorized, BindingAuthorized
fn may(admit: &Admit<'_>, verb: &str, resource: &str, name: &str) -> bool {
    let wanted = Attributes {
        verb: verb.into(),
        group: GROUP.into(),
        version: "v1".into(),
        resource: resource.into(),
        namespace: admit.namespace.into(),
        name: name.into(),
        ..Attributes::default()
    };
    matches!(admit.authorizer.decide(&wanted, admit.identity, admit.view), Decision::Allow { .. })
}
