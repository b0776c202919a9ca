//! Answers to reviews: what a client asks about tokens and about its own rights.

use crate::authority::{Authority, MASTERS};
use crate::credentials::Authenticator;
use crate::json::{strings, text};
use crate::keys::TokenKeys;
use crate::rbac::Rule;
use meta::{Identity, Map, Problem, Time, Value};
use serde_json::json;
use std::collections::BTreeSet;
use store::View;

/// A `TokenReview` with its status filled in.
///
/// # Errors
/// 400 when the review carries no token.
pub fn token_review(
    mut review: Value,
    authenticator: &Authenticator,
    keys: Option<&TokenKeys>,
    view: &View,
    now: Time,
) -> Result<Value, Problem> {
    let token = text(&review, "/spec/token").to_string();
    if token.is_empty() {
        return Err(Problem::bad_request("token is required for TokenReview in authentication"));
    }
    let asked = strings(&review, "/spec/audiences");
    let own = keys.map(|k| k.audiences.clone()).unwrap_or_default();
    let wanted = if asked.is_empty() { own } else { asked };
    let status = match authenticator.token(&token, &wanted, keys, view, now) {
        Ok((who, audiences)) => {
            json!({ "authenticated": true, "user": user_info(&who), "audiences": audiences })
        }
        Err(why) => json!({ "user": {}, "error": why.0 }),
    };
    if let Some(out) = review.as_object_mut() {
        out.insert("status".into(), status);
    }
    Ok(review)
}

/// `authentication.k8s.io/v1` UserInfo.
pub fn user_info(who: &Identity) -> Value {
    let mut out = Map::new();
    out.insert("username".into(), who.name.clone().into());
    if !who.uid.is_empty() {
        out.insert("uid".into(), who.uid.clone().into());
    }
    if !who.groups.is_empty() {
        out.insert("groups".into(), who.groups.clone().into());
    }
    if !who.extra.is_empty() {
        let extra: Map = who.extra.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
        out.insert("extra".into(), extra.into());
    }
    out.into()
}

/// The status of a `SelfSubjectRulesReview`: everything `who` may do in `namespace`.
pub fn rules_review(authority: &Authority, who: &Identity, namespace: &str, view: &View) -> Value {
    let rbac = authority.rbac(view);
    let (found, missing) = rbac.rules_of(who, namespace);
    let everything = Rule::everything();
    let masters = who.is_in(MASTERS);
    let all = everything.iter().filter(|_| masters).chain(found);
    let (paths, resources): (Vec<_>, Vec<_>) = all.partition(|rule| !rule.urls.is_empty());
    let is_node = who.is_in(crate::node::GROUP);
    let mut status = Map::new();
    status.insert("resourceRules".into(), listed(&resources));
    status.insert("nonResourceRules".into(), listed(&paths));
    status.insert("incomplete".into(), (is_node || !missing.is_empty()).into());
    let node = is_node.then(|| "node authorizer does not support user rule resolution".to_string());
    let errors: Vec<_> = node.into_iter().chain(missing).collect();
    if !errors.is_empty() {
        status.insert("evaluationError".into(), errors.join(", ").into());
    }
    status.into()
}

/// Each rule once, in the order first seen.
fn listed(rules: &[&Rule]) -> Value {
    let mut seen = BTreeSet::new();
    rules.iter().filter(|rule| seen.insert(**rule)).map(|rule| rule.to_value()).collect()
}
