//! One `PolicyRule`.

use crate::access::Access;
use crate::json::strings;
use meta::Value;

/// `rbac.authorization.k8s.io/v1` PolicyRule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Rule {
    pub verbs: Vec<String>,
    pub groups: Vec<String>,
    pub resources: Vec<String>,
    /// Empty admits every name.
    pub names: Vec<String>,
    pub urls: Vec<String>,
}

impl Rule {
    pub fn parse(value: &Value) -> Self {
        Self {
            verbs: strings(value, "/verbs"),
            groups: strings(value, "/apiGroups"),
            resources: strings(value, "/resources"),
            names: strings(value, "/resourceNames"),
            urls: strings(value, "/nonResourceURLs"),
        }
    }

    /// Whether this rule permits `access`; `combined` is [`Access::combined`].
    pub fn admits(&self, access: &Access<'_>, combined: &str) -> bool {
        if !has(&self.verbs, access.verb) {
            return false;
        }
        if !access.is_resource() {
            return self.urls.iter().any(|rule| url_matches(rule, access.path));
        }
        has(&self.groups, access.group)
            && self
                .resources
                .iter()
                .any(|rule| resource_matches(rule, combined, access.subresource))
            && (self.names.is_empty() || self.names.iter().any(|n| n == access.name))
    }

    /// As `SelfSubjectRulesReview` lists a rule.
    pub fn to_value(&self) -> Value {
        let mut out = meta::Map::new();
        let members = [
            ("verbs", &self.verbs),
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.urls),
        ];
        for (key, list) in members {
            if !list.is_empty() {
                out.insert(key.into(), list.clone().into());
            }
        }
        Value::Object(out)
    }
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == "*" || item == wanted)
}

/// `*`, `pods`, `pods/log` or `*/scale`.
fn resource_matches(rule: &str, combined: &str, subresource: &str) -> bool {
    rule == "*"
        || rule == combined
        || (!subresource.is_empty() && rule.strip_prefix("*/") == Some(subresource))
}

/// `*`, an exact path, or a prefix followed by `*`.
fn url_matches(rule: &str, path: &str) -> bool {
    rule == "*"
        || rule == path
        || (rule.ends_with('*') && path.starts_with(rule.trim_end_matches('*')))
}

impl Rule {
    /// What members of the privileged group may do: any verb on any resource and any path.
    pub fn everything() -> [Self; 2] {
        let any = || vec!["*".to_string()];
        [
            Self { verbs: any(), groups: any(), resources: any(), ..Self::default() },
            Self { verbs: any(), urls: any(), ..Self::default() },
        ]
    }
}
