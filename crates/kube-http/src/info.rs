//! What a request is about, as far as its path tells: for limits, metrics and the audit log.
//!
//! Follows k8s.io/apiserver `pkg/endpoints/request/requestinfo.go`. The pipeline routes by itself.

/// The parts of a request path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    /// `get`, `list`, `watch`, ...; the lower-case method for paths outside the resources.
    pub verb: String,
    pub group: String,
    pub version: String,
    /// `""` outside the resources.
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
}

/// Subresources that stream: their requests have no time limit and their bodies are not read here.
const STREAMS: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];
/// Subresources of a namespace; anything else below it is a resource inside it.
const NAMESPACE_PARTS: [&str; 2] = ["finalize", "status"];

impl Info {
    /// `method` is upper case, `path` percent-decoded.
    pub fn of(method: &str, path: &str, query: &[(String, String)]) -> Self {
        let mut parts = path.trim_matches('/').split('/').filter(|p| !p.is_empty());
        let mut info = Self { verb: method.to_lowercase(), ..Self::default() };
        match parts.next() {
            Some("api") => {}
            Some("apis") => match parts.next() {
                Some(group) => info.group = group.into(),
                None => return info,
            },
            _ => return info,
        }
        let Some(version) = parts.next() else { return info };
        info.version = version.into();
        let rest: Vec<&str> = parts.collect();
        info.place(&rest);
        if !info.resource.is_empty() {
            info.verb = info.resource_verb(method, query);
        }
        info
    }

    fn place(&mut self, rest: &[&str]) {
        let rest = match rest {
            ["watch", rest @ ..] | ["proxy", rest @ ..] if !rest.is_empty() => rest,
            rest => rest,
        };
        let rest = match rest {
            ["namespaces", namespace, inside @ ..] => {
                self.namespace = (*namespace).into();
                match inside {
                    [first, ..] if !NAMESPACE_PARTS.contains(first) => inside,
                    _ => rest,
                }
            }
            rest => rest,
        };
        let mut rest = rest.iter().map(|p| (*p).to_string());
        self.resource = rest.next().unwrap_or_default();
        self.name = rest.next().unwrap_or_default();
        self.subresource = rest.next().unwrap_or_default();
    }

    fn resource_verb(&self, method: &str, query: &[(String, String)]) -> String {
        let watch =
            query.iter().any(|(k, v)| k == "watch" && matches!(v.as_str(), "" | "1" | "true"));
        let one = !self.name.is_empty();
        match method {
            "GET" | "HEAD" if watch => "watch",
            "GET" | "HEAD" if one => "get",
            "GET" | "HEAD" => "list",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" if one => "delete",
            "DELETE" => "deletecollection",
            other => return other.to_lowercase(),
        }
        .into()
    }

    /// Whether this goes on until somebody hangs up.
    pub fn streams(&self) -> bool {
        STREAMS.contains(&self.subresource.as_str())
            && matches!(self.resource.as_str(), "pods" | "services" | "nodes")
    }

    pub fn mutates(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch" | "head" | "options")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(method: &str, path: &str) -> String {
        let i = Info::of(method, path, &[]);
        format!(
            "{} {}/{} {} {}/{} {}",
            i.verb, i.group, i.version, i.namespace, i.resource, i.name, i.subresource
        )
    }

    #[test]
    fn paths_are_taken_apart_as_upstream_does() {
        let cases = [
            ("GET", "/api/v1/namespaces/a/pods", "list /v1 a pods/ "),
            ("GET", "/api/v1/namespaces/a", "get /v1 a namespaces/a "),
            ("PUT", "/api/v1/namespaces/a/finalize", "update /v1 a namespaces/a finalize"),
            (
                "GET",
                "/apis/apps/v1/namespaces/a/deployments/d/scale",
                "get apps/v1 a deployments/d scale",
            ),
            ("DELETE", "/apis/apps/v1/deployments", "deletecollection apps/v1  deployments/ "),
            ("GET", "/apis", "get /  / "),
            ("GET", "/healthz", "get /  / "),
        ];
        for (method, path, expected) in cases {
            assert_eq!(shown(method, path), expected, "{path}");
        }
    }
}
