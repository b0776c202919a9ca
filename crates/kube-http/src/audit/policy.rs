//! `audit.k8s.io/v1` Policy: the first rule that matches decides.

use super::event::Stage;
use crate::info::Info;
use meta::{Identity, Value};
use std::fmt;

/// How much of a request is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    #[default]
    None,
    Metadata,
    Request,
    RequestResponse,
}

#[derive(Debug, Clone, Default)]
pub struct AuditPolicy {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, Default)]
struct Rule {
    level: Level,
    users: Vec<String>,
    groups: Vec<String>,
    verbs: Vec<String>,
    namespaces: Vec<String>,
    resources: Vec<Resources>,
    paths: Vec<String>,
    omit: Vec<Stage>,
}

/// Resources of one group, perhaps only some names; empty lists are all.
#[derive(Debug, Clone, Default)]
struct Resources {
    group: String,
    resources: Vec<String>,
    names: Vec<String>,
}

/// The policy cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError(pub String);

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "audit policy: {}", self.0)
    }
}

impl std::error::Error for PolicyError {}

impl Level {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }
}

impl AuditPolicy {
    /// From the YAML of an `audit.k8s.io/v1` Policy.
    ///
    /// # Errors
    /// When it is not one, or a rule has no sound level.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let value: Value = serde_saphyr::from_str(text).map_err(|e| PolicyError(e.to_string()))?;
        if value.get("kind").and_then(Value::as_str) != Some("Policy") {
            return Err(PolicyError("kind is not Policy".into()));
        }
        let everywhere = stages(&value)?;
        let rules = value.get("rules").and_then(Value::as_array);
        let rules = rules.ok_or_else(|| PolicyError("has no rules".into()))?;
        let parsed = rules.iter().enumerate().map(|(i, rule)| {
            Rule::parse(rule, &everywhere).map_err(|e| PolicyError(format!("rules[{i}]: {}", e.0)))
        });
        Ok(Self { rules: parsed.collect::<Result<_, _>>()? })
    }

    /// What to record of a request, and which stages to leave out.
    pub fn decide(&self, info: &Info, path: &str, who: &Identity) -> (Level, &[Stage]) {
        let rule = self.rules.iter().find(|rule| rule.matches(info, path, who));
        rule.map_or((Level::None, &[]), |rule| (rule.level, &rule.omit))
    }
}

impl Rule {
    fn parse(value: &Value, everywhere: &[Stage]) -> Result<Self, PolicyError> {
        let level = match value.get("level").and_then(Value::as_str) {
            Some("None") => Level::None,
            Some("Metadata") => Level::Metadata,
            Some("Request") => Level::Request,
            Some("RequestResponse") => Level::RequestResponse,
            other => return Err(PolicyError(format!("level {other:?} is not known"))),
        };
        let mut omit = stages(value)?;
        omit.extend_from_slice(everywhere);
        let resources = value.get("resources").and_then(Value::as_array);
        let resources = resources.into_iter().flatten().map(|r| Resources {
            group: r.get("group").and_then(Value::as_str).unwrap_or("").into(),
            resources: list(r, "resources"),
            names: list(r, "resourceNames"),
        });
        Ok(Self {
            level,
            users: list(value, "users"),
            groups: list(value, "userGroups"),
            verbs: list(value, "verbs"),
            namespaces: list(value, "namespaces"),
            resources: resources.collect(),
            paths: list(value, "nonResourceURLs"),
            omit,
        })
    }

    fn matches(&self, info: &Info, path: &str, who: &Identity) -> bool {
        let any = |list: &[String], value: &str| list.is_empty() || list.iter().any(|v| v == value);
        let grouped = self.groups.is_empty() || self.groups.iter().any(|g| who.is_in(g));
        any(&self.users, &who.name)
            && grouped
            && any(&self.verbs, &info.verb)
            && self.about(info, path)
    }

    fn about(&self, info: &Info, path: &str) -> bool {
        if info.resource.is_empty() {
            let matched = self.paths.iter().any(|p| match p.strip_suffix('*') {
                Some(prefix) => path.starts_with(prefix),
                None => p == path,
            });
            return matched
                || (self.paths.is_empty()
                    && self.resources.is_empty()
                    && self.namespaces.is_empty());
        }
        let placed = self.namespaces.is_empty() || self.namespaces.contains(&info.namespace);
        let named = self.resources.is_empty() && self.paths.is_empty();
        placed && (named || self.resources.iter().any(|r| r.matches(info)))
    }
}

impl Resources {
    fn matches(&self, info: &Info) -> bool {
        let (resource, sub) = (&info.resource, &info.subresource);
        let combined = if sub.is_empty() { resource.clone() } else { format!("{resource}/{sub}") };
        let covers = |rule: &String| {
            rule == "*"
                || *rule == combined
                || (!sub.is_empty() && rule.strip_prefix("*/") == Some(sub))
                || rule.strip_suffix("/*") == Some(resource)
        };
        self.group == info.group
            && (self.resources.is_empty() || self.resources.iter().any(covers))
            && (self.names.is_empty() || self.names.contains(&info.name))
    }
}

fn list(value: &Value, key: &str) -> Vec<String> {
    let items = value.get(key).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect()
}

fn stages(value: &Value) -> Result<Vec<Stage>, PolicyError> {
    let parse = |name: &String| {
        Stage::parse(name).ok_or_else(|| PolicyError(format!("stage {name:?} is not known")))
    };
    list(value, "omitStages").iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_matches_decides() {
        let policy = AuditPolicy::parse(
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n\
             - level: None\n  users: [system:kube-proxy]\n\
             - level: Metadata\n  resources: [{group: '', resources: [secrets, pods/log]}]\n\
             - level: None\n  nonResourceURLs: ['/healthz*']\n\
             - level: Request\n  verbs: [create]\n",
        )
        .expect("a policy");
        let level = |method: &str, path: &str, user: &str| {
            let who = Identity { name: user.into(), ..Identity::default() };
            policy.decide(&Info::of(method, path, &[]), path, &who).0
        };
        assert_eq!(level("GET", "/api/v1/secrets", "jane"), Level::Metadata);
        assert_eq!(level("GET", "/api/v1/secrets", "system:kube-proxy"), Level::None);
        assert_eq!(level("GET", "/api/v1/namespaces/a/pods/p/log", "jane"), Level::Metadata);
        assert_eq!(level("GET", "/api/v1/namespaces/a/pods/p", "jane"), Level::None);
        assert_eq!(level("POST", "/api/v1/namespaces/a/pods", "jane"), Level::Request);
        assert_eq!(level("GET", "/healthz/ping", "jane"), Level::None);
        assert!(AuditPolicy::parse("kind: Policy\nrules: [{level: All}]").is_err());
    }
}
