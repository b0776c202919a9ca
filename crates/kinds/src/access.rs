//! What the pipeline asks of authentication and authorisation. Crate `auth` answers.

use meta::{Identity, Problem, Time};
use store::{Object, View};

/// What a request wants to do, as upstream's `authorizer.Attributes`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, ...; for
    /// non-resource paths the lower-case HTTP method.
    pub verb: String,
    pub group: String,
    pub version: String,
    /// Plural; `""` for non-resource requests.
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// `""` for resource requests.
    pub path: String,
    pub field_selector: String,
    pub label_selector: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Allow {
        reason: String,
    },
    /// `reason` is appended to the message when it is not empty.
    Deny {
        reason: String,
    },
}

/// RBAC, the Node authorizer and so on. Pure over a snapshot.
pub trait Authorizer: Send + Sync {
    fn decide(&self, attributes: &Attributes, identity: &Identity, view: &View) -> Decision;

    /// The `status` of a SelfSubjectRulesReview in one namespace.
    fn rules(&self, identity: &Identity, namespace: &str, view: &View) -> meta::Value;

    /// Whether an identity itself holds all of `rules` (`PolicyRule`s) in a namespace (`""`: everywhere).
    ///
    /// # Errors
    /// What is missing, as the reason of a 403.
    fn may_grant(
        &self,
        identity: &Identity,
        rules: &[meta::Value],
        namespace: &str,
        view: &View,
    ) -> Result<(), String>;
}

/// Mints and reviews tokens: `serviceaccounts/token` and `tokenreviews`.
pub trait Tokens: Send + Sync {
    /// Fills `status` of a `TokenRequest`. `account` is the stored ServiceAccount.
    ///
    /// # Errors
    /// What the client is told (bad audience, bound object missing).
    fn mint(
        &self,
        account: &Object,
        request: meta::Value,
        now: Time,
        view: &View,
    ) -> Result<meta::Value, Problem>;

    /// Fills `status` of a `TokenReview`.
    ///
    /// # Errors
    /// When the review itself is malformed.
    fn review(&self, review: meta::Value, now: Time, view: &View) -> Result<meta::Value, Problem>;
}

/// Lets everybody do everything: tests and `--authorization-mode=AlwaysAllow`.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

impl Authorizer for AllowAll {
    fn decide(&self, _: &Attributes, _: &Identity, _: &View) -> Decision {
        Decision::Allow { reason: String::new() }
    }

    fn rules(&self, _: &Identity, _: &str, _: &View) -> meta::Value {
        serde_json::json!({
            "resourceRules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }],
            "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
            "incomplete": false,
        })
    }

    fn may_grant(&self, _: &Identity, _: &[meta::Value], _: &str, _: &View) -> Result<(), String> {
        Ok(())
    }
}

/// Says clearly that this server mints no tokens.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTokens;

impl Tokens for NoTokens {
    fn mint(&self, _: &Object, _: meta::Value, _: Time, _: &View) -> Result<meta::Value, Problem> {
        Err(Problem::internal("no token signer is configured"))
    }

    fn review(&self, _: meta::Value, _: Time, _: &View) -> Result<meta::Value, Problem> {
        Err(Problem::internal("no token authenticator is configured"))
    }
}
