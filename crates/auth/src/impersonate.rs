//! Acting as somebody else through `Impersonate-*` headers
//! (upstream `pkg/endpoints/filters/impersonation.go`).

use crate::access::{Access, forbidden};
use crate::authority::Authority;
use meta::{Identity, Problem};
use std::collections::BTreeMap;
use store::View;

/// The impersonation headers of a request. `user` is empty when it impersonates nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Impersonation {
    pub user: String,
    pub uid: String,
    pub groups: Vec<String>,
    /// Keys in lower case, percent-decoded.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Impersonation {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The identity to act under, once `who` may impersonate every part of it.
///
/// # Errors
/// 400 without a user, 403 naming the first part that is refused.
pub fn impersonate(
    wanted: &Impersonation,
    who: &Identity,
    authority: &Authority,
    view: &View,
) -> Result<Identity, Problem> {
    if wanted.user.is_empty() {
        return Err(Problem::internal(format!(
            "requested {wanted:?} without impersonating a user"
        )));
    }
    let account =
        wanted.user.strip_prefix("system:serviceaccount:").and_then(|r| r.split_once(':'));
    let ask = |access: Access<'_>| {
        let access = Access { verb: "impersonate", ..access };
        match authority.decide(who, &access, view) {
            decision if decision.allowed() => Ok(()),
            decision => Err(forbidden(who, &access, decision.reason())),
        }
    };
    match account {
        Some((namespace, name)) => {
            ask(Access {
                resource: "serviceaccounts",
                version: "v1",
                namespace,
                name,
                ..<_>::default()
            })?;
        }
        None => {
            ask(Access { resource: "users", version: "v1", name: &wanted.user, ..<_>::default() })?
        }
    }
    for group in &wanted.groups {
        ask(Access { resource: "groups", version: "v1", name: group, ..<_>::default() })?;
    }
    let special = Access { group: "authentication.k8s.io", version: "v1", ..<_>::default() };
    for (key, values) in &wanted.extra {
        for value in values {
            ask(Access { resource: "userextras", subresource: key, name: value, ..special })?;
        }
    }
    if !wanted.uid.is_empty() {
        ask(Access { resource: "uids", name: &wanted.uid, ..special })?;
    }
    Ok(assumed(wanted, account))
}

/// A service account without explicit groups gets its own; everybody but the anonymous user is authenticated.
fn assumed(wanted: &Impersonation, account: Option<(&str, &str)>) -> Identity {
    let mut groups = wanted.groups.clone();
    if let Some((namespace, name)) = account.filter(|_| groups.is_empty()) {
        groups = Identity::service_account(namespace, name).groups;
        groups.retain(|g| g != "system:authenticated");
    }
    let anonymous = wanted.user == crate::ANONYMOUS;
    let class = if anonymous { "system:unauthenticated" } else { "system:authenticated" };
    let other = ["system:authenticated", "system:unauthenticated"];
    if !groups.iter().any(|g| other.contains(&g.as_str())) {
        groups.push(class.into());
    }
    Identity {
        name: wanted.user.clone(),
        uid: wanted.uid.clone(),
        groups,
        extra: wanted.extra.clone(),
    }
}
