//! RBAC: roles and bindings of a snapshot, compiled for fast answers.
//!
//! Follows `plugin/pkg/auth/authorizer/rbac/rbac.go` and `pkg/registry/rbac/validation/rule.go`.
//! Aggregated ClusterRoles are united while compiling, so an answer never waits for the controller that
//! writes the union into the stored role.

mod compile;
mod rule;
#[cfg(test)]
mod tests;

pub use compile::{outdated_unions, stamp};
pub use rule::Rule;

use crate::access::{Access, Decision};
use meta::Identity;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All roles and bindings of one snapshot, filed by subject and namespace.
#[derive(Debug, Default)]
pub struct Rbac {
    /// ClusterRoleBindings first, then RoleBindings; each in key order.
    grants: Vec<Grant>,
    /// [`subject_key`] to indexes into `grants`, ascending.
    by_subject: BTreeMap<String, Vec<u32>>,
}

/// One subject of one binding.
#[derive(Debug)]
pub struct Grant {
    /// `""` for a ClusterRoleBinding.
    pub namespace: Box<str>,
    pub binding: Box<str>,
    pub role_kind: Box<str>,
    pub role: Box<str>,
    /// `User "jane"`, as reasons print it.
    pub subject: Box<str>,
    /// `None` when the role does not exist.
    pub rules: Option<Arc<[Rule]>>,
}

/// Users and service accounts share one space of names; groups have their own.
fn subject_key(kind: &str, name: &str, namespace: &str) -> String {
    format!("{kind}\0{name}\0{namespace}")
}

impl Rbac {
    pub fn decide(&self, user: &Identity, access: &Access<'_>) -> Decision {
        let combined = access.combined();
        let mut missing = Vec::new();
        for grant in self.grants_of(user, access.namespace) {
            match &grant.rules {
                None => missing.push(grant.missing()),
                Some(rules) if rules.iter().any(|rule| rule.admits(access, &combined)) => {
                    return Decision::Allow(format!("RBAC: allowed by {}", grant.describe()));
                }
                Some(_) => {}
            }
        }
        Decision::NoOpinion(match missing.as_slice() {
            [] => String::new(),
            [one] => format!("RBAC: {one}"),
            many => format!("RBAC: [{}]", many.join(", ")),
        })
    }

    /// Every rule that holds for `user` in `namespace` (with the cluster-wide ones), and the roles that are
    /// missing.
    pub fn rules_of(&self, user: &Identity, namespace: &str) -> (Vec<&Rule>, Vec<String>) {
        let (mut rules, mut missing) = (Vec::new(), Vec::new());
        for grant in self.grants_of(user, namespace) {
            match &grant.rules {
                Some(found) => rules.extend(found.iter()),
                None => missing.push(grant.missing()),
            }
        }
        (rules, missing)
    }

    fn grants_of<'a>(
        &'a self,
        user: &Identity,
        namespace: &str,
    ) -> impl Iterator<Item = &'a Grant> + use<'a> {
        let mut found: Vec<u32> = Vec::new();
        let groups = user.groups.iter().map(|g| ("g", g.as_str()));
        for (kind, name) in std::iter::once(("u", user.name.as_str())).chain(groups) {
            found.extend(self.by_subject.get(&subject_key(kind, name, "")).into_iter().flatten());
            if !namespace.is_empty() {
                let key = subject_key(kind, name, namespace);
                found.extend(self.by_subject.get(&key).into_iter().flatten());
            }
        }
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|i| &self.grants[i as usize])
    }
}

impl Grant {
    fn describe(&self) -> String {
        let Self { namespace, binding, role_kind, role, subject, .. } = self;
        if namespace.is_empty() {
            format!("ClusterRoleBinding {binding:?} of {role_kind} {role:?} to {subject}")
        } else {
            let full = format!("{binding}/{namespace}");
            format!("RoleBinding {full:?} of {role_kind} {role:?} to {subject}")
        }
    }

    fn missing(&self) -> String {
        let kind = self.role_kind.to_lowercase();
        format!("{kind}.rbac.authorization.k8s.io {:?} not found", self.role)
    }
}
