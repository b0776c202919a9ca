//! Crate `auth` with its keys and clock: what the pipeline asks about access and tokens.

use arc_swap::ArcSwapOption;
use auth::{Access, Authenticator, Authority, Credentials, Impersonation, TokenKeys};
use kinds::{Attributes, Authorizer, Decision, Tokens};
use meta::{Identity, Problem, Time, Value};
use pki::SigningKey;
use std::path::Path;
use std::sync::Arc;
use store::{Object, View};

/// `--service-account-issuer`.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Who may come in, and what for. Clones share everything.
#[derive(Clone)]
pub struct Gate(Arc<Parts>);

struct Parts {
    authority: Authority,
    authenticator: Authenticator,
    signing: SigningKey,
    /// Absent until the signing key of a new cluster is made.
    keys: ArcSwapOption<TokenKeys>,
}

impl Gate {
    pub fn new(authenticator: Authenticator, signing: SigningKey) -> Self {
        let (authority, keys) = (Authority::default(), ArcSwapOption::empty());
        Self(Arc::new(Parts { authority, authenticator, signing, keys }))
    }

    /// The token keys, unless the signing key is still being made (then there are no tokens either).
    fn keys(&self) -> Option<Arc<TokenKeys>> {
        let parts = &self.0;
        parts.keys.load_full().or_else(|| {
            let keys = Arc::new(token_keys(&parts.signing).ok()?);
            // Whoever was faster made the same ones, or newer ones.
            parts.keys.compare_and_swap(&None::<Arc<TokenKeys>>, Some(keys));
            parts.keys.load_full()
        })
    }

    /// As [`Gate::keys`], but waits for the signing key.
    fn await_keys(&self) -> Result<Arc<TokenKeys>, Problem> {
        self.0.signing.wait().map_err(Problem::internal)?;
        self.keys().ok_or_else(|| Problem::internal("the token signing key is unusable"))
    }

    /// Takes the signing keys as they are in the data directory now: after [`pki::rotate_signing_key`].
    ///
    /// # Errors
    /// When they cannot be used; those in use stay in use.
    pub fn reload(&self, data_dir: &Path) -> Result<(), String> {
        let signing = SigningKey::read(data_dir).map_err(|e| e.to_string())?;
        self.0.keys.store(Some(Arc::new(token_keys(&signing)?)));
        Ok(())
    }

    /// Whether asking for a token would block.
    pub fn is_preparing(&self) -> bool {
        self.0.signing.ready().is_none()
    }

    /// Blocks until the signing key is there.
    pub fn prepare(&self) {
        // A failure is reported by whoever asks for a token.
        let _ = self.0.signing.wait();
    }

    /// # Errors
    /// 401.
    pub fn identify(
        &self,
        credentials: Credentials<'_>,
        view: &View,
        now: Time,
    ) -> Result<Identity, Problem> {
        self.0.authenticator.identify(credentials, self.keys().as_deref(), view, now).map_err(
            |why| {
                tracing::info!("unauthenticated: {}", why.0);
                why.into()
            },
        )
    }

    /// # Errors
    /// As [`auth::impersonate`].
    pub fn assume(
        &self,
        wanted: &Impersonation,
        who: Identity,
        view: &View,
    ) -> Result<Identity, Problem> {
        if wanted.is_empty() {
            return Ok(who);
        }
        auth::impersonate(wanted, &who, &self.0.authority, view)
    }

    /// # Errors
    /// 403 with upstream's text.
    pub fn admit_path(
        &self,
        who: &Identity,
        verb: &str,
        path: &str,
        view: &View,
    ) -> Result<(), Problem> {
        let access = Access::path(verb, path);
        match self.0.authority.decide(who, &access, view) {
            decision if decision.allowed() => Ok(()),
            decision => Err(auth::forbidden(who, &access, decision.reason())),
        }
    }

    /// `/.well-known/openid-configuration`; `server` is `https://host:port` of this server.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn discovery(&self) -> Result<Value, Problem> {
        self.await_keys().map(|keys| keys.discovery(&format!("{ISSUER}/openid/v1/jwks")))
    }

    /// `/openid/v1/jwks`.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn jwks(&self) -> Result<Value, Problem> {
        self.await_keys().map(|keys| keys.jwks())
    }
}

fn token_keys(signing: &SigningKey) -> Result<TokenKeys, String> {
    let current = signing.ready().ok_or("the signing key is still being made")??;
    let older = signing.older().map(|older| TokenKeys::new(ISSUER, older, Vec::new())).transpose();
    let older = older.map_err(|e| e.to_string())?.map(|keys| keys.verifier().clone());
    TokenKeys::new(ISSUER, current, older.into_iter().collect()).map_err(|e| e.to_string())
}

impl Authorizer for Gate {
    fn decide(&self, attributes: &Attributes, identity: &Identity, view: &View) -> Decision {
        let access = Access {
            verb: &attributes.verb,
            group: &attributes.group,
            version: &attributes.version,
            resource: &attributes.resource,
            subresource: &attributes.subresource,
            namespace: &attributes.namespace,
            name: &attributes.name,
            path: &attributes.path,
            field_selector: &attributes.field_selector,
        };
        let decision = self.0.authority.decide(identity, &access, view);
        let reason = decision.reason().to_string();
        if decision.allowed() { Decision::Allow { reason } } else { Decision::Deny { reason } }
    }

    fn rules(&self, identity: &Identity, namespace: &str, view: &View) -> Value {
        auth::rules_review(&self.0.authority, identity, namespace, view)
    }

    fn may_grant(
        &self,
        identity: &Identity,
        rules: &[Value],
        namespace: &str,
        view: &View,
    ) -> Result<(), String> {
        auth::may_grant(&self.0.authority, identity, rules, namespace, view)
    }
}

impl Tokens for Gate {
    fn mint(
        &self,
        account: &Object,
        request: Value,
        now: Time,
        view: &View,
    ) -> Result<Value, Problem> {
        let keys = self.await_keys()?;
        let plan = auth::plan_token(account, &request, &keys.audiences, view)?;
        Ok(auth::mint(plan, &keys, &uuid::Uuid::new_v4().to_string(), now))
    }

    fn review(&self, review: Value, now: Time, view: &View) -> Result<Value, Problem> {
        auth::token_review(review, &self.0.authenticator, self.keys().as_deref(), view, now)
    }
}
