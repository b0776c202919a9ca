//! A question to an authorizer and its answer (upstream `authorizer.Attributes`, `authorizer.Decision`).

use meta::{Details, Identity, Problem, Reason, Resource};

/// What someone wants to do: to a resource, or, when `path` is not empty, to a bare URL path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Access<'a> {
    /// `get`, `list`, `watch`, `create`, ..., or the lower-case HTTP method for a path.
    pub verb: &'a str,
    pub group: &'a str,
    pub version: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    /// `""` at cluster scope and for all namespaces.
    pub namespace: &'a str,
    pub name: &'a str,
    pub path: &'a str,
    /// As in the query, for `list`, `watch` and `deletecollection`.
    pub field_selector: &'a str,
}

/// `NoOpinion` means the next authorizer is asked; at the end of the chain it refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Allow(String),
    Deny(String),
    NoOpinion(String),
}

impl<'a> Access<'a> {
    /// A request to a path outside the resources, such as `/healthz`.
    pub fn path(verb: &'a str, path: &'a str) -> Self {
        Self { verb, path, ..Self::default() }
    }

    /// `pods` or `pods/log`, as RBAC rules spell it.
    pub fn combined(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.to_string()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    pub const fn is_resource(&self) -> bool {
        self.path.is_empty()
    }
}

impl Decision {
    pub const fn allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    pub fn reason(&self) -> &str {
        match self {
            Self::Allow(reason) | Self::Deny(reason) | Self::NoOpinion(reason) => reason,
        }
    }
}

/// The 403 of a refused request.
///
/// Texts: k8s.io/apiserver `pkg/endpoints/handlers/responsewriters/errors.go`.
pub fn forbidden(user: &Identity, access: &Access<'_>, why: &str) -> Problem {
    let mut message = refusal(user, access);
    if !why.is_empty() {
        message = format!("{message}: {why}");
    }
    if access.is_resource() {
        return Problem::forbidden(
            &Resource::new(access.group, access.resource),
            access.name,
            &message,
        );
    }
    Problem::new(Reason::Forbidden, format!("forbidden: {message}")).with(Details::default())
}

fn refusal(user: &Identity, access: &Access<'_>) -> String {
    let (name, verb) = (&user.name, access.verb);
    if !access.is_resource() {
        return format!("User {name:?} cannot {verb} path {:?}", access.path);
    }
    let what = format!(
        "User {name:?} cannot {verb} resource {:?} in API group {:?}",
        access.combined(),
        access.group
    );
    if access.namespace.is_empty() {
        format!("{what} at the cluster scope")
    } else {
        format!("{what} in the namespace {:?}", access.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> Identity {
        Identity { name: "x".into(), ..Identity::default() }
    }

    #[test]
    fn refusals_read_as_upstream_writes_them() {
        let pods = Access { verb: "list", resource: "pods", namespace: "y", ..Access::default() };
        let log = Access { verb: "get", subresource: "log", name: "p", ..pods };
        let nodes = Access { verb: "list", resource: "nodes", ..Access::default() };
        let got = [pods, log, nodes, Access::path("get", "/metrics")]
            .map(|access| forbidden(&user(), &access, "").message);
        assert_eq!(
            got,
            [
                r#"pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "y""#,
                r#"pods "p" is forbidden: User "x" cannot get resource "pods/log" in API group "" in the namespace "y""#,
                r#"nodes is forbidden: User "x" cannot list resource "nodes" in API group "" at the cluster scope"#,
                r#"forbidden: User "x" cannot get path "/metrics""#,
            ]
        );
    }
}
