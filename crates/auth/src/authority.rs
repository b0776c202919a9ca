//! The chain of authorizers: privileged group, Node, RBAC (upstream's order with `--authorization-mode=Node,RBAC`).

use crate::access::{Access, Decision};
use crate::node;
use crate::rbac::{Rbac, stamp};
use arc_swap::ArcSwapOption;
use meta::Identity;
use std::sync::Arc;
use store::View;

/// Members may do everything, whatever the roles say.
pub const MASTERS: &str = "system:masters";

/// Answers [`Access`] questions. Keeps the compiled rules of the newest snapshot it has seen.
#[derive(Default)]
pub struct Authority {
    memo: ArcSwapOption<Memo>,
}

struct Memo {
    /// The snapshot this was last found current for.
    revision: u64,
    /// Changes whenever one of the RBAC objects does.
    stamp: [u64; 4],
    rbac: Arc<Rbac>,
}

impl Authority {
    pub fn decide(&self, user: &Identity, access: &Access<'_>, view: &View) -> Decision {
        if user.is_in(MASTERS) {
            return Decision::Allow(String::new());
        }
        let rbac = self.rbac(view);
        match node::decide(user, access, view, node_rules()) {
            Decision::NoOpinion(why) => match rbac.decide(user, access) {
                Decision::NoOpinion(other) => Decision::NoOpinion(joined(&why, &other)),
                decided => decided,
            },
            decided => decided,
        }
    }

    /// The compiled rules of `view`, shared while no RBAC object changes.
    pub fn rbac(&self, view: &View) -> Arc<Rbac> {
        let revision = view.revision();
        let memo = self.memo.load();
        if let Some(memo) = memo.as_ref().filter(|m| m.revision == revision) {
            return memo.rbac.clone();
        }
        let stamp = stamp(view);
        let kept = memo.as_ref().filter(|m| m.stamp == stamp).map(|m| m.rbac.clone());
        let rbac = kept.unwrap_or_else(|| Arc::new(Rbac::compile(view)));
        self.memo.store(Some(Arc::new(Memo { revision, stamp, rbac: rbac.clone() })));
        rbac
    }
}

/// The rules of the role `system:node`, which the Node authorizer grants without a binding.
fn node_rules() -> &'static [crate::rbac::Rule] {
    static RULES: std::sync::OnceLock<Vec<crate::rbac::Rule>> = std::sync::OnceLock::new();
    RULES.get_or_init(|| crate::bootstrap::rules_of("system:node"))
}

fn joined(one: &str, other: &str) -> String {
    match (one, other) {
        ("", text) | (text, "") => text.to_string(),
        (one, other) => format!("{one}\n{other}"),
    }
}
