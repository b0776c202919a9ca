//! The compiled table and the way through it.

use super::{Backend, IngressInput, IngressRule, PathRule};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A whole routing table; compared with the one before to leave it alone when nothing changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    exact: BTreeMap<String, Paths>,
    /// By what follows `*.`.
    wildcard: BTreeMap<String, Paths>,
    any: Paths,
    default: Option<Arc<Backend>>,
}

/// Longest first, exact before prefix.
type Paths = Vec<(PathRule, Arc<Backend>)>;

/// What a request meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'a> {
    Backend(&'a Arc<Backend>),
    Nothing,
}

/// Compiles all rules.
pub fn routes(input: &IngressInput) -> Routes {
    let mut table = Routes { default: input.defaults.first().cloned(), ..Routes::default() };
    for rule in &input.rules {
        let paths = table.paths_of(rule);
        if !paths.iter().any(|(path, _)| *path == rule.path) {
            paths.push((rule.path.clone(), rule.backend.clone()));
        }
    }
    let hosts = table.exact.values_mut().chain(table.wildcard.values_mut());
    for paths in hosts.chain([&mut table.any]) {
        paths.sort_by_key(|(path, _)| precedence(path));
    }
    table
}

fn precedence(path: &PathRule) -> (Reverse<usize>, u8) {
    match path {
        PathRule::Exact(text) => (Reverse(text.len()), 0),
        PathRule::Prefix(text) => (Reverse(text.trim_end_matches('/').len()), 1),
    }
}

impl Routes {
    fn paths_of(&mut self, rule: &IngressRule) -> &mut Paths {
        match (rule.host.as_str(), rule.host.strip_prefix("*.")) {
            ("", _) => &mut self.any,
            (_, Some(parent)) => self.wildcard.entry(parent.to_string()).or_default(),
            (host, None) => self.exact.entry(host.to_string()).or_default(),
        }
    }

    /// The backend for a request. `host` may carry a port; `path` is the path alone, undecoded.
    pub fn find(&self, host: &str, path: &str) -> Found<'_> {
        let host = without_port(host).trim_end_matches('.').to_ascii_lowercase();
        let parent = host.split_once('.').map(|(_, parent)| parent);
        let paths = self
            .exact
            .get(&host)
            .or_else(|| parent.and_then(|parent| self.wildcard.get(parent)))
            .unwrap_or(&self.any);
        let rule = paths.iter().find(|(rule, _)| matches(rule, path));
        match rule.map(|(_, backend)| backend).or(self.default.as_ref()) {
            Some(backend) => Found::Backend(backend),
            None => Found::Nothing,
        }
    }
}

/// `[::1]:80` and `a.b:80` without their ports.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => {
            name
        }
        _ => host,
    }
}

fn matches(rule: &PathRule, path: &str) -> bool {
    match rule {
        PathRule::Exact(wanted) => path == wanted,
        PathRule::Prefix(prefix) => {
            let rest = path.strip_prefix(prefix.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    }
}
