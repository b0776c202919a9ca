//! From a path to what it names (apiserver `pkg/endpoints/request/requestinfo.go`).

use crate::request::Method;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Resource(ResourcePath),
    /// `/api`, `/apis`, `/apis/G`, `/apis/G/V`, `/api/v1`
    Discovery(Discovery),
    /// `/version`, `/openapi/...`, and whatever else is no resource.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discovery {
    Legacy,
    Groups,
    Group(String),
    Version { group: String, version: String },
}

/// A resource request, before anyone knows whether the resource exists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourcePath {
    pub group: String,
    pub version: String,
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub subresource: String,
    /// After `/proxy`, `""` or starting with `/`.
    pub rest: String,
    /// Under the legacy prefix `/watch/`.
    pub watch: bool,
}

/// Subresources of namespaces; anything else after a namespace's name is a resource in it.
const NAMESPACE_PARTS: &[&str] = &["status", "finalize"];

pub fn route(path: &str) -> Route {
    let mut parts = path.trim_start_matches('/').split('/').collect::<Vec<_>>();
    // A trailing slash matters only to proxied paths.
    let trailing = parts.len() > 1 && parts.last() == Some(&"");
    if trailing {
        parts.pop();
    }
    let (group, version, rest) = match parts.as_slice() {
        ["api"] => return Route::Discovery(Discovery::Legacy),
        ["apis"] => return Route::Discovery(Discovery::Groups),
        ["apis", group] => return Route::Discovery(Discovery::Group((*group).into())),
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Route::Other,
    };
    let at = ResourcePath { group: group.into(), version: version.into(), ..Default::default() };
    match rest {
        [] => Route::Discovery(Discovery::Version { group: group.into(), version: version.into() }),
        rest => resource(at, rest, trailing).map_or(Route::Other, Route::Resource),
    }
}

fn resource(mut at: ResourcePath, mut rest: &[&str], trailing: bool) -> Option<ResourcePath> {
    if let ["watch", more @ ..] = rest {
        at.watch = true;
        rest = more;
    }
    if let ["namespaces", namespace, more @ ..] = rest
        && let [first, ..] = more
        && !(NAMESPACE_PARTS.contains(first) && more.len() == 1)
    {
        at.namespace = (*namespace).into();
        rest = more;
    }
    let (resource, rest) = rest.split_first()?;
    at.resource = (*resource).into();
    let Some((name, rest)) = rest.split_first() else { return Some(at) };
    at.name = (*name).into();
    let Some((subresource, rest)) = rest.split_first() else { return Some(at) };
    at.subresource = (*subresource).into();
    if !rest.is_empty() || trailing {
        at.rest = format!("/{}", rest.join("/"));
        if trailing && !rest.is_empty() {
            at.rest.push('/');
        }
        if at.subresource != "proxy" && !rest.is_empty() {
            return None;
        }
    }
    Some(at)
}

impl ResourcePath {
    /// The API verb, as authorisation and discovery spell it.
    pub fn verb(&self, method: Method, watch: bool) -> &'static str {
        let collection = self.name.is_empty();
        match method {
            Method::Get | Method::Head if self.watch || (watch && collection) => "watch",
            Method::Get | Method::Head if collection => "list",
            Method::Get | Method::Head => "get",
            Method::Post => "create",
            Method::Put => "update",
            Method::Patch => "patch",
            Method::Delete if collection => "deletecollection",
            Method::Delete => "delete",
            Method::Options => "options",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &str) -> (String, String, String, String) {
        match route(path) {
            Route::Resource(r) => (r.namespace, r.resource, r.name, r.subresource),
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn paths_name_resources() {
        let cases = [
            ("/api/v1/pods", ("", "pods", "", "")),
            ("/api/v1/namespaces/a", ("", "namespaces", "a", "")),
            ("/api/v1/namespaces/a/status", ("", "namespaces", "a", "status")),
            ("/api/v1/namespaces/a/pods/b/log", ("a", "pods", "b", "log")),
            ("/apis/apps/v1/namespaces/a/deployments/b", ("a", "deployments", "b", "")),
            ("/api/v1/watch/namespaces/a/pods", ("a", "pods", "", "")),
        ];
        for (path, (ns, resource, name, sub)) in cases {
            assert_eq!(
                named(path),
                (ns.into(), resource.into(), name.into(), sub.into()),
                "{path}"
            );
        }
    }

    #[test]
    fn proxies_keep_their_path() {
        let Route::Resource(r) = route("/api/v1/namespaces/a/services/b/proxy/x/y/") else {
            panic!("no resource")
        };
        assert_eq!((r.name.as_str(), r.rest.as_str()), ("b", "/x/y/"));
    }

    #[test]
    fn trailing_slashes_are_discovery() {
        assert_eq!(route("/api/"), Route::Discovery(Discovery::Legacy));
        assert_eq!(route("/apis/"), Route::Discovery(Discovery::Groups));
        assert!(matches!(route("/api/v1/"), Route::Discovery(Discovery::Version { .. })));
        assert_eq!(route("/healthz"), Route::Other);
    }
}
