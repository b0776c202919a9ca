//! `/healthz`, `/livez` and `/readyz` (k8s.io/apiserver `pkg/server/healthz/healthz.go`).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What a named part of the server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    Passes,
    /// Not ready yet, but alive: only `/readyz` fails.
    Starting,
    /// Why it fails, for the log; clients are told `reason withheld`.
    Fails(String),
}

/// The checks by name. Whoever owns a part reports its state here.
#[derive(Debug, Default)]
pub struct Health {
    checks: Mutex<BTreeMap<String, Check>>,
}

impl Health {
    pub fn set(&self, name: &str, state: Check) {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), state);
    }

    /// Code and text of `path` (`/readyz`, `/livez/ping`); `None` when there is no such check.
    pub fn answer(&self, path: &str, query: &[(String, String)]) -> Option<(u16, String)> {
        let mut parts = path.trim_start_matches('/').splitn(2, '/');
        let endpoint = parts.next().filter(|p| matches!(*p, "healthz" | "livez" | "readyz"))?;
        let states = self.states(endpoint);
        if let Some(one) = parts.next().filter(|name| !name.is_empty()) {
            let (_, passes) = states.iter().find(|(name, _)| name == one)?;
            let text = format!("internal server error: {one} failed: reason withheld\n");
            return Some(if *passes { (200, "ok".into()) } else { (500, text) });
        }
        let excluded: Vec<_> =
            query.iter().filter(|(k, _)| k == "exclude").map(|(_, v)| v).collect();
        let verbose = query.iter().any(|(k, _)| k == "verbose");
        Some(report(endpoint, &states, &excluded, verbose))
    }

    fn states(&self, endpoint: &str) -> Vec<(String, bool)> {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let named = checks.iter().map(|(name, state)| {
            let starting = *state == Check::Starting && endpoint != "readyz";
            (name.clone(), starting || *state == Check::Passes)
        });
        ["ping", "log"].map(|name| (name.to_string(), true)).into_iter().chain(named).collect()
    }
}

fn report(
    endpoint: &str,
    states: &[(String, bool)],
    excluded: &[&String],
    verbose: bool,
) -> (u16, String) {
    let mut text = String::new();
    let mut failed = false;
    for (name, passes) in states {
        let line = match (excluded.contains(&name), passes) {
            (true, _) => format!("[+]{name} excluded: ok\n"),
            (false, true) => format!("[+]{name} ok\n"),
            (false, false) => format!("[-]{name} failed: reason withheld\n"),
        };
        failed |= line.starts_with("[-]");
        text.push_str(&line);
    }
    match (failed, verbose) {
        (true, _) => (500, format!("{text}{endpoint} check failed\n")),
        (false, true) => (200, format!("{text}{endpoint} check passed\n")),
        (false, false) => (200, "ok".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starting_is_alive_but_not_ready() {
        let health = Health::default();
        health.set("etcd", Check::Passes);
        health.set("poststarthook/rbac/bootstrap-roles", Check::Starting);
        assert_eq!(health.answer("/livez", &[]), Some((200, "ok".into())));
        let verbose = [("verbose".to_string(), String::new())];
        let (code, text) = health.answer("/readyz", &verbose).expect("an answer");
        assert_eq!(code, 500);
        assert_eq!(
            text,
            "[+]ping ok\n[+]log ok\n[+]etcd ok\n\
             [-]poststarthook/rbac/bootstrap-roles failed: reason withheld\nreadyz check failed\n"
        );
        assert_eq!(health.answer("/livez/etcd", &[]), Some((200, "ok".into())));
        assert_eq!(health.answer("/livez/none", &[]), None);
    }
}
